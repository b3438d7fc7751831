//! Signatures and tokens of addresses: a canary in every one, and a search for it in what every step kind reports.
use crate::fixture::{asset, context, unit};
use crate::storage::carry::task;
use crate::storage::web::{Answer, Request, ranged, serve};
use ::storage::Registry;
use ::storage::settings::{EndpointSettings, StorageSettings};
use async_trait::async_trait;
use parking_lot::Mutex;
use protocol::failure::Failure;
use protocol::media::asset::Asset;
use protocol::model::hash::HashAlgorithm;
use protocol::model::purge_proof::PurgeProof;
use protocol::model::restore_tier::RestoreTier;
use protocol::wire::step::TaskSpec;
use protocol::wire::step::archive::{ArchiveTask, RestoreTask};
use protocol::wire::step::checksum::ChecksumTask;
use protocol::wire::step::purge::PurgeTask;
use protocol::wire::step::qc::QcTask;
use protocol::wire::step::seal::SealTask;
use protocol::wire::step::transfer::TransferTask;
use protocol::wire::unit::Unit;
use std::path::Path;
use std::sync::Arc;
use worker::step::{Effect, Effects, StepContext};

const CANARY: &str = "CANARY";

/// Keeps what steps send besides their results.
#[derive(Default)]
struct Sent(Mutex<Vec<String>>);

#[async_trait]
impl Effects for Sent {
    async fn send(&self, effect: Effect) -> Result<(), Failure> {
        if let Effect::Tombstones { burials, .. } = &effect {
            self.0.lock().push(format!("{burials:?}"));
        }
        Ok(())
    }
}

/// Answers by the path: content, a redirect, a refusal.
fn answer(request: &Request) -> Answer {
    match request.path.as_str() {
        "/denied.mov" => Answer::new(403).body("CANARY is no key"),
        "/failing.mov" => Answer::new(500).body("CANARY"),
        "/gone.mov" => Answer::new(404),
        "/moved.mov" => Answer::new(302).with("location", "/denied.mov?sig=CANARY#CANARY"),
        "/circle.mov" => Answer::new(302).with("location", "/circle.mov?sig=CANARY"),
        "/away.mov" => {
            Answer::new(302).with("location", "http://ana:CANARY@127.0.0.2/x.mov?sig=CANARY")
        }
        _ => ranged(request, b"hello", "\"1\""),
    }
}

/// Signed addresses of the server at `url`, some with a declaration that does not hold.
fn assets(url: &str) -> Vec<Asset> {
    let signed = |name: &str| {
        let location = format!("{url}/{name}?X-Amz-Signature=CANARY&X-Amz-Security-Token=CANARY/x");
        Asset {
            location,
            ..asset(name, Path::new("/"))
        }
    };
    let names = [
        "good.mov",
        "denied.mov",
        "failing.mov",
        "gone.mov",
        "moved.mov",
        "circle.mov",
        "away.mov",
    ];
    let mut assets: Vec<Asset> = names.map(signed).into();
    assets.push(Asset {
        bytes: Some(9),
        ..signed("size.mov")
    });
    assets.push(Asset {
        hash: Some(format!("md5:{}", "0".repeat(32))),
        ..signed("hash.mov")
    });
    for (name, bytes) in [("fragment.mov", None), ("fragment-size.mov", Some(9))] {
        assets.push(Asset {
            location: format!("{url}/{name}#token=CANARY"),
            bytes,
            ..asset(name, Path::new("/"))
        });
    }
    assets
}

#[tokio::test(flavor = "multi_thread")]
async fn signatures_and_tokens_are_in_no_report_of_any_task() {
    let url = serve(answer).await;
    let dir = tempfile::tempdir().expect("a temp dir");
    let allow_private = vec!["127.0.0.0/8".to_owned()];
    let endpoint = EndpointSettings {
        prefix: "http:".into(),
        allow_private,
        ..EndpointSettings::default()
    };
    let settings = StorageSettings {
        endpoints: vec![endpoint],
        ..StorageSettings::default()
    };
    let sent = Arc::new(Sent::default());
    let effects = Arc::clone(&sent) as Arc<dyn Effects>;
    let context = StepContext {
        storage: Arc::new(Registry::new(settings)),
        effects,
        ..context()
    };
    let root = format!("file:{}/out", dir.path().display());
    let transfer = TransferTask {
        mhl: true,
        ..task(&format!("{root}/{{asset}}"))
    };
    let seal = SealTask {
        root: root.clone(),
        job: transfer.job.clone(),
        algorithm: HashAlgorithm::Xxh128,
    };
    let purge = |dry_run| PurgeTask {
        of: Vec::new(),
        keep: vec![transfer.to.clone()],
        proof: PurgeProof::Content,
        ordered_by: "ana".into(),
        reason: "space".into(),
        dry_run,
    };
    std::fs::create_dir(dir.path().join("out")).expect("created");
    // The copy that remains of a removed asset; its tombstone names it.
    std::fs::write(dir.path().join("out/gone.mov"), b"hello").expect("written");
    let policy = r#"{"spec":"s","qc":{"naming":{"pattern":".*"}}}"#.to_owned();
    let tasks = [
        TaskSpec::Transfer(transfer.clone()),
        TaskSpec::Replace(TransferTask {
            mhl: false,
            ..transfer.clone()
        }),
        TaskSpec::Seal(seal),
        TaskSpec::Qc(QcTask {
            policy,
            digest: "d".into(),
        }),
        TaskSpec::Checksum(ChecksumTask { algorithm: None }),
        TaskSpec::Archive(ArchiveTask {
            class: "GLACIER".into(),
        }),
        TaskSpec::Restore(RestoreTask {
            days: 1,
            tier: RestoreTier::Standard,
            look_again_us: 1,
        }),
        TaskSpec::Purge(purge(true)),
        TaskSpec::Purge(purge(false)),
    ];
    for task in tasks {
        for asset in assets(&url) {
            let name = format!("{task:?} of {}", asset.id);
            let work = Unit {
                task: Arc::new(task.clone()),
                ..unit(&transfer, &[asset])
            };
            let ended = format!("{:?}", worker::step::run(&work, &context).await);
            assert!(!ended.contains(CANARY), "{name}: {ended}");
        }
    }
    let sent = sent.0.lock();
    assert!(
        sent.iter().any(|burial| burial.contains("gone.mov?…")),
        "{sent:?}"
    );
    assert!(
        sent.iter().all(|burial| !burial.contains(CANARY)),
        "{sent:?}"
    );
    let made = walkdir::WalkDir::new(dir.path()).into_iter().flatten();
    for entry in made {
        assert!(
            !entry.path().to_string_lossy().contains(CANARY),
            "{}",
            entry.path().display()
        );
        if entry.file_type().is_file() {
            let content = std::fs::read(entry.path()).expect("read");
            assert!(
                !String::from_utf8_lossy(&content).contains(CANARY),
                "{}",
                entry.path().display()
            );
        }
    }
}
