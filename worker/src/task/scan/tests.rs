//! Whole scans against files on disk: what arrives, in which pages, and what is said about the rest.
use super::*;
use crate::task::{Effect, Effects};
use async_trait::async_trait;
use parking_lot::Mutex;
use proptest::prelude::*;
use protocol::id::{JobNo, Kind, StepNo, UnitId, WorkerId};
use protocol::media::asset::{Asset, Role};
use protocol::model::scan_cursor::ScanCursor;
use protocol::wire::report::{ListedAsset, RowError, ScanPage};
use protocol::wire::step::TaskSpec;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

const HEADER: &str = "asset,title,role,location\n";

#[derive(Default)]
struct Kept(Mutex<Vec<ScanPage>>);

#[async_trait]
impl Effects for Kept {
    async fn send(&self, effect: Effect) -> Result<(), Failure> {
        let Effect::Page { page, .. } = effect else {
            panic!("a listing sends pages only")
        };
        self.0.lock().push(page);
        Ok(())
    }
}

struct Listing {
    result: UnitResult,
    pages: Vec<ScanPage>,
}

impl Listing {
    fn assets(&self) -> Vec<(u64, Asset)> {
        let listed = self.pages.iter().flat_map(|page| page.assets.clone());
        listed
            .map(|ListedAsset { line, asset }| (line, asset))
            .collect()
    }

    fn ids(&self) -> Vec<String> {
        self.assets()
            .into_iter()
            .map(|(_, asset)| asset.id)
            .collect()
    }

    fn errors(&self) -> Vec<RowError> {
        self.pages
            .iter()
            .flat_map(|page| page.errors.clone())
            .collect()
    }

    #[track_caller]
    fn failure(&self) -> &Failure {
        match &self.result {
            UnitResult::Failed(failure) => failure,
            other => panic!("expected a failure, not {other:?}"),
        }
    }

    #[track_caller]
    fn finished(self) -> Listing {
        let pages = self.pages.last().map(|page| page.page + 1);
        match self.result {
            UnitResult::Listed { pages: said } => {
                assert_eq!(said, pages.unwrap_or(said), "pages sent and announced")
            }
            ref other => panic!("expected a listing, not {other:?}"),
        }
        self
    }
}

fn context(effects: Arc<dyn Effects>) -> TaskContext {
    TaskContext {
        cancel: CancellationToken::new(),
        worker: WorkerId("w".into()),
        effects,
        storage: Arc::default(),
        bytes: Arc::default(),
        tools: Arc::default(),
        rehearsal: Arc::default(),
    }
}

fn unit(task: &ScanTask) -> Unit {
    let id = UnitId::new(JobNo(1), StepNo::SCAN, 0);
    let task = Arc::new(TaskSpec::Scan(task.clone()));
    Unit {
        id,
        epoch: 3,
        attempt: 0,
        kind: Kind::Scan,
        task,
        assets: Vec::new(),
        deadline: None,
    }
}

fn scan(task: &ScanTask) -> Listing {
    scan_selected(task, None)
}

fn scan_selected(task: &ScanTask, filter: Option<&PathFilter>) -> Listing {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime starts");
    let kept = Arc::new(Kept::default());
    let result = runtime.block_on(run(task, filter, &unit(task), &context(kept.clone())));
    let pages = std::mem::take(&mut *kept.0.lock());
    Listing { result, pages }
}

fn text(path: &Path) -> String {
    path.to_str().expect("temporary paths are UTF-8").to_owned()
}

fn manifest(dir: &TempDir, name: &str, content: impl AsRef<[u8]>, page_assets: u32) -> ScanTask {
    let path = dir.path().join(name);
    std::fs::write(&path, content).expect("a file can be written");
    ScanTask {
        source: ScanSource::Manifest { path: text(&path) },
        root: "/lib".into(),
        resume: None,
        page_assets,
    }
}

fn scan_text(name: &str, content: impl AsRef<[u8]>) -> Listing {
    let dir = TempDir::new().expect("a directory");
    scan(&manifest(&dir, name, content, 100))
}

fn row(n: usize) -> String {
    format!("a{n},t{},master,m/{n}.mov\n", n / 4)
}

#[test]
fn a_csv_row_becomes_an_asset() {
    let csv = "\u{feff}ASSET, Title ,role,location,bytes,studio\r\n\r\na1,t1,Master,./m/1.mov,12,\"Big, Tall\"\r\n";
    let listing = scan_text("m.csv", csv).finished();
    let [(line, asset)] = &listing.assets()[..] else {
        panic!("{:?}", listing.pages)
    };
    assert_eq!(
        (*line, asset.id.as_str(), asset.role, asset.bytes),
        (3, "a1", Role::Master, Some(12))
    );
    assert_eq!(
        (asset.location.as_str(), asset.path.as_str()),
        ("file:/lib/m/1.mov", "m/1.mov")
    );
    let meta = &asset.declared.as_ref().expect("declared").meta;
    assert_eq!(meta.get("studio").map(String::as_str), Some("Big, Tall"));
    assert_eq!((listing.pages[0].epoch, listing.pages[0].page), (3, 0));
}

