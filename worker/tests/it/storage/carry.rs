//! Transfers between storages of every kind: whole, skipped, refused, damaged, called off, killed and gone on with.
use crate::fixture::{asset, context, finished, noise, unit};
use crate::storage::server::Server;
use crate::storage::subjects::{self, Lacks, Subject, credentials, uploads};
use crate::storage::web::{Request, ranged, serve};
use ::storage::faults::{Fault, Faults};
use ::storage::hash::hash_bytes;
use ::storage::layer::Operation;
use ::storage::settings::{EndpointSettings, StorageSettings};
use ::storage::{BeginRequest, Layered, Registry, Storage, Upload};
use parking_lot::Mutex;
use protocol::failure::Failure;
use protocol::media::asset::{Asset, AssetFact};
use protocol::model::hash::HashAlgorithm;
use protocol::wire::report::UnitResult;
use protocol::wire::step::transfer::TransferTask;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use worker::step::StepContext;

const MIB: usize = 1024 * 1024;
/// In its environment, the child that is killed finds the directory, the server and the moment.
const CHILD: &str = "SHOWRUNNER_TEST_CARRY";

/// A directory, a storage, and what is seen of the calls to it.
pub(super) struct Road {
    pub(super) dir: tempfile::TempDir,
    pub(super) base: String,
    registry: Arc<Registry>,
    calls: Faults,
    sent: Arc<Mutex<Vec<(Operation, u64)>>>,
    /// Another way to the same storage, on which nothing goes wrong.
    clean: Registry,
    _alive: (Option<Server>, Option<tempfile::TempDir>),
}

impl Road {
    pub(super) fn new(
        subject: Subject,
        mut fault: impl FnMut(Operation) -> Option<Fault> + Send + 'static,
    ) -> Road {
        let sent = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&sent);
        let calls = Faults::new(move |call| {
            seen.lock().push((call.operation, call.bytes));
            fault(call.operation)
        });
        let layer = calls.clone();
        // Directories are as they are: a layer would keep content from being written while it comes.
        let around = move |inner: Arc<dyn Storage>| match inner.location("x").starts_with("file:") {
            true => inner,
            false => Arc::new(Layered::new(inner, layer.clone())) as Arc<dyn Storage>,
        };
        let clean = subject.again();
        let registry = Arc::new(subject.registry.around(around));
        let dir = tempfile::tempdir().expect("a temp dir");
        Road {
            dir,
            base: subject.base,
            registry,
            calls,
            sent,
            clean,
            _alive: subject.alive,
        }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(super) fn file(&self, name: &str, content: &[u8]) -> Asset {
        let path = self.path("in").join(name);
        std::fs::create_dir_all(path.parent().expect("below in")).expect("created");
        std::fs::write(&path, content).expect("written");
        asset(name, &path)
    }

    pub(super) fn object(&self, name: &str, below: &str) -> Asset {
        Asset {
            location: format!("{}{below}/{name}", self.base),
            ..asset(name, Path::new("/"))
        }
    }

    pub(super) fn context(&self) -> StepContext {
        StepContext {
            storage: Arc::clone(&self.registry),
            ..context()
        }
    }

    pub(super) async fn carry(
        &self,
        to: &str,
        assets: &[Asset],
    ) -> (Vec<AssetFact>, Vec<(String, Failure)>) {
        finished(worker::step::run(&unit(&task(to), assets), &self.context()).await)
    }

    async fn up(&self, assets: &[Asset]) -> (Vec<AssetFact>, Vec<(String, Failure)>) {
        self.carry(&format!("{}up/{{path}}", self.base), assets)
            .await
    }

    pub(super) async fn storage(&self) -> (Arc<dyn Storage>, String) {
        let opened = self
            .clean
            .open(&format!("{}up", self.base), None)
            .await
            .expect("opened");
        (opened.storage, opened.key)
    }

