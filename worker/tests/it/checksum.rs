//! The step `checksum`: units as a worker runs them, over files and over objects.
use crate::fixture::{asset, context, noise};
use ::storage::hash::hash_bytes;
use protocol::id::{JobNo, Kind, StepNo, UnitId};
use protocol::media::asset::{Asset, AssetFact};
use protocol::model::hash::HashAlgorithm;
use protocol::wire::report::UnitResult;
use protocol::wire::step::TaskSpec;
use protocol::wire::step::checksum::ChecksumTask;
use protocol::wire::unit::Unit;
use std::sync::Arc;

async fn run(
    algorithm: Option<HashAlgorithm>,
    assets: Vec<Asset>,
) -> (Vec<AssetFact>, Vec<(String, String)>) {
    let id = UnitId::new(JobNo(1), StepNo(0), 1);
    let task = Arc::new(TaskSpec::Checksum(ChecksumTask { algorithm }));
    let unit = Unit {
        id,
        epoch: 1,
        attempt: 0,
        kind: Kind::Transfer,
        task,
        assets,
        deadline: None,
    };
    match worker::step::run(&unit, &context()).await {
        UnitResult::Finished { facts, failures } => (
            facts,
            failures
                .into_iter()
                .map(|(asset, failure)| (asset, failure.reason))
                .collect(),
        ),
        other => panic!("the unit did not finish: {other:?}"),
    }
}

#[tokio::test]
async fn checksum_records_the_hash_of_sound_assets_and_fails_the_others() {
    let dir = tempfile::tempdir().expect("a temp dir");
    let content = noise(300_000, 7);
    let file = |name: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, &content).expect("written");
        Asset {
            bytes: Some(content.len() as u64),
            ..asset(name, &path)
        }
    };
    let md5 = hash_bytes(HashAlgorithm::Md5, &content).to_string();
    let sound = Asset {
        hash: Some(md5.clone()),
        ..file("sound.mov")
    };
    let damaged = Asset {
        hash: Some(md5.replace(':', ":0")[..md5.len()].to_owned()),
        ..file("damaged.mov")
    };
    let short = Asset {
        bytes: Some(1),
        ..file("short.mov")
    };
    let lost = asset("lost.mov", &dir.path().join("lost.mov"));
    let plain = file("plain.mov");
    let (facts, failures) = run(
        None,
        vec![sound.clone(), damaged, short, lost, plain.clone()],
    )
    .await;
    let hashes: Vec<_> = facts
        .iter()
        .map(|fact| (fact.asset.as_str(), fact.hash.as_deref()))
        .collect();
    let xxh128 = hash_bytes(HashAlgorithm::Xxh128, &content).to_string();
    assert_eq!(
        hashes,
        [
            ("sound.mov", Some(md5.as_str())),
            ("plain.mov", Some(xxh128.as_str()))
        ]
    );
    assert!(
        facts
            .iter()
            .all(|fact| fact.bytes == Some(300_000) && fact.location.is_none()),
        "{facts:?}"
    );
    let reasons: Vec<_> = failures
        .iter()
        .map(|(asset, reason)| (asset.as_str(), reason.as_str()))
        .collect();
    assert_eq!(
        reasons,
        [
            ("damaged.mov", "hash_mismatch"),
            ("short.mov", "size_mismatch"),
            ("lost.mov", "storage_missing")
        ]
    );
    let (facts, _) = run(Some(HashAlgorithm::Sha256), vec![sound, plain]).await;
    let sha256 = hash_bytes(HashAlgorithm::Sha256, &content).to_string();
    assert!(
        facts.len() == 2
            && facts
                .iter()
                .all(|fact| fact.hash.as_deref() == Some(&sha256)),
        "{facts:?}"
    );
}

#[tokio::test]
async fn checksum_behind_a_directory_swapped_for_a_link_is_not_recorded() {
    let dir = tempfile::tempdir().expect("a temp dir");
    let at = |name: &str| dir.path().join(name);
    for name in ["lib/d", "lib/e", "outside"] {
        std::fs::create_dir_all(at(name)).expect("made");
        std::fs::write(at(name).join("a.mov"), name).expect("written");
    }
    let mut listed = Asset {
        path: "d/a.mov".into(),
        ..asset("a", &at("lib/d/a.mov"))
    };
    listed.note_listed(false);
    std::fs::remove_dir_all(at("lib/d")).expect("removed");
    std::os::unix::fs::symlink(at("outside"), at("lib/d")).expect("linked");
    let (facts, failures) = run(None, vec![listed.clone()]).await;
    assert_eq!(
        (facts.len(), failures),
        (0, vec![("a".to_owned(), "storage_invalid".to_owned())])
    );
    // A link to another directory of the library shows nothing else than the library.
    std::fs::remove_file(at("lib/d")).expect("removed");
    std::os::unix::fs::symlink("e", at("lib/d")).expect("linked");
    let (facts, failures) = run(None, vec![listed]).await;
    assert_eq!((facts.len(), failures), (1, vec![]));
}