#[test]
fn lines_stay_right_after_quoted_line_ends_and_blank_lines() {
    let csv = "asset,title,role,location,title_name\na1,t,master,x,\"one\r\ntwo\n\nfour\"\n\n  \r\na2,t,master,x,y\ra3,t,mastr,x,z\r\na4,t,audio,x,\"\"\"q\"\"\"";
    let listing = scan_text("m.csv", csv).finished();
    let lines: Vec<_> = listing
        .assets()
        .iter()
        .map(|(line, asset)| (*line, asset.id.clone()))
        .collect();
    assert_eq!(
        lines,
        [
            (2, "a1".to_owned()),
            (8, "a2".to_owned()),
            (10, "a4".to_owned())
        ]
    );
    assert_eq!(listing.errors()[0].line, 9);
    let name = |n: usize| {
        listing.assets()[n]
            .1
            .declared
            .as_ref()
            .and_then(|d| d.title_name.clone())
    };
    assert_eq!(
        (name(0).as_deref(), name(2).as_deref()),
        (Some("one\r\ntwo\n\nfour"), Some("\"q\""))
    );
}

#[test]
fn a_bad_row_is_reported_and_the_rest_goes_on() {
    let mut csv = HEADER.as_bytes().to_vec();
    csv.extend_from_slice(b"a1,t1,master\na2,t1,master,x,y\n,t1,master,x\na4,t1,mastr,x\na5,t\xff1,master,x\na6,t1,master,../x\na7,t1,master,ok.mov\n");
    let listing = scan_text("m.csv", csv).finished();
    assert_eq!(listing.ids(), ["a7"]);
    let got: Vec<_> = listing
        .errors()
        .into_iter()
        .map(|e| (e.line, e.column, e.asset, e.message))
        .collect();
    let expected = [
        (2, None, Some("a1"), "3 fields, the header has 4"),
        (3, None, Some("a2"), "5 fields, the header has 4"),
        (4, Some("asset"), None, "every row needs one"),
        (5, Some("role"), Some("a4"), "did you mean master?"),
        (6, Some("title"), Some("a5"), "save the file as UTF-8"),
        (7, Some("location"), Some("a6"), "climbs out"),
    ];
    assert_eq!(got.len(), expected.len(), "{got:?}");
    for ((line, column, asset, message), expected) in got.iter().zip(expected) {
        assert_eq!(
            (*line, column.as_deref(), asset.as_deref()),
            (expected.0, expected.1, expected.2)
        );
        assert!(message.contains(expected.3), "{message}");
    }
}

#[test]
fn fields_that_cut_a_character_in_two_are_not_utf8() {
    let mut csv = HEADER.as_bytes().to_vec();
    csv.extend_from_slice(b"a\xc3,\xa9t,master,x\n");
    let listing = scan_text("m.csv", csv).finished();
    assert_eq!(listing.errors()[0].column.as_deref(), Some("asset"));
}

#[test]
fn a_huge_row_is_passed_over_and_later_rows_are_read() {
    for (name, start, end) in [
        ("m.csv", "a1,t1,master,", "\n"),
        ("m.csv", "a1,t1,master,\"x\n\n", "\"\n"),
    ] {
        let csv = format!("{HEADER}{start}{}{end}{}", "x".repeat(3 << 20), row(2));
        let listing = scan_text(name, csv).finished();
        assert_eq!(listing.ids(), ["a2"]);
        let errors = listing.errors();
        assert_eq!((errors.len(), errors[0].line), (1, 2));
        assert!(
            errors[0].message.contains("longer than 1048576 bytes"),
            "{}",
            errors[0].message
        );
        let lines = end.len() as u64 * 2 - 1;
        assert_eq!(listing.assets()[0].0, 2 + lines);
    }
    let json = format!(
        "{{\"asset\": \"{}\"}}\n{}",
        "x".repeat(3 << 20),
        json_row(2)
    );
    let listing = scan_text("m.jsonl", json).finished();
    assert_eq!(
        (listing.ids(), listing.errors()[0].line),
        (vec!["a2".to_owned()], 1)
    );
}

#[test]
fn a_quote_that_is_never_closed_is_named() {
    let csv = format!("{HEADER}{}a2,t,master,\"x\n{}", row(1), row(3));
    let listing = scan_text("m.csv", csv).finished();
    assert_eq!(listing.ids(), ["a1"]);
    assert_eq!(listing.errors()[0].line, 3);
    assert!(
        listing.errors()[0].message.contains("never closed"),
        "{:?}",
        listing.errors()
    );
}

#[test]
fn a_row_of_a_million_commas_costs_one_error() {
    let csv = format!("{HEADER}{}\n{}", ",".repeat(900_000), row(1));
    let listing = scan_text("m.csv", csv).finished();
    assert_eq!(listing.ids(), ["a1"]);
    assert!(listing.errors()[0].message.contains("900001 fields"));
}