    pub(super) async fn content(&self, name: &str) -> Option<Vec<u8>> {
        let (storage, root) = self.storage().await;
        let key = format!("{root}/{name}");
        let state = storage.stat(&key).await.ok()?;
        let reading = storage
            .read(&key, 0..state.bytes, None)
            .await
            .expect("readable");
        Some(reading.collect().await.expect("whole").concat())
    }

    pub(super) async fn uploads(&self) -> Vec<Upload> {
        let (storage, root) = self.storage().await;
        uploads(&*storage).uploads(&root).await.expect("listed")
    }

    pub(super) fn bytes_of(&self, operation: Operation) -> u64 {
        self.sent
            .lock()
            .iter()
            .filter(|(of, _)| *of == operation)
            .map(|(_, bytes)| bytes)
            .sum()
    }

    fn count(&self, operation: Operation) -> usize {
        self.sent
            .lock()
            .iter()
            .filter(|(of, _)| *of == operation)
            .count()
    }
}

pub(super) fn task(to: &str) -> TransferTask {
    let verify = Some(HashAlgorithm::Xxh128);
    TransferTask {
        to: to.into(),
        verify,
        hashes: vec![HashAlgorithm::Md5],
        job: "job-1".into(),
        mhl: false,
    }
}

pub(super) fn xxh128(content: &[u8]) -> Option<String> {
    Some(hash_bytes(HashAlgorithm::Xxh128, content).to_string())
}

pub(super) fn reasons(failures: &[(String, Failure)]) -> Vec<(&str, &str)> {
    failures
        .iter()
        .map(|(id, failure)| (id.as_str(), failure.reason.as_str()))
        .collect()
}

