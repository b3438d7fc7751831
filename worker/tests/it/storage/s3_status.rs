//! What each answer of an S3 server means: a table of status, error code and operation, asked of a server that gives it.
use crate::storage::s3_stub;
use crate::storage::status::{Asked, Row, wrong_rows};
use crate::storage::subjects::credentials;
use crate::storage::web::{Answer, Request, ranged, serve};
use ::storage::settings::{EndpointSettings, StorageSettings};
use ::storage::{PartCopyRequest, Registry, Slot, Storage, StorageError, Upload};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The table.
const TABLE: &str = include_str!("s3_status.csv");

pub(crate) fn settings(url: &str, credentials_file: &Path) -> StorageSettings {
    let endpoint = EndpointSettings {
        prefix: "s3:".into(),
        url: Some(url.to_owned()),
        credentials_file: Some(credentials_file.to_owned()),
        ..EndpointSettings::default()
    };
    StorageSettings {
        endpoints: vec![endpoint],
        ..StorageSettings::default()
    }
}

async fn open(url: &str, credentials_file: &Path) -> Arc<dyn Storage> {
    let registry = Registry::new(settings(url, credentials_file));
    registry
        .open("s3://bucket/key", None)
        .await
        .expect("opened")
        .storage
}

fn answer(request: &Request, status: &str, code: &str) -> Answer {
    if status == "closed" {
        return Answer {
            closed: true,
            ..Answer::default()
        };
    }
    let of_bucket = request.path.trim_matches('/') == "bucket";
    if of_bucket && request.method == "HEAD" && code != "NoSuchBucket" {
        return Answer::new(200);
    }
    let answer = Answer::new(status.parse().expect("a status"))
        .with("date", "Thu, 05 Mar 2026 10:00:00 GMT");
    let elsewhere = [
        "PermanentRedirect",
        "TemporaryRedirect",
        "AuthorizationHeaderMalformed",
    ]
    .contains(&code);
    let answer = if elsewhere {
        answer.with("x-amz-bucket-region", "eu-west-3")
    } else {
        answer
    };
    match code {
        "" => answer,
        code => answer
            .with("content-type", "application/xml")
            .body(s3_stub::error(code)),
    }
}