#[test]
fn a_wrong_header_fails_the_scan_and_says_what_was_meant() {
    let cases: [(&str, &[u8], &str); 12] = [
        ("m.csv", b"", "the file is empty"),
        (
            "m.csv",
            b"asset,titel,role,location\n",
            "no column \"title\"; is \"titel\" meant?",
        ),
        (
            "m.csv",
            b"asset,name,role,location\n",
            "no column \"title\"; it has 4 columns",
        ),
        (
            "m.csv",
            b"asset;title;role;location\n",
            "save the file with commas",
        ),
        ("m.csv", b"{\"asset\": 1}\n", "name the file .jsonl"),
        ("m.csv", b"asset,title,role,location,Title\n", "twice"),
        (
            "m.csv",
            b"asset,title,role,loc\xff\n",
            "column 4 is not UTF-8",
        ),
        (
            "m.csv",
            b"asset,title,role,location,a\0b\n",
            "control character",
        ),
        ("m.csv", b"\xff\xfea\0s\0", "UTF-16"),
        ("m.csv", b"PK\x03\x04....", "spreadsheet"),
        ("m.csv.gz", b"\x1f\x8b\x08", "gzip"),
        ("m.json", b" [{\"asset\": \"a\"}]", "one object per line"),
    ];
    for (name, content, says) in cases {
        let listing = scan_text(name, content);
        let failure = listing.failure();
        assert_eq!(
            (failure.reason.as_str(), failure.class.retryable()),
            ("manifest_header", false)
        );
        assert!(
            failure.message.contains(&format!("{name}:1: ")),
            "{}",
            failure.message
        );
        assert!(failure.message.contains(says), "{}", failure.message);
        assert!(listing.pages.is_empty());
    }
    let wide = format!("{HEADER},{}\n", "x,".repeat(5000)).replace('\n', "");
    assert!(
        scan_text("m.csv", wide)
            .failure()
            .message
            .contains("4096 are allowed")
    );
    assert!(
        scan_text("m.csv", "x".repeat(2 << 20))
            .failure()
            .message
            .contains("longer than")
    );
}

#[test]
fn file_that_is_no_manifest_is_not_quoted() {
    for (name, content) in [
        ("m.csv", "SECRET\tx:y\nrest\n"),
        ("m.csv", "SECRET,SECRET\n"),
        ("m.csv", "# SECRET\n"),
        ("m.jsonl", "\"SECRET\"\n"),
        ("m.jsonl", "{\"token\": \"SECRET\"}\n"),
        (
            "m.jsonl",
            "{\"role\": \"SECRET\", \"bytes\": [\"SECRET\"]}\n",
        ),
        ("m.jsonl", "[1, \"SECRET\"\n"),
        ("m.jsonl", "SECRET\n"),
    ] {
        let listing = scan_text(name, content);
        let said = format!("{:?} {:?}", listing.result, listing.pages);
        assert!(!said.contains("SECRET"), "{content}: {said}");
    }
}

#[test]
fn a_library_that_cannot_be_opened_fails_the_scan() {
    let dir = TempDir::new().expect("a directory");
    let mut task = manifest(&dir, "m.csv", HEADER, 10);
    let folder = |path: &Path, pattern: Option<&str>| ScanSource::Folder {
        path: text(path),
        pattern: pattern.map(str::to_owned),
    };
    let cases = [
        (
            ScanSource::Manifest {
                path: text(&dir.path().join("none.csv")),
            },
            "library_missing",
            "does not exist",
        ),
        (
            ScanSource::Manifest {
                path: text(dir.path()),
            },
            "library_unreadable",
            "folder:",
        ),
        (
            folder(&dir.path().join("none"), None),
            "library_missing",
            "does not exist",
        ),
        (
            folder(&dir.path().join("m.csv"), None),
            "library_unreadable",
            "manifest:",
        ),
        (
            folder(dir.path(), Some("(")),
            "folder_pattern",
            "unclosed group",
        ),
    ];
    for (source, reason, says) in cases {
        task.source = source;
        let listing = scan(&task);
        assert_eq!(listing.failure().reason, reason);
        assert!(
            listing.failure().message.contains(says),
            "{}",
            listing.failure().message
        );
        assert!(!listing.failure().class.retryable());
    }
}

#[test]
fn an_empty_library_is_one_empty_page() {
    let dir = TempDir::new().expect("a directory");
    let folder = ScanTask {
        source: ScanSource::Folder {
            path: text(&dir.path().join("empty")),
            pattern: None,
        },
        root: "/lib".into(),
        resume: None,
        page_assets: 10,
    };
    std::fs::create_dir(dir.path().join("empty")).expect("a directory");
    for listing in [
        scan_text("m.csv", HEADER),
        scan_text("m.jsonl", "\n\n"),
        scan_text("m.jsonl", ""),
        scan(&folder),
    ] {
        let listing = listing.finished();
        assert_eq!((listing.pages.len(), listing.pages[0].page), (1, 0));
        assert!(listing.assets().is_empty() && listing.errors().is_empty());
    }
}

fn json_row(n: usize) -> String {
    format!(
        "{{\"asset\": \"a{n}\", \"title\": \"t{}\", \"role\": \"master\", \"location\": \"m/{n}.mov\"}}\n",
        n / 4
    )
}

#[test]
fn json_lines_take_text_and_numbers() {
    let json = "\u{feff}\n{\"Asset\": 7, \"title\": \"t\", \"role\": \"audio\", \"location\": \"a.wav\", \"bytes\": 12, \
                \"duration\": 12.5, \"frame_rate\": 29.97, \"season\": null, \"tags\": [\"x\"], \"hd\": true}\r\n";
    let listing = scan_text("m.jsonl", json).finished();
    let [(line, asset)] = &listing.assets()[..] else {
        panic!("{:?}", listing.pages)
    };
    let declared = asset.declared.as_ref().expect("declared");
    assert_eq!(
        (*line, asset.id.as_str(), asset.bytes, declared.duration),
        (2, "7", Some(12), Some(12.5))
    );
    assert_eq!(
        (declared.frame_rate.as_deref(), declared.season.as_deref()),
        (Some("29.97"), None)
    );
    assert_eq!(
        declared.meta.get("tags").map(String::as_str),
        Some("[\"x\"]")
    );
    assert_eq!(declared.meta.get("hd").map(String::as_str), Some("true"));
}

