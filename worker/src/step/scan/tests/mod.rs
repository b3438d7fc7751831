//! Whole scans against files on disk: what arrives, in which pages, and what is said about the rest.
mod csv;
mod filter;
mod folder;
mod jsonl;
mod manifest;
mod sidecar;

use super::*;
use crate::step::{Effect, Effects};
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

fn context(effects: Arc<dyn Effects>) -> StepContext {
    StepContext {
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
    scan_with_links(task, filter, OnLink::Fail)
}

fn scan_with_links(task: &ScanTask, filter: Option<&PathFilter>, on_link: OnLink) -> Listing {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime starts");
    let kept = Arc::new(Kept::default());
    let result = runtime.block_on(run(
        task,
        filter,
        on_link,
        &unit(task),
        &context(kept.clone()),
    ));
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
