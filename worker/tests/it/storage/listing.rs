//! Libraries in buckets: every object once, in pages that go on where they were interrupted, with their sidecars.
use crate::fixture::{context, finished, unit};
use crate::storage::conformance::Bench;
use crate::storage::subjects::{self, Subject};
use ::storage::Registry;
use async_trait::async_trait;
use parking_lot::Mutex;
use protocol::failure::Failure;
use protocol::id::{JobNo, Kind, StepNo, UnitId};
use protocol::media::asset::Asset;
use protocol::media::path_filter::PathFilter;
use protocol::model::scan_cursor::ScanCursor;
use protocol::wire::report::{RowError, ScanPage, UnitResult};
use protocol::wire::step::TaskSpec;
use protocol::wire::step::scan::{ScanSource, ScanTask};
use protocol::wire::unit::Unit;
use std::sync::Arc;
use worker::step::{Effect, Effects, StepContext};

/// Keeps pages; takes no more than `most`.
struct Kept {
    pages: Mutex<Vec<(ScanPage, String)>>,
    most: usize,
}

#[async_trait]
impl Effects for Kept {
    async fn send(&self, effect: Effect) -> Result<(), Failure> {
        let Effect::Page { page, last_key } = effect else {
            panic!("a listing sends pages only")
        };
        assert!(
            last_key.is_some() || page.assets.is_empty(),
            "a page of a bucket says how far it goes"
        );
        let mut pages = self.pages.lock();
        if pages.len() == self.most {
            return Err(Failure::transient("coordinator_gone", "enough"));
        }
        pages.push((page, last_key.unwrap_or_default()));
        Ok(())
    }
}

struct Listed {
    result: UnitResult,
    pages: Vec<(ScanPage, String)>,
}

impl Listed {
    fn assets(&self) -> Vec<Asset> {
        self.pages
            .iter()
            .flat_map(|(page, _)| page.assets.iter().map(|listed| listed.asset.clone()))
            .collect()
    }

    fn ids(&self) -> Vec<String> {
        self.assets().into_iter().map(|asset| asset.id).collect()
    }

    fn errors(&self) -> Vec<RowError> {
        self.pages
            .iter()
            .flat_map(|(page, _)| page.errors.clone())
            .collect()
    }
}

/// Lists what is below `location`, from a page and key on, at most so many pages.
async fn list(
    base: &StepContext,
    location: &str,
    from: Option<(u64, String)>,
    most: usize,
) -> Listed {
    list_selected(base, location, None, from, most).await
}

/// Lists what a filter selects.
async fn list_selected(
    base: &StepContext,
    location: &str,
    filter: Option<PathFilter>,
    from: Option<(u64, String)>,
    most: usize,
) -> Listed {
    let kept = Arc::new(Kept {
        pages: Mutex::default(),
        most,
    });
    let (resume, after) = from.map_or((None, None), |(page, key)| {
        (
            Some(ScanCursor {
                page,
                byte: 0,
                line: 0,
            }),
            Some(key),
        )
    });
    let source = ScanSource::Bucket {
        location: location.to_owned(),
        pattern: None,
        after,
    };
    let scan = ScanTask {
        source,
        root: location.to_owned(),
        resume,
        page_assets: 7,
    };
    let id = UnitId::new(JobNo(1), StepNo::SCAN, 0);
    let task = Arc::new(match filter {
        Some(filter) => TaskSpec::ScanSelected { scan, filter },
        None => TaskSpec::Scan(scan),
    });
    let unit = Unit {
        id,
        epoch: 1,
        attempt: 0,
        kind: Kind::Scan,
        task,
        assets: vec![],
        deadline: None,
    };
    let context = StepContext {
        effects: Arc::clone(&kept) as Arc<dyn Effects>,
        ..base.clone()
    };
    let result = worker::step::run(&unit, &context).await;
    let pages = std::mem::take(&mut *kept.pages.lock());
    Listed { result, pages }
}

/// The library again, through a filter: whole, and interrupted after its first page.
async fn only_what_is_selected(context: &StepContext, location: &str, whole: &Listed) {
    let filter = PathFilter {
        include: vec!["*.mov".into()],
        exclude: vec!["t1/".into(), "*-x.*".into()],
    };
    let selected = list_selected(context, location, Some(filter.clone()), None, usize::MAX).await;
    let chosen =
        |id: &String| id.ends_with(".mov") && !id.starts_with("t1/") && !id.contains("-x.");
    let expected: Vec<String> = whole.ids().into_iter().filter(chosen).collect();
    assert_eq!(selected.ids(), expected, "{location}");
    // Sidecars are read although they are left out.
    assert!(
        selected
            .assets()
            .iter()
            .all(|asset| asset.hash.is_some() == (asset.id == "t0/00.mov")),
        "{location}"
    );
    assert_eq!(selected.errors(), whole.errors(), "{location}");
    let begun = list_selected(context, location, Some(filter.clone()), None, 1).await;
    let (last, key) = begun.pages.last().cloned().expect("a page");
    let rest = list_selected(
        context,
        location,
        Some(filter),
        Some((last.page + 1, key)),
        usize::MAX,
    )
    .await;
    let both: Vec<String> = begun.ids().into_iter().chain(rest.ids()).collect();
    assert_eq!(both, expected, "{location}, interrupted");
}