/// Up, across, down again; a second time; and against other content, where the server notices it.
async fn round_trip(subject: Subject) {
    let (name, judges) = (subject.name, !subject.lacks(Lacks::CommitConditions));
    let mut sizes = vec![0, 1, 16 * 1024, 8 * MIB, 8 * MIB + 1, 21 * MIB + 12_345];
    if subject.lacks(Lacks::Compose) {
        sizes.retain(|size| *size <= 8 * MIB);
    }
    let road = Road::new(subject, |_| None);
    let contents: Vec<Vec<u8>> = sizes
        .iter()
        .map(|size| noise(*size, *size as u64))
        .collect();
    let named = |i: usize| format!("d{i}/a b%20.mov");
    let files: Vec<Asset> = contents
        .iter()
        .enumerate()
        .map(|(i, c)| road.file(&named(i), c))
        .collect();
    let (facts, failures) = road.up(&files).await;
    assert_eq!(
        (failures, facts.len()),
        (Vec::new(), sizes.len()),
        "{name}: up"
    );
    for (fact, content) in facts.iter().zip(&contents) {
        assert_eq!(
            (fact.bytes, fact.skipped),
            (Some(content.len() as u64), false),
            "{name}"
        );
        assert_eq!(
            (&fact.hash, &fact.location),
            (
                &xxh128(content),
                &Some(format!("{}up/{}", road.base, fact.asset))
            )
        );
        assert!(
            road.content(&fact.asset).await.as_ref() == Some(content),
            "{name}: {}",
            fact.asset
        );
    }
    let objects: Vec<Asset> = (0..sizes.len())
        .map(|i| road.object(&named(i), "up"))
        .collect();
    let (facts, failures) = road
        .carry(&format!("{}across/{{path}}", road.base), &objects)
        .await;
    assert_eq!(
        (failures, facts.len()),
        (Vec::new(), sizes.len()),
        "{name}: across"
    );
    let copies: Vec<Asset> = (0..sizes.len())
        .map(|i| Asset {
            bytes: Some(sizes[i] as u64),
            hash: xxh128(&contents[i]),
            ..road.object(&named(i), "across")
        })
        .collect();
    let down = format!("file:{}/{{path}}", road.path("down").display());
    let (facts, failures) = road.carry(&down, &copies).await;
    assert_eq!(
        (failures, facts.len()),
        (Vec::new(), sizes.len()),
        "{name}: down"
    );
    for (i, content) in contents.iter().enumerate() {
        assert!(
            std::fs::read(road.path("down").join(named(i))).expect("landed") == *content,
            "{name}: {i}"
        );
        let beside = std::fs::read_dir(road.path("down").join(format!("d{i}")))
            .expect("listed")
            .count();
        assert_eq!(beside, 1, "{name}: nothing hidden is left");
    }
    let again = [
        (judges, road.up(&files).await),
        (true, road.carry(&down, &copies).await),
    ];
    for (seen, (facts, failures)) in again {
        let skipped = facts.iter().filter(|fact| fact.skipped).count();
        assert_eq!((failures, facts.len()), (Vec::new(), sizes.len()), "{name}");
        assert!(!seen || skipped == sizes.len(), "{name}: {skipped} skipped");
    }
    assert_eq!(road.uploads().await, [], "{name}");
    if !judges {
        return;
    }
    let others: Vec<Asset> = [2, 4]
        .map(|i| road.file(&named(i), &noise(sizes[i], 99)))
        .to_vec();
    let (facts, failures) = road.up(&others).await;
    assert_eq!(facts.len(), 0, "{name}");
    let conflict = "destination_conflict";
    assert_eq!(
        reasons(&failures),
        [(named(2).as_str(), conflict), (named(4).as_str(), conflict)],
        "{name}"
    );
    assert!(
        road.content(&named(4)).await.as_ref() == Some(&contents[4]),
        "{name}: it was not touched"
    );
    assert_eq!(road.uploads().await, [], "{name}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn weed_takes_and_gives_everything() {
    let Some(subject) = subjects::weed().await else {
        return;
    };
    round_trip(subject).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_does_a_server_that_knows_md5_only() {
    let Some(subject) = subjects::weed_md5().await else {
        return;
    };
    round_trip(subject).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_does_a_second_kind_of_s3() {
    let Some(subject) = subjects::ministack().await else {
        return;
    };
    round_trip(subject).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_does_google_storage() {
    round_trip(subjects::stub().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_do_both_emulators_of_it() {
    for subject in [subjects::fake_gcs().await, subjects::gcp_emulator().await]
        .into_iter()
        .flatten()
    {
        round_trip(subject).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn web_sources_are_carried_and_what_is_wrong_with_a_source_is_said() {
    let content = noise(9 * MIB, 5);
    let shared = Arc::new(content.clone());
    let url = serve(move |request| match request.method.as_str() {
        "HEAD" => ranged(&Request::default(), &shared, "\"v1\""),
        _ => ranged(request, &shared, "\"v1\""),
    });
    let url = url.await;
    let endpoint = EndpointSettings {
        prefix: "http:".into(),
        allow_private: vec!["127.0.0.0/8".into()],
        ..EndpointSettings::default()
    };
    let settings = StorageSettings {
        endpoints: vec![endpoint],
        ..StorageSettings::default()
    };
    let dir = tempfile::tempdir().expect("a temp dir");
    let at = |name: &str| Asset {
        location: format!("{url}/{name}?sig=secret"),
        ..asset(name, Path::new("/"))
    };
    let mut wrong = at("wrong.mov");
    wrong.hash = Some("md5:d41d8cd98f00b204e9800998ecf8427e".into());
    let mut short = at("short.mov");
    short.bytes = Some(3);
    std::fs::write(dir.path().join("local"), b"local").expect("written");
    let assets = [
        at("a.mov"),
        wrong,
        short,
        asset("local", &dir.path().join("local")),
    ];
    let context = StepContext {
        storage: Arc::new(Registry::new(settings)),
        ..context()
    };
    let to = format!("file:{}/out/{{path}}", dir.path().display());
    let (facts, failures) = finished(worker::step::run(&unit(&task(&to), &assets), &context).await);
    let done: Vec<&str> = facts.iter().map(|fact| fact.asset.as_str()).collect();
    assert_eq!(done, ["a.mov", "local"]);
    assert_eq!(
        reasons(&failures),
        [
            ("wrong.mov", "hash_mismatch"),
            ("short.mov", "size_mismatch")
        ]
    );
    assert!(!format!("{failures:?}").contains("secret"), "{failures:?}");
    assert!(std::fs::read(dir.path().join("out/a.mov")).expect("landed") == content);
    let left = std::fs::read_dir(dir.path().join("out"))
        .expect("listed")
        .count();
    assert_eq!(left, 2, "nothing hidden is left");
}

/// Whatever goes wrong on the way, what is reported good is good, and nothing else is visible.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_end_in_right_objects_or_in_clear_errors() {
    const FAULTS: [Fault; 6] = [
        Fault::Dropped,
        Fault::ReplyLost,
        Fault::ServerError,
        Fault::Truncated,
        Fault::WrongByte,
        Fault::Slow(Duration::from_millis(2)),
    ];
    let Some(subject) = subjects::weed().await else {
        return;
    };
    let mut random = fastrand::Rng::with_seed(11);
    let (mut commits, mut parts, mut reads) = (0u32, 0u32, 0u32);
    let fault = move |operation: Operation| {
        let count = match operation {
            Operation::PutPart => &mut parts,
            Operation::Read => &mut reads,
            operation if operation.commits() => &mut commits,
            _ => return (random.u8(..) < 40).then(|| FAULTS[random.usize(..FAULTS.len())]),
        };
        *count += 1;
        // What matters most happens for certain, the rest by chance.
        match (operation, *count % 7) {
            (operation, 2) if operation.commits() => Some(Fault::ReplyLost),
            (Operation::PutPart | Operation::Read, 3) => Some(Fault::WrongByte),
            _ => (random.u8(..) < 60).then(|| FAULTS[random.usize(..FAULTS.len())]),
        }
    };
    let road = Road::new(subject, fault);
    let contents = [
        noise(100, 1),
        noise(20_000, 2),
        noise(17 * MIB, 3),
        noise(9 * MIB, 4),
    ];
    let mut landed = 0;
    for run in 0..6 {
        let files: Vec<Asset> = contents
            .iter()
            .enumerate()
            .map(|(i, content)| road.file(&format!("{run}-{i}"), content))
            .collect();
        let (facts, failures) = road.up(&files).await;
        assert_eq!(facts.len() + failures.len(), files.len());
        assert!(
            failures
                .iter()
                .all(|(_, failure)| failure.class.retryable()),
            "{failures:?}"
        );
        for fact in &facts {
            let at: usize = fact.asset[2..].parse().expect("a number");
            assert_eq!(fact.hash, xxh128(&contents[at]));
            landed += 1;
            assert!(
                road.content(&fact.asset).await.as_ref() == Some(&contents[at]),
                "{}",
                fact.asset
            );
        }
        // The same down again: what a byte on the wire changed is noticed, since the storage keeps a checksum.
        let objects: Vec<Asset> = facts
            .iter()
            .map(|fact| road.object(&fact.asset, "up"))
            .collect();
        let down = format!("file:{}/{{path}}", road.path("down").display());
        let (facts, failures) = road.carry(&down, &objects).await;
        assert!(
            failures
                .iter()
                .all(|(_, failure)| failure.class.retryable()),
            "{failures:?}"
        );
        for fact in &facts {
            let at: usize = fact.asset[2..].parse().expect("a number");
            assert!(
                std::fs::read(road.path("down").join(&fact.asset)).expect("landed") == contents[at]
            );
        }
    }
    assert!(landed >= 15, "{landed} of 24 landed");
    let happened = road.calls.happened();
    assert!(happened.len() > 30, "{} faults", happened.len());
    assert!(
        happened
            .iter()
            .any(|(of, fault)| of.commits() && *fault == Fault::ReplyLost)
    );
    assert!(happened.contains(&(Operation::PutPart, Fault::WrongByte)));
    assert!(happened.contains(&(Operation::Read, Fault::WrongByte)));
}

/// A byte that the wire changed is in a part that has arrived: nobody goes on with that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_arrived_damaged_comes_again() {
    let Some(subject) = subjects::weed().await else {
        return;
    };
    let mut reads = 0;
    let road = Road::new(subject, move |operation| {
        reads += u32::from(operation == Operation::Read);
        (operation == Operation::Read && reads == 2).then_some(Fault::WrongByte)
    });
    let content = noise(33 * MIB, 15);
    road.up(&[road.file("large", &content)]).await;
    let (object, down) = (road.object("large", "up"), road.path("down"));
    let to = format!("file:{}/{{path}}", down.display());
    let (facts, failures) = road.carry(&to, std::slice::from_ref(&object)).await;
    assert!(
        facts.is_empty() && failures[0].1.reason == "source_damaged",
        "{failures:?}"
    );
    assert_eq!(
        std::fs::read_dir(&down).expect("listed").count(),
        0,
        "nothing hidden is left"
    );
    let (facts, failures) = road.carry(&to, std::slice::from_ref(&object)).await;
    assert_eq!((failures, facts.len()), (Vec::new(), 1));
    assert!(std::fs::read(down.join("large")).expect("landed") == content);
}

/// A server that asks for less is left alone by everybody, and gets everything later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn throttling_server_receives_everything_after_the_pause() {
    // 32 assets of the one unit and the parts of the other are on their way when it begins to refuse.
    const TOGETHER: usize = 40;
    let Some(subject) = subjects::weed().await else {
        return;
    };
    let mut begun = None;
    let road = Road::new(subject, move |operation| {
        let writes = matches!(
            operation,
            Operation::Put | Operation::PutPart | Operation::Complete
        );
        let begun = *begun.get_or_insert_with(std::time::Instant::now);
        (writes && begun.elapsed() < Duration::from_millis(900)).then_some(Fault::SlowDown)
    });
    let small: Vec<Asset> = (0..100)
        .map(|i| road.file(&format!("f{i}"), &noise(2_000, i)))
        .collect();
    let large = road.file("large.mov", &noise(40 * MIB, 9));
    let context = road.context();
    let to = task(&format!("{}up/{{path}}", road.base));
    let (one, other) = (unit(&to, &small), unit(&to, &[large]));
    let (one, other) = tokio::join!(
        worker::step::run(&one, &context),
        worker::step::run(&other, &context)
    );
    let ((facts, failures), (more, failed)) = (finished(one), finished(other));
    assert_eq!(
        (failures, failed, facts.len() + more.len()),
        (Vec::new(), Vec::new(), 101)
    );
    let refused = road
        .calls
        .happened()
        .iter()
        .filter(|(_, fault)| *fault == Fault::SlowDown)
        .count();
    // One pause for all: whoever is refused while it lasts was on its way already.
    assert!((1..=3 * TOGETHER).contains(&refused), "{refused} refusals");
    // What was refused was sent once more, and nothing else was.
    let sent = road.count(Operation::Put)
        + road.count(Operation::PutPart)
        + road.count(Operation::Complete);
    assert_eq!(sent, 106 + refused);
    assert_eq!(road.uploads().await, []);
}

/// What is too large for one request is copied by the server in parts; nothing is sent, and nothing is left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_copies_large_objects_in_parts() {
    let most = |endpoint: &mut EndpointSettings| {
        endpoint.copy_bytes_max = Some(protocol::quantity::Bytes(8 << 20))
    };
    let Some(subject) = subjects::weed_with(most).await else {
        return;
    };
    let road = Road::new(subject, |_| None);
    let content = noise(21 * MIB + 5, 15);
    let (facts, _) = road.up(&[road.file("from/large", &content)]).await;
    assert_eq!(facts.len(), 1);
    let (storage, root) = road.storage().await;
    uploads(&*storage)
        .begin(BeginRequest {
            key: &format!("{root}/to/from/large"),
            attributes: &Default::default(),
            source: None,
        })
        .await
        .expect("somebody's, long dead");
    road.sent.lock().clear();
    let to = format!("{}up/to/{{path}}", road.base);
    let (facts, failures) = road.carry(&to, &[road.object("from/large", "up")]).await;
    assert_eq!((failures, facts.len()), (Vec::new(), 1));
    assert_eq!(
        (
            road.count(Operation::CopyPart),
            road.count(Operation::PutPart)
        ),
        (3, 0)
    );
    assert!(road.content("to/from/large").await.as_ref() == Some(&content));
    assert_eq!(road.uploads().await, []);
    let (facts, failures) = road.carry(&to, &[road.object("from/large", "up")]).await;
    assert_eq!((failures, facts[0].skipped), (Vec::new(), true));
}

/// A byte that changes at rest is found when the object is compared, and named.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_at_rest_is_found_and_named() {
    let Some(subject) = subjects::weed().await else {
        return;
    };
    let road = Road::new(subject, |_| None);
    let content = noise(9 * MIB, 6);
    let mut damaged = content.clone();
    damaged[5 * MIB] ^= 1;
    let (facts, failures) = road.up(&[road.file("a.mov", &damaged)]).await;
    assert_eq!((failures, facts.len()), (Vec::new(), 1));
    let asset = Asset {
        hash: xxh128(&content),
        ..road.object("a.mov", "up")
    };
    let to = format!("file:{}/{{path}}", road.path("down").display());
    let (facts, failures) = road.carry(&to, &[asset]).await;
    assert!(
        facts.is_empty() && reasons(&failures) == [("a.mov", "hash_mismatch")],
        "{failures:?}"
    );
    assert!(
        failures[0].1.message.contains("/up/a.mov"),
        "{}",
        failures[0].1.message
    );
    assert_eq!(
        std::fs::read_dir(road.path("down"))
            .expect("listed")
            .count(),
        0
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_unit_stops_at_once_and_leaves_nothing_behind() {
    let Some(subject) = subjects::weed().await else {
        return;
    };
    let slow = |operation| {
        (operation == Operation::PutPart).then_some(Fault::Slow(Duration::from_secs(30)))
    };
    let road = Road::new(subject, slow);
    let large = road.file("large.mov", &noise(40 * MIB, 7));
    let context = road.context();
    let running = (
        unit(&task(&format!("{}up/{{path}}", road.base)), &[large]),
        context.clone(),
    );
    let running = tokio::spawn(async move { worker::step::run(&running.0, &running.1).await });
    while road.count(Operation::PutPart) == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(road.uploads().await.len(), 1);
    context.cancel.cancel();
    assert!(matches!(
        running.await.expect("ends"),
        UnitResult::Cancelled
    ));
    assert_eq!(road.uploads().await, []);
}

/// Small content costs one request each; the batch is on its way together.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_files_cost_one_request_each() {
    let Some(subject) = subjects::weed().await else {
        return;
    };
    let road = Road::new(subject, |_| None);
    let files: Vec<Asset> = (0..200)
        .map(|i| road.file(&format!("f{i}"), &noise(1_000, i)))
        .collect();
    let (facts, failures) = road.up(&files).await;
    assert_eq!((failures, facts.len()), (Vec::new(), 200));
    assert_eq!(
        (road.count(Operation::Put), road.sent.lock().len()),
        (200, 200)
    );
    let objects: Vec<Asset> = (0..200)
        .map(|i| Asset {
            bytes: Some(1_000),
            ..road.object(&format!("f{i}"), "up")
        })
        .collect();
    let declared: Vec<Asset> = objects
        .iter()
        .zip(&facts)
        .map(|(asset, fact)| Asset {
            hash: fact.hash.clone(),
            ..asset.clone()
        })
        .collect();
    // Without a declared hash, the checksum that the storage keeps comes with the content.
    for (to, assets) in [("down", &declared), ("checked", &objects)] {
        road.sent.lock().clear();
        let (facts, _) = road
            .carry(
                &format!("file:{}/{{path}}", road.path(to).display()),
                assets,
            )
            .await;
        assert_eq!((facts.len(), road.sent.lock().len()), (200, 200));
    }
}

/// Not a test of its own: the process that the next two want killed. It kills itself when the part it is told begins, or a
/// little later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_transfer() {
    let Ok(told) = std::env::var(CHILD) else {
        return;
    };
    let told: Vec<&str> = told.split('|').collect();
    let [dir, url, from, to, moment] = told[..] else {
        panic!("{told:?}")
    };
    let endpoint = EndpointSettings {
        prefix: "s3://bucket".into(),
        url: Some(url.into()),
        credentials_file: Some(Path::new(dir).join("credentials")),
        ..EndpointSettings::default()
    };
    let settings = StorageSettings {
        endpoints: vec![endpoint],
        ..StorageSettings::default()
    };
    let mut left = moment.parse::<u32>().expect("a number");
    let kill =
        || rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    let faults = Faults::new(move |call| {
        let counts = if call.location.starts_with("s3://") {
            [Operation::PutPart, Operation::Read]
        } else {
            return None;
        };
        left -= u32::from(counts.contains(&call.operation));
        if left == 0 {
            std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(fastrand::u64(..30)));
                kill()
            });
            left = u32::MAX;
        }
        None
    });
    let registry = Registry::new(settings);
    let registry = registry.around(
        move |inner| match inner.location("x").starts_with("file:") {
            true => inner,
            false => Arc::new(Layered::new(inner, faults.clone())) as Arc<dyn Storage>,
        },
    );
    let context = StepContext {
        storage: Arc::new(registry),
        ..context()
    };
    let large = Asset {
        location: from.into(),
        ..asset("large", Path::new("/"))
    };
    worker::step::run(&unit(&task(to), &[large]), &context).await;
    // It was faster than its end.
    kill().expect("killed");
}