#[test]
fn a_bad_json_line_is_reported_with_its_column() {
    let mut json = json_row(1).into_bytes();
    json.extend_from_slice(b"{\"asset\": \"a2\", }\n[1]\n\"x\"\n{\"asset\": \"a\xff\"}\n");
    json.extend_from_slice(
        b"{\"asset\": \"a6\", \"titel\": \"t\", \"role\": \"master\", \"location\": \"x\"}\n",
    );
    json.extend_from_slice(
        b"{\"asset\": \"a7\", \"title\": [1], \"role\": \"master\", \"location\": \"x\"}\n",
    );
    json.extend_from_slice(
        b"{\"asset\": \"a8\", \"title\": \"t\", \"TITLE\": \"u\", \"role\": \"master\", \"location\": \"x\"}\n",
    );
    json.extend_from_slice(format!("{}\n", "[".repeat(9000)).as_bytes());
    json.extend_from_slice(json_row(2).trim_end().as_bytes());
    let listing = scan_text("m.json", json).finished();
    assert_eq!(listing.ids(), ["a1", "a2"]);
    let got: Vec<_> = listing
        .errors()
        .into_iter()
        .map(|e| (e.line, e.column, e.asset, e.message))
        .collect();
    let expected = [
        (2, Some("17"), None, "trailing comma"),
        (3, Some("0"), None, "one object per line"),
        (4, Some("3"), None, "one object per line"),
        (5, None, None, "byte 13"),
        (6, Some("title"), Some("a6"), "is \"titel\" meant?"),
        (7, Some("title"), Some("a7"), "must be text or a number"),
        (8, Some("TITLE"), Some("a8"), "twice"),
        (9, Some("0"), None, "not a JSON object"),
    ];
    assert_eq!(got.len(), expected.len(), "{got:?}");
    for ((line, column, asset, message), expected) in got.iter().zip(expected) {
        assert_eq!(
            (*line, column.as_deref(), asset.as_deref()),
            (expected.0, expected.1, expected.2),
            "{message}"
        );
        assert!(message.contains(expected.3), "{message}");
    }
}

/// Scans from the start and again from every page's cursor, and compares.
fn assert_resumable(task: &ScanTask) -> Listing {
    let whole = scan(task).finished();
    for (index, page) in whole.pages.iter().enumerate() {
        assert_eq!(page.page, index as u64, "pages are numbered without gaps");
        let rest = scan(&ScanTask {
            resume: page.next,
            ..task.clone()
        })
        .finished();
        assert!(
            page.next.is_some(),
            "a manifest can be resumed after any page"
        );
        assert_eq!(
            rest.pages,
            whole.pages[index + 1..],
            "resumed after page {index}"
        );
    }
    whole
}

#[test]
fn a_resumed_scan_sends_exactly_the_pages_that_were_left() {
    let dir = TempDir::new().expect("a directory");
    let mut csv = HEADER.replace('\n', ",title_name\r\n");
    let mut json = String::new();
    for n in 0..23 {
        let name = if n % 3 == 0 { "\"one\ntwo\"" } else { "x" };
        csv.push_str(&format!("{},{name}\r\n\r\n", row(n).trim_end()));
        json.push_str(&json_row(n));
        json.push_str(if n % 5 == 0 { "\n{broken\n" } else { "" });
    }
    csv.push_str("bad,row\r");
    for (name, content) in [("m.csv", csv), ("m.jsonl", json)] {
        for page_assets in [1, 5, 23, 24, 100] {
            let listing = assert_resumable(&manifest(&dir, name, &content, page_assets));
            assert_eq!(
                listing.ids(),
                (0..23).map(|n| format!("a{n}")).collect::<Vec<_>>()
            );
            assert!(!listing.errors().is_empty());
            assert!(
                listing
                    .pages
                    .iter()
                    .all(|page| page.assets.len() + page.errors.len() <= page_assets as usize)
            );
        }
    }
}

#[test]
fn a_manifest_that_shrank_is_not_resumed() {
    let dir = TempDir::new().expect("a directory");
    for name in ["m.csv", "m.jsonl"] {
        let mut task = manifest(&dir, name, HEADER, 10);
        task.resume = Some(ScanCursor {
            page: 2,
            byte: 5_000,
            line: 90,
        });
        assert!(scan(&task).failure().message.contains("changed meanwhile"));
    }
}

#[test]
fn a_page_is_bounded_in_bytes() {
    let dir = TempDir::new().expect("a directory");
    let mut csv = HEADER.replace('\n', ",notes\n");
    for n in 0..40 {
        csv.push_str(&format!("{},{}\n", row(n).trim_end(), "x".repeat(100_000)));
    }
    let listing = assert_resumable(&manifest(&dir, "m.csv", csv, 1000));
    assert!(listing.pages.len() >= 4);
    for page in &listing.pages {
        let bytes: usize = page
            .assets
            .iter()
            .map(|listed| &listed.asset)
            .map(|a| a.declared.as_ref().map_or(0, |d| d.meta["notes"].len()))
            .sum();
        assert!(
            bytes <= page::PAGE_BYTES,
            "page {} holds {bytes} bytes",
            page.page
        );
    }
    assert_eq!(listing.assets().len(), 40);
}