#[tokio::test]
async fn answers_of_s3_servers_have_the_class_of_the_table() {
    let dir = tempfile::tempdir().expect("a temp dir");
    let file = credentials(dir.path(), "secret");
    let row = Row::default();
    let given = row.clone();
    let url = serve(move |request| {
        let Asked {
            status,
            code,
            operation,
        } = given.now();
        // These operations read the state first.
        let first =
            ["restore", "set_class"].contains(&operation.as_str()) && request.method == "HEAD";
        if first && request.path.trim_matches('/') != "bucket" {
            return Answer::new(200)
                .with("etag", "\"tag\"")
                .with("content-length", "7");
        }
        answer(request, &status, &code)
    });
    let url = url.await;
    let wrong = wrong_rows(TABLE, &row, async || open(&url, &file).await).await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn version_that_may_not_be_read_is_identified_by_its_tag() {
    let dir = tempfile::tempdir().expect("a temp dir");
    let (file, asked) = (
        credentials(dir.path(), "secret"),
        Arc::new(AtomicUsize::new(0)),
    );
    let count = Arc::clone(&asked);
    let url = serve(move |request| {
        let of_version = request.query.contains_key("versionId")
            || request
                .headers
                .get("x-amz-copy-source")
                .is_some_and(|source| source.contains("versionId"));
        if of_version {
            count.fetch_add(1, Ordering::SeqCst);
            return Answer::new(403).body(s3_stub::error("AccessDenied"));
        }
        match request.method.as_str() {
            "PUT" => Answer::new(200).body("<CopyPartResult><ETag>\"p\"</ETag></CopyPartResult>"),
            _ => ranged(request, b"content", "\"tag\"").with("x-amz-version-id", "v1"),
        }
    });
    let storage = open(&url.await, &file).await;
    let state = storage.stat("key").await.expect("there");
    assert_eq!(state.version.id.as_deref(), Some("v1"));
    for _ in 0..3 {
        let read = storage
            .read("key", 0..7, Some(&state.version))
            .await
            .expect("read")
            .collect()
            .await;
        assert_eq!(read.expect("read").concat(), b"content");
    }
    assert_eq!(
        asked.load(Ordering::SeqCst),
        1,
        "the version is asked for once"
    );
    let from = storage
        .server_copy("key")
        .expect("copies")
        .source(&state)
        .expect("a source");
    let upload = Upload {
        key: "copy".into(),
        id: "u".into(),
    };
    let slot = Slot {
        number: 1,
        offset: 0,
    };
    let part = PartCopyRequest {
        upload: &upload,
        slot,
        from: &from,
        range: 0..7,
    };
    storage
        .part_copy("key")
        .expect("copies parts")
        .copy_part(part)
        .await
        .expect("copied");
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

/// The key that a request is signed with.
fn key_of(request: &Request) -> &str {
    let signed = request
        .headers
        .get("authorization")
        .map_or("", String::as_str);
    signed
        .split_once("Credential=")
        .and_then(|(_, rest)| rest.split('/').next())
        .unwrap_or_default()
}

fn write_key(path: &Path, key: &str) {
    let text = format!(
        "[default]\naws_access_key_id = {key}\naws_secret_access_key = s\naws_session_token = t\n"
    );
    std::fs::write(path, text).expect("written");
}

#[tokio::test]
async fn credentials_replaced_while_the_process_runs_are_used() {
    let dir = tempfile::tempdir().expect("a temp dir");
    let file = dir.path().join("credentials");
    for (status, code) in [(400, "ExpiredToken"), (403, "InvalidAccessKeyId")] {
        write_key(&file, "old");
        let url = serve(
            move |request| match (key_of(request), request.method.as_str()) {
                ("old", "HEAD") => Answer::new(status),
                ("old", _) => Answer::new(status).body(s3_stub::error(code)),
                _ => Answer::new(200)
                    .with("etag", "\"e\"")
                    .with("content-length", "5"),
            },
        );
        let storage = open(&url.await, &file).await;
        let before = storage
            .stat("key")
            .await
            .expect_err("the old key is refused");
        assert_eq!(
            before.class().retryable(),
            code == "ExpiredToken",
            "{before}"
        );
        write_key(&file, "renewed");
        // Whichever comes first, the look at the file or the refusal: no more than one request is lost.
        let first = storage.stat("key").await;
        assert!(
            first
                .as_ref()
                .map_or_else(|error| error.class().retryable(), |_| true),
            "{first:?}"
        );
        assert_eq!(
            storage
                .stat("key")
                .await
                .expect("the new key is used")
                .bytes,
            5
        );
    }
}

#[tokio::test]
async fn stat_of_an_object_costs_one_request() {
    let dir = tempfile::tempdir().expect("a temp dir");
    let (count, file) = (
        Arc::new(AtomicUsize::new(0)),
        credentials(dir.path(), "secret"),
    );
    let counted = Arc::clone(&count);
    let url = serve(move |request| {
        counted.fetch_add(1, Ordering::SeqCst);
        let there = request.path.ends_with("there");
        if there || request.path.trim_matches('/') == "bucket" {
            Answer::new(200)
        } else {
            Answer::new(404)
        }
    });
    let storage = open(&url.await, &file).await;
    storage.stat("there").await.expect("there");
    assert_eq!(count.load(Ordering::SeqCst), 1);
    // The bucket is asked for once, however many objects are missing in it.
    for _ in 0..3 {
        assert!(matches!(
            storage.stat("missing").await,
            Err(StorageError::NotFound(_))
        ));
    }
    assert_eq!(count.load(Ordering::SeqCst), 5);
}

#[tokio::test]
async fn refused_stat_requests_the_first_byte() {
    let dir = tempfile::tempdir().expect("a temp dir");
    let file = credentials(dir.path(), "secret");
    for status in [400, 403, 405, 501] {
        let url = serve(move |request| match request.method.as_str() {
            "HEAD" => Answer::new(status),
            _ => Answer::new(206)
                .with("etag", "\"e\"")
                .with("content-range", "bytes 0-0/120")
                .body("x"),
        });
        let state = open(&url.await, &file)
            .await
            .stat("key")
            .await
            .expect("the content is readable");
        assert_eq!(
            (state.bytes, state.version.tag.as_str()),
            (120, "\"e\""),
            "{status}"
        );
    }
}