fn kill_one(road: &Road, url: &str, (from, to): (&str, &str), moment: u32) {
    let child = Command::new(std::env::current_exe().expect("a test binary"))
        .args(["--exact", "storage::carry::killed_transfer", "--nocapture"])
        .env(
            CHILD,
            format!("{}|{url}|{from}|{to}|{moment}", road.dir.path().display()),
        )
        .output();
    let child = child.expect("started");
    assert_eq!(child.status.signal(), Some(9), "{child:?}");
}

/// Killed at thirty moments: what has arrived is not sent again, nothing is half visible, nothing is left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uploads_that_are_killed_are_gone_on_with() {
    let Some(subject) = subjects::weed().await else {
        return;
    };
    let url = subject.server_url();
    let road = Road::new(subject, |_| None);
    credentials(road.dir.path(), crate::storage::server::SECRET_KEY);
    let content = noise(72 * MIB + 777, 8);
    let large = road.file("large", &content);
    let (mut resumed, mut random) = (0, fastrand::Rng::with_seed(30));
    for _ in 0..30 {
        // Ten parts, of which six are on their way together: from the seventh on, some have arrived.
        let moment = random.u32(1..=10);
        kill_one(
            &road,
            &url,
            (&large.location, "s3://bucket/up/{path}"),
            moment,
        );
        let (storage, root) = road.storage().await;
        let key = format!("{root}/large");
        let mut arrived = 0;
        let complete = storage.stat(&key).await.is_ok();
        if !complete {
            for upload in road.uploads().await {
                let parts = uploads(&*storage).parts(&upload).await.expect("listed");
                arrived += parts.iter().map(|part| part.bytes).sum::<u64>();
            }
        }
        road.sent.lock().clear();
        let (facts, failures) = road.up(std::slice::from_ref(&large)).await;
        assert_eq!((failures, facts.len()), (Vec::new(), 1));
        assert_eq!(facts[0].hash, xxh128(&content));
        // What was on its way when the process died may still arrive after it was asked for.
        let again = road.bytes_of(Operation::PutPart);
        let most = if complete {
            0
        } else {
            content.len() as u64 - arrived
        };
        assert!(
            again <= most && (facts[0].skipped || !complete),
            "{again} bytes again, {arrived} had arrived"
        );
        resumed += u32::from(arrived > 0 && !complete);
        assert!(road.content("large").await.as_ref() == Some(&content));
        assert_eq!(road.uploads().await, []);
        storage.delete(&key, None).await.expect("removed");
    }
    assert!(resumed >= 5, "{resumed} of 30 had something to go on with");
}