#[tokio::test]
async fn reading_waits_for_a_slow_receiver_and_stops_when_revoked() {
    struct Stuck(CancellationToken);
    #[async_trait]
    impl Effects for Stuck {
        async fn send(&self, _effect: Effect) -> Result<(), Failure> {
            self.0.cancel();
            std::future::pending().await
        }
    }
    let dir = TempDir::new().expect("a directory");
    let content: String = std::iter::once(HEADER.to_owned())
        .chain((0..5000).map(row))
        .collect();
    let task = manifest(&dir, "m.csv", content, 1);
    let cancel = CancellationToken::new();
    let mut context = context(Arc::new(Stuck(cancel.clone())));
    context.cancel = cancel;
    assert_eq!(
        run(&task, None, &unit(&task), &context).await,
        UnitResult::Cancelled
    );
}

#[tokio::test]
async fn a_receiver_that_refuses_ends_the_scan_with_its_reason() {
    struct Refuses;
    #[async_trait]
    impl Effects for Refuses {
        async fn send(&self, _effect: Effect) -> Result<(), Failure> {
            Err(Failure::transient("lease_lost", "another worker has it"))
        }
    }
    let dir = TempDir::new().expect("a directory");
    let task = manifest(&dir, "m.csv", format!("{HEADER}{}", row(1)), 1);
    let result = run(&task, None, &unit(&task), &context(Arc::new(Refuses))).await;
    assert_eq!(
        result,
        UnitResult::Failed(Failure::transient("lease_lost", "another worker has it"))
    );
}

fn folder(dir: &TempDir, pattern: Option<&str>) -> ScanTask {
    let path = text(dir.path());
    let source = ScanSource::Folder {
        path: path.clone(),
        pattern: pattern.map(str::to_owned),
    };
    ScanTask {
        source,
        root: path,
        resume: None,
        page_assets: 3,
    }
}

fn tree(files: &[&str]) -> TempDir {
    let dir = TempDir::new().expect("a directory");
    for file in files {
        let path = dir.path().join(file);
        std::fs::create_dir_all(path.parent().expect("below the directory")).expect("a directory");
        std::fs::write(path, file.as_bytes()).expect("a file");
    }
    dir
}

#[test]
fn a_folder_takes_every_regular_file_in_order() {
    let files = [
        "z.wav",
        "dune/a.mov",
        "dune/b/c.srt",
        "dune/.hidden.pdf",
        "a b:c.mov",
        ".x/y.png",
        "ascmhl/1.mhl",
        "dune/ascmhl/1.mhl",
        ".showrunner/j",
        ".DS_Store",
    ];
    let dir = tree(&files);
    let listing = scan(&folder(&dir, None)).finished();
    let got: Vec<_> = listing
        .assets()
        .into_iter()
        .map(|(n, a)| (n, a.id, a.title, a.role, a.bytes))
        .collect();
    let row = |n, id: &str, title: &str, role| {
        (
            n,
            id.to_owned(),
            title.to_owned(),
            role,
            Some(id.len() as u64),
        )
    };
    assert_eq!(
        got,
        [
            row(1, ".x/y.png", ".x", Role::Artwork),
            row(2, "a b:c.mov", "a b:c", Role::Master),
            row(3, "dune/.hidden.pdf", "dune", Role::Document),
            row(4, "dune/a.mov", "dune", Role::Master),
            row(5, "dune/b/c.srt", "dune", Role::Subtitle),
            row(6, "z.wav", "z", Role::Audio),
        ]
    );
    let asset = &listing.assets()[1].1;
    assert_eq!(
        (asset.location.as_str(), asset.path.as_str()),
        (
            &*format!("file:{}/a b:c.mov", text(dir.path())),
            "a b:c.mov"
        )
    );
    assert_eq!(
        listing
            .pages
            .iter()
            .map(|page| page.page)
            .collect::<Vec<_>>(),
        [0, 1]
    );
    assert_eq!(listing.errors(), []);
}

#[test]
fn a_pattern_fills_columns_and_reports_what_it_does_not_match() {
    let dir = tree(&[
        "dune_s01e02_de_proxy.mov",
        "dune_s01e02_de_trailer.mov",
        "notes.txt",
    ]);
    let pattern = r"^(?<title>\w+?)_s(?<season>\d+)e(?<episode>\d+)_(?<language>..)_(?<role>\w+)\.(?<wrapper>\w+)$";
    let listing = scan(&folder(&dir, Some(pattern))).finished();
    let [(_, asset)] = &listing.assets()[..] else {
        panic!("{:?}", listing.pages)
    };
    let declared = asset.declared.as_ref().expect("declared");
    assert_eq!(
        (asset.title.as_str(), asset.role, asset.language()),
        ("dune", Role::Proxy, Some("de"))
    );
    assert_eq!(
        (declared.season.as_deref(), declared.episode.as_deref()),
        (Some("01"), Some("02"))
    );
    assert_eq!(
        declared.meta.get("wrapper").map(String::as_str),
        Some("mov")
    );
    let errors = listing.errors();
    assert_eq!(
        (errors.len(), errors[0].column.as_deref()),
        (2, Some("role"))
    );
    assert!(
        errors[1].message.contains("\"notes.txt\" does not match"),
        "{}",
        errors[1].message
    );
}