async fn every_object_once(subject: Subject) {
    let name = subject.name;
    let (storage, prefix) = subject.open("library").await;
    let location = format!("{}library", subject.base);
    let bench = Bench {
        subject: &subject,
        storage,
        prefix,
    };
    let mut expected: Vec<String> = (0..40).map(|n| format!("t{}/{n:02}.mov", n / 10)).collect();
    expected.extend(["t0/00.mov.md5", "t0/01.mov.md5", "t0-x.mov", "a b ü.mov"].map(str::to_owned));
    for key in &expected {
        let content = match key.as_str() {
            "t0/00.mov.md5" => "900150983cd24fb0d6963f7d28e17f72  00.mov",
            "t0/01.mov.md5" => "nonsense",
            _ => "abc",
        };
        bench.put(&bench.key(key), content.as_bytes()).await;
    }
    for other in [
        "ascmhl/0001_x.mhl",
        "t1/ascmhl/ascmhl_chain.xml",
        ".showrunner/j/x.jsonl",
        ".DS_Store",
    ] {
        bench.put(&bench.key(other), b"no asset").await;
    }
    for unfinished in [
        "t1/.x.mov.0123456789abcdef.sr-part",
        ".ascmhl.sr-part/chain.xml",
        "t1/.ascmhl.sr-part/a/1.mhl",
    ] {
        bench.put(&bench.key(unfinished), b"unfinished").await;
    }
    bench.put("library2/outside.mov", b"abc").await;
    let context = StepContext {
        storage: Arc::new(subject.registry),
        ..context()
    };
    let whole = list(&context, &location, None, usize::MAX).await;
    let mut ids = whole.ids();
    ids.sort();
    expected.sort();
    assert_eq!(ids, expected, "{name}");
    let pages = whole.pages.len() as u64;
    assert!(
        pages > 4 && whole.result == UnitResult::Listed { pages },
        "{name}: {:?}",
        whole.result
    );
    for asset in whole.assets() {
        assert_eq!(
            (asset.location.clone(), asset.path.as_str()),
            (format!("{location}/{}", asset.id), asset.id.as_str())
        );
        assert_eq!(
            asset.hash.is_some(),
            asset.id == "t0/00.mov",
            "{name}: {asset:?}"
        );
        assert!(asset.bytes.is_some());
    }
    let errors = whole.errors();
    assert!(
        errors.len() == 1 && errors[0].message.contains("01.mov.md5"),
        "{name}: {errors:?}"
    );
    // Interrupted after every page in turn, it goes on where it was.
    for taken in 1..pages as usize {
        let begun = list(&context, &location, None, taken).await;
        assert!(
            matches!(begun.result, UnitResult::Failed(_)),
            "{name}: {:?}",
            begun.result
        );
        let (last, key) = begun.pages.last().cloned().expect("a page");
        let rest = list(&context, &location, Some((last.page + 1, key)), usize::MAX).await;
        assert_eq!(
            rest.pages.first().map(|(page, _)| page.page),
            Some(taken as u64),
            "{name}"
        );
        let both: Vec<String> = begun.ids().into_iter().chain(rest.ids()).collect();
        assert_eq!(both, whole.ids(), "{name}, interrupted after page {taken}");
    }
    only_what_is_selected(&context, &location, &whole).await;
    let nothing = list(
        &context,
        &format!("{}nothing", subject.base),
        None,
        usize::MAX,
    )
    .await;
    assert_eq!(
        (nothing.result, nothing.pages.len()),
        (UnitResult::Listed { pages: 1 }, 1)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_library_on_seaweedfs() {
    if let Some(subject) = subjects::weed().await {
        every_object_once(subject).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_library_on_ministack() {
    if let Some(subject) = subjects::ministack().await {
        every_object_once(subject).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_library_on_google_cloud_storage() {
    every_object_once(subjects::stub().await).await;
}

#[tokio::test]
async fn object_with_content_under_a_directory_name_is_an_asset() {
    let (url, bucket) = crate::storage::s3_stub::start(&[]).await;
    for (key, content) in [
        ("in/", ""),
        ("in/a/", ""),
        ("in/b/", "content"),
        ("in/c//", "content"),
        ("in/d.mov", "x"),
    ] {
        bucket
            .lock()
            .expect("sound")
            .objects
            .insert(key.into(), content.into());
    }
    let dir = tempfile::tempdir().expect("a temp dir");
    let file = subjects::credentials(dir.path(), "secret");
    let registry = Registry::new(crate::storage::s3_status::settings(&url, &file));
    let context = StepContext {
        storage: Arc::new(registry),
        ..context()
    };
    let listed = list(&context, "s3://bucket/in", None, usize::MAX).await;
    let found: Vec<_> = listed
        .assets()
        .into_iter()
        .map(|asset| (asset.id, asset.path, asset.location))
        .collect();
    let expected = [
        ("b/", "b", "s3://bucket/in/b/"),
        ("d.mov", "d.mov", "s3://bucket/in/d.mov"),
    ];
    assert_eq!(
        found,
        expected.map(|(id, path, location)| (id.to_owned(), path.to_owned(), location.to_owned()))
    );
    let errors = listed.errors();
    assert!(
        errors.len() == 1 && errors[0].message.contains("c//"),
        "{errors:?}"
    );
    // And it can be carried.
    let assets: Vec<Asset> = listed.assets();
    let to = format!("file:{}/out/{{path}}", dir.path().display());
    let unit = unit(&crate::storage::carry::task(&to), &assets);
    let (facts, failures) = finished(worker::step::run(&unit, &context).await);
    assert_eq!((facts.len(), failures), (2, vec![]));
    assert_eq!(
        std::fs::read(dir.path().join("out/b")).expect("there"),
        b"content"
    );
}
