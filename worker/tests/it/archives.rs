//! Archive, restore and purge: units as a worker runs them, against an archive that behaves as S3's documentation says,
//! against SeaweedFS, and against directories.
use crate::fixture::{asset, context, noise};
use crate::storage::s3_archive::{self, Handle};
use crate::storage::subjects::{self, Subject};
use crate::storage::{s3_status, s3_stub};
use ::storage::hash::hash_bytes;
use ::storage::settings::{EndpointSettings, StorageSettings};
use ::storage::{
    Attributes, BeginRequest, Body, CompleteRequest, Precondition, PutRequest, Registry, Storage,
    StorageError,
};
use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use protocol::failure::Failure;
use protocol::id::{JobNo, Kind, StepNo, UnitId};
use protocol::media::asset::Asset;
use protocol::model::purge_proof::PurgeProof;
use protocol::model::restore_tier::RestoreTier;
use protocol::wire::report::{Burial, UnitResult};
use protocol::wire::step::TaskSpec;
use protocol::wire::step::archive::{ArchiveTask, RestoreTask};
use protocol::wire::step::purge::PurgeTask;
use protocol::wire::unit::Unit;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use worker::step::{Effect, Effects, StepContext};

/// Keeps what was removed, or refuses to.
#[derive(Default)]
struct Graves {
    kept: Mutex<Vec<Burial>>,
    closed: bool,
}

#[async_trait]
impl Effects for Graves {
    async fn send(&self, effect: Effect) -> Result<(), Failure> {
        let Effect::Tombstones { burials, .. } = effect else {
            return Ok(());
        };
        if self.closed {
            return Err(Failure::transient("coordinator_gone", "closed"));
        }
        self.kept.lock().extend(burials);
        Ok(())
    }
}

fn unit(task: TaskSpec, assets: Vec<Asset>) -> Unit {
    let id = UnitId::new(JobNo(1), StepNo(0), 1);
    Unit {
        id,
        epoch: 1,
        attempt: 0,
        kind: Kind::Transfer,
        task: Arc::new(task),
        assets,
        deadline: None,
    }
}

fn at(location: &str) -> Asset {
    let name = location.rsplit('/').next().unwrap_or(location);
    Asset {
        location: location.into(),
        ..asset(name, Path::new("/none"))
    }
}

async fn run(task: TaskSpec, assets: Vec<Asset>, context: &StepContext) -> UnitResult {
    worker::step::run(&unit(task, assets), context).await
}

fn reasons(result: UnitResult) -> Vec<String> {
    match result {
        UnitResult::Finished { failures, .. } => failures
            .into_iter()
            .map(|(_, failure)| failure.reason)
            .collect(),
        other => panic!("the unit did not finish: {other:?}"),
    }
}

/// A worker that reaches the archive at `s3://vault`.
async fn vault() -> (StepContext, Handle, tempfile::TempDir) {
    let (url, handle) = s3_archive::start().await;
    let dir = tempfile::tempdir().expect("a temp dir");
    let endpoint = EndpointSettings {
        prefix: "s3://vault".into(),
        url: Some(url),
        region: Some("us-east-1".into()),
        credentials_file: Some(subjects::credentials(dir.path(), "secret")),
        ..EndpointSettings::default()
    };
    let settings = StorageSettings {
        endpoints: vec![endpoint],
        ..StorageSettings::default()
    };
    (
        StepContext {
            storage: Arc::new(Registry::new(settings)),
            ..context()
        },
        handle,
        dir,
    )
}

fn archive(class: &str) -> TaskSpec {
    TaskSpec::Archive(ArchiveTask {
        class: class.into(),
    })
}

fn restore(tier: RestoreTier) -> TaskSpec {
    TaskSpec::Restore(RestoreTask {
        days: 3,
        tier,
        look_again_us: 900_000_000,
    })
}