#[test]
fn links_pipes_and_odd_names_are_reported_and_the_rest_goes_on() {
    use std::os::unix::ffi::OsStrExt;
    let outside = tree(&["secret.mov"]);
    let dir = tree(&["real/a.mov", "z.mov"]);
    let at = |name: &str| dir.path().join(name);
    symlink(at("z.mov"), at("link-in.mov")).expect("a link");
    symlink(outside.path().join("secret.mov"), at("link-out.mov")).expect("a link");
    symlink(at("nowhere"), at("dangling")).expect("a link");
    symlink(at("loop"), at("loop")).expect("a link");
    symlink(dir.path(), at("real/up")).expect("a link");
    std::fs::write(
        dir.path().join(std::ffi::OsStr::from_bytes(b"bad\xff.mov")),
        "x",
    )
    .expect("a file");
    std::fs::write(at("new\nline.mov"), "x").expect("a file");
    let pipe = std::process::Command::new("mkfifo")
        .arg(at("pipe"))
        .status()
        .expect("mkfifo runs");
    assert!(pipe.success());
    let listing = scan(&folder(&dir, None)).finished();
    assert_eq!(listing.ids(), ["link-in.mov", "real/a.mov", "z.mov"]);
    let named: Vec<String> = listing
        .errors()
        .into_iter()
        .filter_map(|error| error.asset)
        .collect();
    assert_eq!(
        named,
        [
            "bad\u{fffd}.mov",
            "dangling",
            "link-out.mov",
            "loop",
            "new\\nline.mov",
            "pipe",
            "real/up"
        ],
        "each says which file is meant"
    );
    let messages: Vec<String> = listing
        .errors()
        .into_iter()
        .map(|error| error.message)
        .collect();
    let expected = [
        "not UTF-8",
        "leads nowhere",
        "leads out of",
        "leads nowhere",
        "control character",
        "a pipe",
        "leads to a directory",
    ];
    assert_eq!(messages.len(), expected.len(), "{messages:#?}");
    for (message, says) in messages.iter().zip(expected) {
        assert!(message.contains(says), "{message} should say {says}");
    }
}

fn filter(include: &[&str], exclude: &[&str]) -> PathFilter {
    let owned = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect();
    PathFilter {
        include: owned(include),
        exclude: owned(exclude),
    }
}

#[test]
fn a_folder_lists_what_its_filter_selects() {
    let files = [
        "Thumbs.db",
        "a.mov",
        "a_proxy.mov",
        "cards/1/clip.mov",
        "cards/1/notes.txt",
        "old/b.mov",
        "sound/a.wav",
    ];
    let dir = tree(&files);
    let pattern = r"\.(mov|wav)$";
    for (include, exclude, expected) in [
        (
            &[][..],
            &["Thumbs.db", "*.txt"][..],
            &files[1..4]
                .iter()
                .chain(&files[5..])
                .copied()
                .collect::<Vec<_>>()[..],
        ),
        (
            &["*.mov"],
            &["old/", "*_proxy.mov"],
            &["a.mov", "cards/1/clip.mov"],
        ),
        (
            &["cards/**", "/*.mov"],
            &["*.txt"],
            &["a.mov", "a_proxy.mov", "cards/1/clip.mov"],
        ),
        (&["*.MOV"], &[], &[]),
    ] {
        let listing = scan_selected(
            &folder(&dir, Some(pattern)),
            Some(&filter(include, exclude)),
        )
        .finished();
        assert_eq!(listing.ids(), expected, "{include:?} {exclude:?}");
        // What is left out is not held against the pattern either, and is not counted.
        assert_eq!(listing.errors(), [], "{include:?} {exclude:?}");
        let numbers: Vec<u64> = listing
            .assets()
            .into_iter()
            .map(|(number, _)| number)
            .collect();
        assert_eq!(numbers, (1..=expected.len() as u64).collect::<Vec<_>>());
    }
}

#[test]
fn a_sidecar_that_is_excluded_is_honoured() {
    let dir = tree(&["a.mov", "b.mov"]);
    let md5 = "900150983cd24fb0d6963f7d28e17f72";
    std::fs::write(dir.path().join("a.mov.md5"), md5).expect("a sidecar");
    std::fs::write(dir.path().join("b.mov.md5"), "nonsense").expect("a sidecar");
    for chosen in [filter(&["*.mov"], &[]), filter(&[], &["*.md5"])] {
        let listing = scan_selected(&folder(&dir, None), Some(&chosen)).finished();
        assert_eq!(listing.ids(), ["a.mov", "b.mov"]);
        assert_eq!(
            listing.assets()[0].1.hash.as_deref(),
            Some(&*format!("md5:{md5}"))
        );
        let errors = listing.errors();
        assert!(
            errors.len() == 1 && errors[0].message.contains("b.mov.md5"),
            "{errors:?}"
        );
    }
}