/// The other way: what has arrived in the hidden file is read there, and the rest alone comes over the wire again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_download_resumes() {
    const PARTS: usize = 10;
    let Some(subject) = subjects::weed().await else {
        return;
    };
    let url = subject.server_url();
    let road = Road::new(subject, |_| None);
    credentials(road.dir.path(), crate::storage::server::SECRET_KEY);
    let content = noise(72 * MIB + 777, 12);
    let (facts, _) = road.up(&[road.file("large", &content)]).await;
    assert_eq!(facts.len(), 1);
    let (object, down) = (road.object("large", "up"), road.path("down"));
    let to = format!("file:{}/{{path}}", down.display());
    let (mut resumed, mut random) = (0, fastrand::Rng::with_seed(31));
    for _ in 0..15 {
        kill_one(
            &road,
            &url,
            (&object.location, &to),
            random.u32(4..=PARTS as u32),
        );
        let complete = down.join("large").exists();
        let opened = Registry::default()
            .open(
                &format!("file:{}", down.join("large").display()),
                Some(&down),
            )
            .await;
        let folder = opened.expect("opened").storage;
        let mut arrived = 0;
        for upload in uploads(&*folder).uploads("large").await.expect("listed") {
            arrived += uploads(&*folder)
                .parts(&upload)
                .await
                .expect("listed")
                .len();
        }
        road.sent.lock().clear();
        let (facts, failures) = road.carry(&to, std::slice::from_ref(&object)).await;
        assert_eq!((failures, facts.len()), (Vec::new(), 1));
        assert_eq!(facts[0].hash, xxh128(&content));
        let read = road.count(Operation::Read);
        assert!(
            complete || read == PARTS - arrived,
            "{read} parts came again, {arrived} of {PARTS} had arrived"
        );
        resumed += u32::from(arrived > 0 && !complete);
        assert!(std::fs::read(down.join("large")).expect("landed") == content);
        assert_eq!(
            std::fs::read_dir(&down).expect("listed").count(),
            1,
            "nothing hidden is left"
        );
        std::fs::remove_file(down.join("large")).expect("removed");
    }
    assert!(resumed >= 4, "{resumed} of 15 had something to go on with");
}

