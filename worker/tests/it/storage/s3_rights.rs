//! Buckets in which not everything is allowed.
use crate::fixture::{asset, context, finished, noise, unit};
use crate::storage::carry::task;
use crate::storage::s3_status::settings;
use crate::storage::s3_stub;
use crate::storage::subjects::credentials;
use ::storage::Registry;
use std::sync::Arc;
use worker::task::TaskContext;

const MIB: usize = 1024 * 1024;

#[tokio::test]
async fn bucket_that_only_takes_content_takes_large_content() {
    let (url, bucket) = s3_stub::start(&["HEAD", "GET"]).await;
    let dir = tempfile::tempdir().expect("a temp dir");
    let file = credentials(dir.path(), "secret");
    let context = TaskContext { storage: Arc::new(Registry::new(settings(&url, &file))), ..context() };
    let contents = [("small.mov", noise(1_000, 1)), ("large.mov", noise(9 * MIB, 2))];
    let assets: Vec<_> = contents
        .iter()
        .map(|(name, content)| {
            let path = dir.path().join(name);
            std::fs::write(&path, content).expect("written");
            asset(name, &path)
        })
        .collect();
    let mut work = unit(&task("s3://bucket/drop/{path}"), &assets);
    let (facts, failures) = finished(worker::task::run(&work, &context).await);
    assert_eq!((facts.len(), failures), (2, vec![]));
    for (name, content) in &contents {
        let there = bucket.lock().expect("sound").objects.get(&format!("drop/{name}")).cloned();
        assert!(there.as_ref() == Some(content), "{name}");
    }
    // A second delivery replaces nothing, and says why it cannot tell.
    work.attempt = 1;
    let (_, failures) = finished(worker::task::run(&work, &context).await);
    let small = failures.iter().find(|(id, _)| id == "small.mov").expect("it is there already");
    assert_eq!(small.1.reason, "destination_conflict");
    assert!(small.1.message.contains("cannot be seen"), "{}", small.1.message);
}
