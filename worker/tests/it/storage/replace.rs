//! `replace: versioned`: other content gives way and stays as an older version, or stays where it is.
use crate::fixture::{asset, finished, noise, unit};
use crate::storage::carry::{Road, reasons, task};
use crate::storage::server::{ACCESS_KEY, SECRET_KEY};
use crate::storage::subjects;
use protocol::failure::Failure;
use protocol::media::asset::{Asset, AssetFact};
use protocol::wire::step::TaskSpec;
use protocol::wire::unit::Unit;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

const MIB: usize = 1024 * 1024;

fn replacing(to: &str, assets: &[Asset]) -> Unit {
    let task = task(to);
    Unit {
        task: Arc::new(TaskSpec::Replace(task.clone())),
        ..unit(&task, assets)
    }
}

async fn replace(
    road: &Road,
    to: &str,
    assets: &[Asset],
) -> (Vec<AssetFact>, Vec<(String, Failure)>) {
    finished(worker::step::run(&replacing(to, assets), &road.context()).await)
}

/// Small, in parts, and in parts of the same size; then everything again, which changes nothing.
async fn redeliver(road: &Road, to: &str) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let old = vec![noise(5_000, 1), noise(9 * MIB, 2), noise(9 * MIB, 3)];
    let new = vec![noise(6_000, 4), noise(10 * MIB, 5), noise(9 * MIB, 6)];
    for (contents, skipped) in [(&old, 0), (&new, 0), (&new, 3)] {
        let files: Vec<Asset> = (0..3)
            .map(|i| road.file(&format!("d/{i}.mov"), &contents[i]))
            .collect();
        let (facts, failures) = replace(road, to, &files).await;
        assert_eq!((failures, facts.len()), (Vec::new(), 3), "{to}");
        assert_eq!(
            facts.iter().filter(|fact| fact.skipped).count(),
            skipped,
            "{to}"
        );
    }
    (old, new)
}

