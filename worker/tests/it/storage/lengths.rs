//! Servers whose answers differ about the length or the range of large content: nothing of it lands.
use crate::fixture::{asset, context, finished, noise, unit};
use crate::storage::carry::task;
use crate::storage::s3_status::settings;
use crate::storage::subjects::credentials;
use crate::storage::web::{Answer, Request, ranged, serve};
use ::storage::settings::{EndpointSettings, StorageSettings};
use ::storage::{Registry, StorageError};
use protocol::media::asset::Asset;
use serde_json::json;
use std::path::Path;
use std::sync::Arc;
use worker::step::StepContext;

const MIB: usize = 1024 * 1024;
/// Above what is read in one request.
const BYTES: usize = 10 * MIB;

/// How a server lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lie {
    /// The state names a length below that of the content.
    Short,
    /// Above it.
    Long,
    /// A range begins elsewhere.
    Start,
    /// A range ends elsewhere.
    End,
    /// A range is not named.
    Unnamed,
    /// The whole content comes for every request.
    Whole,
}

const LIES: [Lie; 6] = [
    Lie::Short,
    Lie::Long,
    Lie::Start,
    Lie::End,
    Lie::Unnamed,
    Lie::Whole,
];

impl Lie {
    /// The length in the state.
    fn length(self) -> usize {
        match self {
            Lie::Short => BYTES - MIB,
            Lie::Long => BYTES + MIB,
            _ => BYTES,
        }
    }

    /// The answer to a request for content.
    fn answer(self, request: &Request, content: &[u8]) -> Answer {
        let mut answer = ranged(request, content, "\"e\"");
        let header = answer
            .headers
            .iter_mut()
            .find(|(name, _)| name == "content-range");
        let Some((_, range)) = header else {
            return answer;
        };
        let (start, rest) = range
            .trim_start_matches("bytes ")
            .split_once('-')
            .expect("a range");
        let (end, whole) = rest.split_once('/').expect("a range");
        let (start, end): (usize, usize) = (
            start.parse().expect("a number"),
            end.parse().expect("a number"),
        );
        match self {
            Lie::Short | Lie::Long => {}
            Lie::Start => *range = format!("bytes {}-{}/{whole}", start + 1, end + 1),
            Lie::End => *range = format!("bytes {start}-{}/{whole}", end + 1),
            Lie::Unnamed => answer.headers.retain(|(name, _)| name != "content-range"),
            Lie::Whole => return Answer::new(200).with("etag", "\"e\"").body(content),
        }
        answer
    }
}

/// Carries the object at `location` to a directory; the reason of its failure, when it fails.
async fn carry(
    location: &str,
    settings: StorageSettings,
    content: &[u8],
    lie: &str,
) -> Option<String> {
    let dir = tempfile::tempdir().expect("a temp dir");
    let context = StepContext {
        storage: Arc::new(Registry::new(settings)),
        ..context()
    };
    let object = Asset {
        location: location.to_owned(),
        ..asset("big.mov", Path::new("/"))
    };
    let to = format!("file:{}/out/{{path}}", dir.path().display());
    let (_, failures) = finished(worker::step::run(&unit(&task(&to), &[object]), &context).await);
    if let Ok(landed) = std::fs::read(dir.path().join("out/big.mov")) {
        assert!(landed == content, "{lie}: what lands is the content");
    }
    failures
        .into_iter()
        .next()
        .map(|(_, failure)| failure.reason)
}

#[tokio::test(flavor = "multi_thread")]
async fn lies_of_s3_servers_about_large_content_are_found() {
    let content = Arc::new(noise(BYTES, 1));
    let keys = tempfile::tempdir().expect("a temp dir");
    let file = credentials(keys.path(), "secret");
    for lie in LIES {
        let shared = Arc::clone(&content);
        let url = serve(move |request| match request.method.as_str() {
            "HEAD" => Answer::new(200)
                .with("etag", "\"e\"")
                .with("content-length", lie.length().to_string()),
            _ => lie.answer(request, &shared),
        });
        let failed = carry(
            "s3://bucket/big.mov",
            settings(&url.await, &file),
            &content,
            &format!("{lie:?}"),
        )
        .await;
        assert!(failed.is_some(), "{lie:?} lands");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lies_of_google_cloud_storage_about_large_content_are_found() {
    let content = Arc::new(noise(BYTES, 2));
    for lie in LIES {
        let shared = Arc::clone(&content);
        let url = serve(
            move |request| match request.query.get("alt").map(String::as_str) {
                Some("media") => lie.answer(request, &shared).with("x-goog-generation", "1"),
                _ => Answer::json(
                    200,
                    &json!({ "name": "big.mov", "size": lie.length().to_string(), "generation": "1" }),
                ),
            },
        );
        let endpoint = EndpointSettings {
            prefix: "gs:".into(),
            url: Some(url.await),
            anonymous: true,
            ..EndpointSettings::default()
        };
        let settings = StorageSettings {
            endpoints: vec![endpoint],
            ..StorageSettings::default()
        };
        let failed = carry(
            "gs://bucket/big.mov",
            settings,
            &content,
            &format!("{lie:?}"),
        )
        .await;
        assert!(failed.is_some(), "{lie:?} lands");
    }
}

/// A range that the state and the answer agree about is read.
#[tokio::test(flavor = "multi_thread")]
async fn ranges_that_are_what_was_requested_are_read() {
    let content = noise(BYTES, 3);
    let shared = content.clone();
    let url = serve(move |request| ranged(request, &shared, "\"e\""));
    let keys = tempfile::tempdir().expect("a temp dir");
    let settings = settings(&url.await, &credentials(keys.path(), "secret"));
    let opened = Registry::new(settings)
        .open("s3://bucket/big.mov", None)
        .await
        .expect("opened");
    let read = opened
        .storage
        .read(&opened.key, 5..9, None)
        .await
        .expect("read")
        .collect()
        .await;
    assert_eq!(read.expect("read").concat(), &content[5..9]);
    let beyond = opened
        .storage
        .read(&opened.key, BYTES as u64 - 2..BYTES as u64 + 2, None)
        .await;
    assert!(matches!(beyond, Err(StorageError::Invalid { .. })));
}
