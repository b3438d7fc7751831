//! Buckets in which not everything is allowed.
use crate::fixture::{asset, context, finished, noise, reasons, unit};
use crate::storage::carry::task;
use crate::storage::s3_status::settings;
use crate::storage::s3_stub;
use crate::storage::subjects::credentials;
use ::storage::Registry;
use protocol::media::asset::Asset;
use std::path::Path;
use std::sync::Arc;
use worker::step::StepContext;

const MIB: usize = 1024 * 1024;

/// Two assets, of which one goes up in one request and one in parts.
fn assets(dir: &Path) -> (Vec<Asset>, [(&'static str, Vec<u8>); 2]) {
    let contents = [
        ("small.mov", noise(1_000, 1)),
        ("large.mov", noise(9 * MIB, 2)),
    ];
    let made = contents.iter().map(|(name, content)| {
        let path = dir.join(name);
        std::fs::write(&path, content).expect("written");
        asset(name, &path)
    });
    (made.collect(), contents.clone())
}

#[tokio::test]
async fn lost_answer_to_a_commit_in_a_write_only_bucket_is_resolved() {
    let dir = tempfile::tempdir().expect("a temp dir");
    let file = credentials(dir.path(), "secret");
    let (assets, contents) = assets(dir.path());
    for (happened, asset, content) in [(true, 0, 0), (true, 1, 1), (false, 0, 0), (false, 1, 1)] {
        let (url, bucket) = s3_stub::start(&["HEAD", "GET"]).await;
        let context = StepContext {
            storage: Arc::new(Registry::new(settings(&url, &file))),
            ..context()
        };
        bucket.lock().expect("sound").lost = if happened { (1, 0) } else { (0, 1) };
        let work = unit(&task("s3://bucket/drop/{path}"), &assets[asset..=asset]);
        let (facts, failures) = finished(worker::step::run(&work, &context).await);
        let (name, content) = &contents[content];
        let there = bucket
            .lock()
            .expect("sound")
            .objects
            .get(&format!("drop/{name}"))
            .cloned();
        assert!(
            there.as_ref() == Some(content),
            "{name}: it is there, and whole"
        );
        if happened {
            // Whose object it is cannot be seen; no request can tell.
            assert_eq!(reasons(&failures), [(*name, "destination_conflict", false)]);
            assert!(
                failures[0].1.message.contains("cannot be seen"),
                "{}",
                failures[0].1.message
            );
        } else {
            assert_eq!((facts.len(), failures), (1, vec![]), "{name}");
        }
    }
}

#[tokio::test]
async fn bucket_that_only_takes_content_takes_large_content() {
    let (url, bucket) = s3_stub::start(&["HEAD", "GET"]).await;
    let dir = tempfile::tempdir().expect("a temp dir");
    let file = credentials(dir.path(), "secret");
    let context = StepContext {
        storage: Arc::new(Registry::new(settings(&url, &file))),
        ..context()
    };
    let (assets, contents) = assets(dir.path());
    let mut work = unit(&task("s3://bucket/drop/{path}"), &assets);
    let (facts, failures) = finished(worker::step::run(&work, &context).await);
    assert_eq!((facts.len(), failures), (2, vec![]));
    for (name, content) in &contents {
        let there = bucket
            .lock()
            .expect("sound")
            .objects
            .get(&format!("drop/{name}"))
            .cloned();
        assert!(there.as_ref() == Some(content), "{name}");
    }
    // A second delivery replaces nothing, and says why it cannot tell.
    work.attempt = 1;
    let (_, failures) = finished(worker::step::run(&work, &context).await);
    let small = failures
        .iter()
        .find(|(id, _)| id == "small.mov")
        .expect("it is there already");
    assert_eq!(small.1.reason, "destination_conflict");
    assert!(
        small.1.message.contains("cannot be seen"),
        "{}",
        small.1.message
    );
}