fn below(path: &Path) -> Vec<(String, Vec<u8>)> {
    let files = walkdir::WalkDir::new(path)
        .sort_by_file_name()
        .into_iter()
        .filter_map(Result::ok);
    let files = files.filter(|entry| entry.file_type().is_file());
    files
        .map(|entry| {
            (
                entry.path().display().to_string(),
                std::fs::read(entry.path()).expect("readable"),
            )
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_keeps_what_was_replaced_beside_its_tree() {
    let road = Road::new(subjects::folder(), |_| None);
    let out = road.path("out");
    let to = format!("file:{}/{{path}}", out.display());
    let (old, new) = redeliver(&road, &to).await;
    let versions = out.join(".showrunner/versions/d");
    for i in 0..3 {
        assert!(std::fs::read(out.join(format!("d/{i}.mov"))).expect("there") == new[i]);
        let kept = below(&versions.join(format!("{i}.mov")));
        assert!(
            kept.len() == 1 && kept[0].1 == old[i] && kept[0].0.ends_with(".mov"),
            "{i}: {} kept",
            kept.len()
        );
    }
    assert_eq!(
        std::fs::read_dir(out.join("d")).expect("listed").count(),
        3,
        "nothing hidden is left"
    );
    // The same content under another transfer is a conflict, as ever.
    let (_, failures) = road.carry(&to, &[road.file("d/0.mov", &old[0])]).await;
    assert_eq!(reasons(&failures), [("d/0.mov", "destination_conflict")]);
}

/// Whoever comes second replaces what came first: of everything that was ever reported good, nothing is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_who_replace_each_other_lose_nothing() {
    let road = Arc::new(Road::new(subjects::folder(), |_| None));
    let out = road.path("out");
    for round in 0..5 {
        let contents: Vec<Vec<u8>> = (0..6).map(|i| noise(3_000, 100 * round + i)).collect();
        let running: Vec<_> = contents
            .iter()
            .enumerate()
            .map(|(i, content)| {
                let source = road.path(&format!("in-{round}-{i}"));
                std::fs::write(&source, content).expect("written");
                let assets = [asset("same.mov", &source)];
                let (unit, context) = (
                    replacing(&format!("file:{}/{{path}}", out.display()), &assets),
                    road.context(),
                );
                tokio::spawn(async move { finished(worker::step::run(&unit, &context).await) })
            })
            .collect();
        let mut good = BTreeSet::new();
        for (i, running) in running.into_iter().enumerate() {
            let (facts, failures) = running.await.expect("ends");
            assert!(
                failures
                    .iter()
                    .all(|(_, failure)| failure.class.retryable()),
                "{failures:?}"
            );
            good.extend((!facts.is_empty()).then(|| contents[i].clone()));
        }
        let there: BTreeSet<Vec<u8>> = below(&out)
            .into_iter()
            .map(|(_, content)| content)
            .collect();
        assert!(
            good.len() >= 2 && good.is_subset(&there),
            "round {round}: {} of {}",
            there.len(),
            good.len()
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_keeps_versions_or_nothing_is_replaced() {
    let Some(subject) = subjects::weed().await else {
        return;
    };
    let credentials =
        aws_sdk_s3::config::Credentials::new(ACCESS_KEY, SECRET_KEY, None, None, "test");
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(aws_sdk_s3::config::BehaviorVersion::v2026_01_12())
        .region(aws_sdk_s3::config::Region::new("us-east-1"))
        .credentials_provider(credentials)
        .endpoint_url(subject.server_url())
        .force_path_style(true)
        .build();
    let client = aws_sdk_s3::Client::from_conf(config);
    let road = Road::new(subject, |_| None);
    let to = format!("{}up/{{path}}", road.base);
    let plain = noise(4_000, 20);
    let (_, failures) = replace(&road, &to, &[road.file("plain.mov", &plain)]).await;
    assert_eq!(failures, []);
    let (_, failures) = replace(&road, &to, &[road.file("plain.mov", b"other")]).await;
    assert_eq!(
        reasons(&failures),
        [("plain.mov", "destination_unversioned")]
    );
    assert!(road.content("plain.mov").await == Some(plain));
    let on = aws_sdk_s3::types::VersioningConfiguration::builder()
        .status(aws_sdk_s3::types::BucketVersioningStatus::Enabled)
        .build();
    client
        .put_bucket_versioning()
        .bucket("bucket")
        .versioning_configuration(on)
        .send()
        .await
        .expect("switched on");
    let (old, new) = redeliver(&road, &to).await;
    for i in 0..3 {
        let key = format!("up/d/{i}.mov");
        assert!(
            road.content(&format!("d/{i}.mov")).await.as_ref() == Some(&new[i]),
            "{i}"
        );
        let listed = client
            .list_object_versions()
            .bucket("bucket")
            .prefix(&key)
            .send()
            .await
            .expect("listed");
        let older: Vec<_> = listed
            .versions()
            .iter()
            .filter(|version| version.is_latest() != Some(true))
            .collect();
        assert_eq!(older.len(), 1, "{i}: {listed:?}");
        let id = older[0].version_id().expect("an id");
        let got = client
            .get_object()
            .bucket("bucket")
            .key(&key)
            .version_id(id)
            .send()
            .await
            .expect("readable");
        assert!(
            got.body.collect().await.expect("whole").to_vec() == old[i],
            "{i}"
        );
    }
    assert_eq!(road.uploads().await, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_does_google_storage() {
    let road = Road::new(subjects::stub().await, |_| None);
    let (_, new) = redeliver(&road, &format!("{}up/{{path}}", road.base)).await;
    for (i, content) in new.iter().enumerate() {
        assert!(road.content(&format!("d/{i}.mov")).await.as_ref() == Some(content));
    }
    assert_eq!(road.uploads().await, []);
}