#[tokio::test]
async fn what_was_archived_comes_back_and_nothing_waits_for_it() {
    let (context, vault, _dir) = vault().await;
    vault.put("a.mov", b"picture", "STANDARD");
    vault.put("b.mov", b"picture", "STANDARD_IA");
    let assets = || vec![at("s3://vault/a.mov"), at("s3://vault/b.mov")];
    for _ in 0..2 {
        assert_eq!(
            reasons(run(archive("GLACIER"), assets(), &context).await),
            [""; 0]
        );
    }
    assert_eq!(vault.class("a.mov").as_deref(), Some("GLACIER"));
    // To be moved on, it must be readable.
    assert_eq!(
        reasons(run(archive("DEEP_ARCHIVE"), assets(), &context).await),
        ["storage_archived"; 2]
    );
    for looks in 0..3 {
        let waiting = run(restore(RestoreTier::Bulk), assets(), &context).await;
        let UnitResult::Waiting {
            look_again_us,
            message,
        } = waiting
        else {
            panic!("not there yet: {waiting:?}")
        };
        assert_eq!(look_again_us, 900_000_000);
        assert!(
            message.contains("2 of 2") && message.contains("s3://vault/a.mov"),
            "{message}"
        );
        assert_eq!(
            vault.restores().len(),
            2,
            "asked once for each, at look {looks} too"
        );
    }
    assert!(
        vault
            .restores()
            .iter()
            .all(|wish| wish.contains("<Days>3</Days>") && wish.contains("Bulk"))
    );
    vault.deliver();
    assert_eq!(
        reasons(run(restore(RestoreTier::Bulk), assets(), &context).await),
        [""; 0]
    );
    assert_eq!(
        reasons(run(archive("DEEP_ARCHIVE"), assets(), &context).await),
        [""; 0]
    );
}

/// An object of a server at hand, and a worker that reaches it.
async fn object(subject: Subject) -> (StepContext, Arc<dyn Storage>, String, Subject) {
    let (storage, prefix) = subject.open("classes").await;
    let key = format!("{prefix}a.mov");
    let body = Body::new(
        vec![Bytes::from(noise(100_000, 1))],
        storage.capabilities().checksum,
    );
    storage
        .put(PutRequest {
            key: &key,
            body: &body,
            attributes: &Attributes::default(),
            precondition: &Precondition::IfAbsent,
        })
        .await
        .expect("written");
    let context = StepContext {
        storage: Arc::new(subject.again()),
        ..context()
    };
    let location = format!("{}{key}", subject.base);
    (context, storage, location, subject)
}

/// MiniStack keeps archived content away and brings it back after two seconds.
#[tokio::test(flavor = "multi_thread")]
async fn the_way_there_and_back_on_ministack() {
    let Some(subject) = subjects::ministack().await else {
        return;
    };
    let (context, storage, location, _subject) = object(subject).await;
    assert_eq!(
        reasons(run(archive("GLACIER"), vec![at(&location)], &context).await),
        [""; 0]
    );
    let read = || async {
        storage
            .read("classes/a.mov", 0..100_000, None)
            .await?
            .collect()
            .await
    };
    assert!(matches!(read().await, Err(StorageError::Archived(_))));
    let mut looks = 0;
    while let UnitResult::Waiting { .. } = run(
        restore(RestoreTier::Standard),
        vec![at(&location)],
        &context,
    )
    .await
    {
        looks += 1;
        assert!(looks < 600, "it does not come back");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(looks > 0 && read().await.expect("readable").concat() == noise(100_000, 1));
}

/// SeaweedFS keeps classes, refuses the usual move to one, reads from all of them, and restores nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_class_on_seaweedfs_and_no_way_back() {
    let Some(subject) = subjects::weed().await else {
        return;
    };
    let (context, storage, location, _subject) = object(subject).await;
    for _ in 0..2 {
        assert_eq!(
            reasons(run(archive("GLACIER"), vec![at(&location)], &context).await),
            [""; 0]
        );
    }
    let state = storage.stat("classes/a.mov").await.expect("there");
    assert_eq!(
        (state.bytes, state.class.as_deref()),
        (100_000, Some("GLACIER"))
    );
    let failed = reasons(
        run(
            restore(RestoreTier::Standard),
            vec![at(&location)],
            &context,
        )
        .await,
    );
    assert_eq!(failed, ["storage_unsupported"]);
}