/// What has arrived of another state of the source is not taken for this one's, wherever it lies.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn upload_of_a_replaced_source_is_not_resumed() {
    let Some(subject) = subjects::weed().await else {
        return;
    };
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let (stopping, mut reads) = (Arc::clone(&stop), 0);
    let road = Road::new(subject, move |operation| {
        reads += u32::from(operation == Operation::Read);
        let broken = operation == Operation::Read
            && reads > 4
            && stopping.load(std::sync::atomic::Ordering::Relaxed);
        broken.then_some(Fault::Dropped)
    });
    let (old, new) = (noise(40 * MIB, 13), noise(40 * MIB, 14));
    let (object, down) = (road.object("large", "up"), road.path("down"));
    let to = format!("file:{}/{{path}}", down.display());
    road.up(&[road.file("large", &old)]).await;
    let (facts, failures) = road.carry(&to, std::slice::from_ref(&object)).await;
    assert!(
        facts.is_empty() && failures[0].1.class.retryable(),
        "{failures:?}"
    );
    assert!(
        std::fs::read_dir(&down).expect("listed").count() > 0,
        "something is kept"
    );
    stop.store(false, std::sync::atomic::Ordering::Relaxed);
    let (storage, root) = road.storage().await;
    storage
        .delete(&format!("{root}/large"), None)
        .await
        .expect("removed");
    road.up(&[road.file("large", &new)]).await;
    let (facts, failures) = road.carry(&to, std::slice::from_ref(&object)).await;
    assert_eq!((failures, facts.len()), (Vec::new(), 1));
    assert!(std::fs::read(down.join("large")).expect("landed") == new);
    assert_eq!(
        std::fs::read_dir(&down).expect("listed").count(),
        1,
        "nothing hidden is left"
    );
}