#[test]
fn what_is_excluded_fails_nothing() {
    use std::os::unix::ffi::OsStrExt;
    let dir = tree(&["a.mov", "locked/x.mov"]);
    let at = |name: &str| dir.path().join(name);
    symlink(at("nowhere"), at("dangling.lnk")).expect("a link");
    symlink(dir.path(), at("up")).expect("a link");
    std::fs::write(
        dir.path().join(std::ffi::OsStr::from_bytes(b"bad\xff.tmp")),
        "x",
    )
    .expect("a file");
    let pipe = std::process::Command::new("mkfifo")
        .arg(at("pipe.tmp"))
        .status()
        .expect("mkfifo runs");
    assert!(pipe.success());
    let chosen = filter(&[], &["*.lnk", "up/", "*.tmp", "locked/**"]);
    let listing = scan_selected(&folder(&dir, None), Some(&chosen)).finished();
    assert_eq!(
        (listing.ids(), listing.errors()),
        (vec!["a.mov".to_owned()], vec![])
    );
    assert_eq!(scan(&folder(&dir, None)).finished().errors().len(), 4);
    // A link to a folder may have led to what is included: it is named unless it is excluded.
    let errors = scan_selected(&folder(&dir, None), Some(&filter(&["*.mov"], &["*.lnk"])))
        .finished()
        .errors();
    assert!(
        errors.len() == 1 && errors[0].message.contains("leads to a directory"),
        "{errors:?}"
    );
}

#[test]
fn an_excluded_folder_is_not_listed() {
    let dir = tree(&["a.mov", "cache/x.mov", "cache/y/z.mov"]);
    let cache = dir.path().join("cache");
    std::fs::set_permissions(&cache, std::os::unix::fs::PermissionsExt::from_mode(0o000))
        .expect("locked");
    let before = std::fs::metadata(&cache)
        .and_then(|meta| meta.accessed())
        .expect("a time");
    let listing = scan_selected(&folder(&dir, None), Some(&filter(&[], &["cache/"]))).finished();
    assert_eq!(
        (listing.ids(), listing.errors()),
        (vec!["a.mov".to_owned()], vec![])
    );
    assert_eq!(
        std::fs::metadata(&cache)
            .and_then(|meta| meta.accessed())
            .expect("a time"),
        before
    );
    std::fs::set_permissions(&cache, std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .expect("unlocked");
}

#[test]
fn a_filter_that_cannot_be_read_fails_the_scan() {
    let dir = tree(&["a.mov"]);
    let listing = scan_selected(&folder(&dir, None), Some(&filter(&["[a"], &[])));
    assert_eq!(
        (listing.failure().reason.as_str(), listing.pages.len()),
        ("library_filter", 0)
    );
}

/// Manifests that look right at first and go wrong in many ways.
fn fragments() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just("a1,t,master,x.mov\n".as_bytes().to_vec()),
        Just("a2,\"t\n1\",audio,\"x\"\"y\"\r\n".as_bytes().to_vec()),
        Just(
            "{\"asset\":\"j\",\"title\":\"t\",\"role\":\"proxy\",\"location\":\"x\"}\n"
                .as_bytes()
                .to_vec()
        ),
        Just(b"\"".to_vec()),
        Just(b"\r".to_vec()),
        Just(b"\n".to_vec()),
        Just(b",".to_vec()),
        Just(b"\xef\xbb\xbf".to_vec()),
        prop::collection::vec(any::<u8>(), 0..12),
    ];
    prop::collection::vec(piece, 0..20).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_bytes_are_read_without_panic_and_in_order(body in fragments(), headed in any::<bool>(), json in any::<bool>(), page_assets in 1u32..5) {
        let dir = TempDir::new().expect("a directory");
        let mut content = if headed { HEADER.as_bytes().to_vec() } else { Vec::new() };
        content.extend_from_slice(&body);
        let task = manifest(&dir, if json { "m.jsonl" } else { "m.csv" }, content, page_assets);
        let listing = scan(&task);
        if let UnitResult::Failed(failure) = &listing.result {
            prop_assert_eq!(failure.reason.as_str(), "manifest_header");
            return Ok(());
        }
        let whole = assert_resumable(&task);
        let one_page = scan(&ScanTask { page_assets: 1000, ..task }).finished();
        prop_assert_eq!(whole.assets(), one_page.assets());
        prop_assert_eq!(whole.errors(), one_page.errors());
        let lines: Vec<u64> = whole.assets().iter().map(|(line, _)| *line).collect();
        prop_assert!(lines.is_sorted());
    }
}

#[test]
fn sidecars_declare_hashes_and_bad_ones_are_named() {
    let dir = TempDir::new().expect("a directory");
    let md5 = "900150983cd24fb0d6963f7d28e17f72";
    for (name, content) in [
        ("a.mov", "abc"),
        ("a.mov.md5", md5),
        ("a.mov.xxh64", "44bc2cf5ad770999"),
        ("b.mov", "abc"),
        ("b.mov.sha1", "short"),
        ("d/c.mov", "abc"),
        ("d/c.mov.md5", md5),
        ("e.md5", md5),
    ] {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().expect("above")).expect("created");
        std::fs::write(path, content).expect("written");
    }
    let listing = scan(&folder(&dir, None)).finished();
    let declared: Vec<(String, String)> = listing
        .assets()
        .into_iter()
        .filter_map(|(_, asset)| Some((asset.id, asset.hash?)))
        .collect();
    let expected = [
        ("a.mov", "xxh64:44bc2cf5ad770999"),
        ("d/c.mov", "md5:900150983cd24fb0d6963f7d28e17f72"),
    ];
    assert_eq!(
        declared,
        expected.map(|(id, hash)| (id.to_owned(), hash.to_owned()))
    );
    assert_eq!(
        listing.ids().len(),
        8,
        "sidecars are files of the library too"
    );
    let errors = listing.errors();
    assert!(
        errors.len() == 1 && errors[0].message.contains("b.mov.sha1"),
        "{errors:?}"
    );
}