#[tokio::test]
async fn what_the_service_tiered_by_itself_comes_back_for_good() {
    let (context, vault, _dir) = vault().await;
    vault.put("a.mov", b"picture", "INTELLIGENT_TIERING");
    let look = || {
        run(
            restore(RestoreTier::Standard),
            vec![at("s3://vault/a.mov")],
            &context,
        )
    };
    assert!(matches!(look().await, UnitResult::Waiting { .. }));
    assert!(
        !vault.restores()[0].contains("Days"),
        "{:?}",
        vault.restores()
    );
    vault.deliver();
    assert_eq!(reasons(look().await), [""; 0]);
}

#[tokio::test]
async fn what_cannot_be_archived_or_restored_says_why() {
    let (context, vault, dir) = vault().await;
    vault.put("deep.mov", b"x", "DEEP_ARCHIVE");
    let assets = || vec![at("s3://vault/deep.mov"), at("s3://vault/none.mov")];
    let failed = reasons(run(restore(RestoreTier::Expedited), assets(), &context).await);
    assert_eq!(failed, ["storage_invalid", "storage_missing"]);
    // What waits is looked at again before what failed is told.
    assert!(matches!(
        run(restore(RestoreTier::Standard), assets(), &context).await,
        UnitResult::Waiting { .. }
    ));
    vault.deliver();
    assert_eq!(
        reasons(run(restore(RestoreTier::Standard), assets(), &context).await),
        ["storage_missing"]
    );
    std::fs::write(dir.path().join("f"), b"x").expect("written");
    let file = at(&format!("file:{}/f", dir.path().display()));
    assert_eq!(
        reasons(run(archive("GLACIER"), vec![file.clone()], &context).await),
        ["storage_unsupported"]
    );
    assert_eq!(
        reasons(run(restore(RestoreTier::Standard), vec![file], &context).await),
        [""; 0],
        "it can be read"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_class_is_moved_by_the_server_in_parts_where_one_request_does_not_do() {
    let Some(subject) = subjects::weed_with(|endpoint| {
        endpoint.copy_bytes_max = Some(protocol::quantity::Bytes(6 << 20))
    })
    .await
    else {
        return;
    };
    let (storage, prefix) = subject.open("class").await;
    let content = noise(15 << 20, 5);
    let key = format!("{prefix}large.mxf");
    let attributes = Attributes {
        content_type: Some("application/mxf".into()),
        metadata: [("reel".to_owned(), "7".to_owned())].into(),
        ..Attributes::default()
    };
    let uploads = storage.multipart(&key).expect("it takes content in parts");
    let upload = uploads
        .begin(BeginRequest {
            key: &key,
            attributes: &attributes,
            source: None,
        })
        .await
        .expect("begun");
    let mut parts = Vec::new();
    for (number, (offset, piece)) in (1..).zip((0..).step_by(5 << 20).zip(content.chunks(5 << 20)))
    {
        let body = Body::new(
            vec![Bytes::copy_from_slice(piece)],
            storage.capabilities().checksum,
        );
        parts.push(
            uploads
                .put_part(&upload, ::storage::Slot { number, offset }, &body)
                .await
                .expect("sent"),
        );
    }
    uploads
        .complete(CompleteRequest {
            upload: &upload,
            parts: &parts,
            whole: None,
            precondition: &Precondition::IfAbsent,
        })
        .await
        .expect("there");
    let context = StepContext {
        storage: Arc::new(subject.registry),
        ..context()
    };
    let location = format!("{}{key}", subject.base);
    assert_eq!(
        reasons(run(archive("STANDARD_IA"), vec![at(&location)], &context).await),
        [""; 0]
    );
    let state = storage.stat(&key).await.expect("there");
    assert_eq!(
        (state.bytes, state.class.as_deref()),
        (15 << 20, Some("STANDARD_IA"))
    );
    let read = storage
        .read(&key, 0..state.bytes, None)
        .await
        .expect("readable")
        .collect()
        .await
        .expect("whole");
    assert!(read.concat() == content, "every byte is where it was");
    assert_eq!(uploads.uploads(&key).await.expect("listed"), []);
}

/// A file, its copy, and the order to remove the file.
struct Pair {
    dir: tempfile::TempDir,
    graves: Arc<Graves>,
    context: StepContext,
}

impl Pair {
    fn new() -> Pair {
        let dir = tempfile::tempdir().expect("a temp dir");
        std::fs::create_dir(dir.path().join("vault")).expect("created");
        let graves = Arc::new(Graves::default());
        let context = StepContext {
            effects: Arc::clone(&graves) as Arc<dyn Effects>,
            ..context()
        };
        Pair {
            dir,
            graves,
            context,
        }
    }

    fn order(&self) -> PurgeTask {
        PurgeTask {
            of: vec![],
            keep: vec![format!("file:{}/vault/{{file}}", self.dir.path().display())],
            proof: PurgeProof::Content,
            ordered_by: "ana".into(),
            reason: "space".into(),
            dry_run: false,
        }
    }

    fn write(&self, name: &str, content: &[u8]) -> Asset {
        let path = self.dir.path().join(name);
        std::fs::write(&path, content).expect("written");
        asset(name, &path)
    }

    fn exists(&self, name: &str) -> bool {
        self.dir.path().join(name).exists()
    }

    async fn purge(&self, task: PurgeTask, asset: &Asset) -> Vec<String> {
        reasons(run(TaskSpec::Purge(task), vec![asset.clone()], &self.context).await)
    }
}

#[tokio::test]
async fn a_file_is_removed_when_its_copy_is_proven_and_leaves_a_tombstone() {
    let pair = Pair::new();
    let file = pair.write("a.mov", b"picture");
    pair.write("vault/a.mov", b"picture");
    let dry = PurgeTask {
        dry_run: true,
        ..pair.order()
    };
    assert_eq!(pair.purge(dry, &file).await, [""; 0]);
    assert!(pair.exists("a.mov"), "a dry run removes nothing");
    assert_eq!(pair.purge(pair.order(), &file).await, [""; 0]);
    assert!(!pair.exists("a.mov") && pair.exists("vault/a.mov"));
    // An execution that died before it reported is done again, and says what it finds.
    assert_eq!(pair.purge(pair.order(), &file).await, [""; 0]);
    let graves = pair.graves.kept.lock();
    let hash = hash_bytes(protocol::model::hash::HashAlgorithm::Xxh128, b"picture").to_string();
    for grave in &*graves {
        assert_eq!(
            (grave.asset.as_str(), grave.bytes, &grave.hash),
            ("a.mov", 7, &hash)
        );
        assert_eq!(
            grave.copy,
            format!("file:{}/vault/a.mov", pair.dir.path().display())
        );
    }
    let told: Vec<_> = graves
        .iter()
        .map(|grave| (grave.dry_run, grave.found_gone))
        .collect();
    assert_eq!(told, [(true, false), (false, false), (false, true)]);
}

/// Neither the removed file nor the copy that proves it may lie behind a link that has replaced a directory of theirs.
#[tokio::test]
async fn purge_behind_a_directory_swapped_for_a_link_removes_nothing() {
    for swapped in ["", "lib", "copies", "vault"] {
        let pair = Pair::new();
        let at = |name: &str| pair.dir.path().join(name);
        for name in ["lib/d", "copies/d", "vault/d", "outside"] {
            std::fs::create_dir_all(at(name)).expect("made");
            pair.write(&format!("{name}/a.mov"), b"picture");
        }
        let mut listed = Asset {
            path: "d/a.mov".into(),
            ..asset("a", &at("lib/d/a.mov"))
        };
        listed.note_listed(false);
        if !swapped.is_empty() {
            std::fs::remove_dir_all(at(swapped).join("d")).expect("removed");
            std::os::unix::fs::symlink(at("outside"), at(swapped).join("d")).expect("linked");
        }
        let target = |root: &str| {
            vec![format!(
                "file:{}/{root}/{{path}}",
                pair.dir.path().display()
            )]
        };
        let source = PurgeTask {
            keep: target("vault"),
            ..pair.order()
        };
        let copy = PurgeTask {
            of: target("copies"),
            ..source.clone()
        };
        for (of, task) in [("lib", source), ("copies", copy)] {
            let refused = if [of, "vault"].contains(&swapped) {
                vec!["storage_invalid"]
            } else {
                vec![]
            };
            assert_eq!(
                pair.purge(task, &listed).await,
                refused,
                "of {of}, swapped {swapped:?}"
            );
        }
        assert!(pair.exists("outside/a.mov"), "{swapped}");
        assert!(pair.exists("vault/d/a.mov"), "{swapped}");
    }
}

#[tokio::test]
async fn nothing_is_removed_that_is_not_proven_elsewhere() {
    let pair = Pair::new();
    let file = pair.write("a.mov", b"picture");
    assert_eq!(
        pair.purge(pair.order(), &file).await,
        ["purge_unproven"],
        "no copy"
    );
    pair.write("vault/a.mov", b"PICTURE");
    assert_eq!(
        pair.purge(pair.order(), &file).await,
        ["purge_unproven"],
        "another content"
    );
    pair.write("vault/a.mov", b"picture");
    let declared = Asset {
        hash: Some("md5:00000000000000000000000000000000".into()),
        ..file.clone()
    };
    assert_eq!(
        pair.purge(pair.order(), &declared).await,
        ["purge_unproven"],
        "not what was declared"
    );
    // One file under two names is no copy.
    std::fs::remove_file(pair.dir.path().join("vault/a.mov")).expect("removed");
    std::fs::hard_link(
        pair.dir.path().join("a.mov"),
        pair.dir.path().join("vault/a.mov"),
    )
    .expect("linked");
    assert_eq!(
        pair.purge(pair.order(), &file).await,
        ["purge_unproven"],
        "a second name"
    );
    let own = PurgeTask {
        keep: vec![file.location.replace("a.mov", "{file}")],
        ..pair.order()
    };
    assert_eq!(pair.purge(own, &file).await, ["purge_unproven"], "itself");
    for silent in [
        PurgeTask {
            keep: vec![],
            ..pair.order()
        },
        PurgeTask {
            ordered_by: " ".into(),
            ..pair.order()
        },
        PurgeTask {
            reason: String::new(),
            ..pair.order()
        },
    ] {
        let refused = run(TaskSpec::Purge(silent), vec![file.clone()], &pair.context).await;
        assert!(
            matches!(refused, UnitResult::Failed(failure) if failure.reason == "purge_not_ordered")
        );
    }
    assert!(pair.exists("a.mov") && pair.graves.kept.lock().is_empty());
}

#[tokio::test]
async fn a_copy_in_an_archive_is_proven_by_what_its_storage_vouches_for() {
    let (vault_context, vault, _dir) = vault().await;
    let graves = Arc::new(Graves::default());
    let context = StepContext {
        effects: Arc::clone(&graves) as Arc<dyn Effects>,
        ..vault_context
    };
    let pair = Pair::new();
    let file = pair.write("a.mov", b"picture");
    vault.put("a.mov", b"picture", "DEEP_ARCHIVE");
    let keep = vec!["s3://vault/{file}".to_owned()];
    let order = |proof| {
        TaskSpec::Purge(PurgeTask {
            keep: keep.clone(),
            proof,
            ..pair.order()
        })
    };
    let run = |proof| run(order(proof), vec![file.clone()], &context);
    assert_eq!(
        reasons(run(PurgeProof::Content).await),
        ["storage_archived"],
        "it cannot be read"
    );
    assert!(pair.exists("a.mov"));
    vault.put("a.mov", b"PICTURE", "DEEP_ARCHIVE");
    assert_eq!(reasons(run(PurgeProof::Checksum).await), ["purge_unproven"]);
    vault.put("a.mov", b"picture", "DEEP_ARCHIVE");
    assert_eq!(reasons(run(PurgeProof::Checksum).await), [""; 0]);
    assert!(!pair.exists("a.mov"));
    assert!(graves.kept.lock()[0].hash.starts_with("crc64nvme:"));
}

#[tokio::test]
async fn object_under_two_names_is_not_its_own_copy() {
    let dir = tempfile::tempdir().expect("a temp dir");
    let file = subjects::credentials(dir.path(), "secret");
    let (url, bucket) = s3_stub::start(&[]).await;
    let registry = Arc::new(Registry::new(s3_status::settings(&url, &file)));
    let graves = Arc::new(Graves::default());
    let effects = Arc::clone(&graves) as Arc<dyn Effects>;
    let context = StepContext {
        effects,
        storage: registry,
        ..context()
    };
    for key in ["in/a.mov", "in/b.mov", "out/a.mov", "out/b.mov"] {
        bucket
            .lock()
            .expect("sound")
            .objects
            .insert(key.into(), b"picture".to_vec());
    }
    let order = |keep: &str| {
        let keep = vec![keep.to_owned()];
        TaskSpec::Purge(PurgeTask {
            keep,
            ..Pair::new().order()
        })
    };
    let assets = || vec![at("s3://bucket/in/a.mov"), at("s3://bucket/in/b.mov")];
    let refused = run(order("s3://alias/in/{file}"), assets(), &context).await;
    assert_eq!(reasons(refused), ["purge_unproven", "purge_unproven"]);
    let left = bucket.lock().expect("sound").objects.len();
    assert_eq!(
        (left, graves.kept.lock().len()),
        (4, 0),
        "nothing was removed, and no probe is left"
    );
    // Another name in the same place is another object.
    bucket
        .lock()
        .expect("sound")
        .objects
        .insert("in/copy of a.mov".into(), b"picture".to_vec());
    let beside = run(
        order("s3://alias/in/copy of {file}"),
        assets()[..1].to_vec(),
        &context,
    )
    .await;
    assert_eq!(reasons(beside), [""; 0]);
    bucket
        .lock()
        .expect("sound")
        .objects
        .remove("in/copy of a.mov");
    assert_eq!(
        reasons(run(order("s3://alias/out/{file}"), assets(), &context).await),
        [""; 0]
    );
    let left: Vec<String> = bucket
        .lock()
        .expect("sound")
        .objects
        .keys()
        .cloned()
        .collect();
    assert_eq!(left, ["out/a.mov", "out/b.mov"]);
}

#[tokio::test]
async fn a_removal_that_nobody_records_fails_the_asset_and_is_told_at_the_next_attempt() {
    let mut pair = Pair::new();
    let file = pair.write("a.mov", b"picture");
    pair.write("vault/a.mov", b"picture");
    pair.context.effects = Arc::new(Graves {
        closed: true,
        ..Graves::default()
    });
    assert_eq!(pair.purge(pair.order(), &file).await, ["coordinator_gone"]);
    pair.context.effects = Arc::clone(&pair.graves) as Arc<dyn Effects>;
    assert_eq!(pair.purge(pair.order(), &file).await, [""; 0]);
    assert!(pair.graves.kept.lock()[0].found_gone);
}