#[test]
fn unfinished_files_of_other_jobs_are_no_assets() {
    let dir = TempDir::new().expect("a directory");
    let names = [
        "a.mov",
        ".a.mov.0123456789abcdef.sr-part",
        "b/.c.mov.0123456789abcdef.sr-upload",
        ".ascmhl.sr-part/ascmhl_chain.xml",
        "b/.ascmhl.sr-part/deep/0001.mhl",
    ];
    for name in names {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("created");
        std::fs::write(path, "x").expect("written");
    }
    std::fs::write(dir.path().join("b/.c.mov.0123456789abcdef.sr-ledger"), "x").expect("written");
    std::fs::write(dir.path().join("b/kept.sr-part"), "x").expect("written");
    assert_eq!(
        scan(&folder(&dir, None)).finished().ids(),
        ["a.mov", "b/kept.sr-part"]
    );
}

#[test]
fn sidecar_with_an_upper_case_extension_is_honoured() {
    let dir = TempDir::new().expect("a directory");
    std::fs::write(dir.path().join("a.mov"), "abc").expect("written");
    std::fs::write(dir.path().join("a.mov-2"), "abc").expect("written");
    for sidecar in ["a.mov.MD5", "a.mov.Md5", "a.mov.mD5"] {
        std::fs::write(
            dir.path().join(sidecar),
            "900150983cd24fb0d6963f7d28e17f72  a.mov",
        )
        .expect("written");
        let assets = scan(&folder(&dir, None)).finished().assets();
        let hashes: Vec<_> = assets
            .iter()
            .map(|(_, asset)| (asset.id.as_str(), asset.hash.is_some()))
            .collect();
        assert_eq!(
            hashes,
            [("a.mov", true), ("a.mov-2", false), (sidecar, false)]
        );
        std::fs::remove_file(dir.path().join(sidecar)).expect("removed");
    }
}

/// A folder has no place to start from in its middle: it is walked again, and what is stored is not sent once more.
#[test]
fn folder_listed_again_sends_exactly_the_pages_that_were_left() {
    let names: Vec<String> = (0..20).map(|n| format!("t{}/f{n:02}.mov", n / 6)).collect();
    let dir = tree(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let task = folder(&dir, None);
    let whole = scan(&task).finished();
    assert_eq!(whole.pages.len(), 7);
    for stored in 0..=7u64 {
        let resume = (stored > 0).then_some(ScanCursor {
            page: stored,
            byte: 0,
            line: 1,
        });
        let rest = scan(&ScanTask {
            resume,
            ..task.clone()
        });
        assert_eq!(
            rest.result,
            UnitResult::Listed { pages: 7 },
            "with {stored} pages stored"
        );
        assert_eq!(
            rest.pages,
            whole.pages[stored as usize..],
            "with {stored} pages stored"
        );
    }
    // Files that were stored and are gone: it ends, where it used to be listed again and again.
    std::fs::remove_dir_all(dir.path().join("t3")).expect("removed");
    std::fs::remove_dir_all(dir.path().join("t2")).expect("removed");
    let resume = Some(ScanCursor {
        page: 7,
        byte: 0,
        line: 1,
    });
    assert_eq!(
        scan(&ScanTask { resume, ..task }).result,
        UnitResult::Listed { pages: 7 }
    );
}

/// Keeps pages, and swaps a directory of the library for a link when the first one arrives.
struct Swapping {
    kept: Kept,
    library: std::path::PathBuf,
}

#[async_trait]
impl Effects for Swapping {
    async fn send(&self, effect: Effect) -> Result<(), Failure> {
        let listed = self.library.join("b");
        if std::fs::rename(&listed, self.library.with_file_name("moved")).is_ok() {
            symlink(self.library.with_file_name("outside"), listed).expect("linked");
        }
        self.kept.send(effect).await
    }
}

#[test]
fn directory_swapped_for_a_link_during_the_listing_leads_nowhere() {
    let dir = TempDir::new().expect("a directory");
    for folder in ["library/b/c", "outside/c"] {
        std::fs::create_dir_all(dir.path().join(folder)).expect("created");
    }
    for file in 0..9 {
        std::fs::write(dir.path().join(format!("library/b/{file}")), "x").expect("written");
    }
    std::fs::write(dir.path().join("outside/c/secret"), "x").expect("written");
    let library = dir.path().join("library");
    let source = ScanSource::Folder {
        path: text(&library),
        pattern: None,
    };
    let task = ScanTask {
        source,
        root: text(&library),
        resume: None,
        page_assets: 1,
    };
    let effects = Arc::new(Swapping {
        kept: Kept::default(),
        library,
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime starts");
    let result = runtime.block_on(run(&task, None, &unit(&task), &context(effects.clone())));
    let pages = std::mem::take(&mut *effects.kept.0.lock());
    let listing = Listing { result, pages }.finished();
    assert_eq!(listing.ids().len(), 9, "{:?}", listing.ids());
    assert!(
        listing.errors()[0].message.contains("cannot be listed"),
        "{:?}",
        listing.errors()
    );
}
