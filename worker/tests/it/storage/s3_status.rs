//! What each answer of an S3 server means: a table of status, error code and operation, asked of a server that gives it.
use crate::storage::s3_stub;
use crate::storage::subjects::credentials;
use crate::storage::web::{Answer, Request, serve};
use ::storage::settings::{EndpointSettings, StorageSettings};
use ::storage::{
    Attributes, BeginRequest, Body, CompleteRequest, ListRequest, ListStart, Part, Precondition, PutRequest, Registry,
    Slot, Storage, StorageError, Upload,
};
use bytes::Bytes;
use parking_lot::Mutex;
use protocol::failure::ErrorClass;
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
    StorageSettings { endpoints: vec![endpoint], ..StorageSettings::default() }
}

async fn open(url: &str, credentials_file: &Path) -> Arc<dyn Storage> {
    let registry = Registry::new(settings(url, credentials_file));
    registry.open("s3://bucket/key", None).await.expect("opened").storage
}

/// Makes one call and returns its error.
async fn call(storage: &dyn Storage, operation: &str) -> Option<StorageError> {
    let body = Body::new(vec![Bytes::from_static(b"content")], storage.capabilities().checksum);
    let upload = Upload { key: "key".into(), id: "upload".into() };
    let part = Part { number: 1, bytes: 7, tag: "\"tag\"".into(), checksum: Some(body.checksum()) };
    let (attributes, slot) = (Attributes::default(), Slot { number: 1, offset: 0 });
    let uploads = storage.multipart("key").expect("it takes content in parts");
    match operation {
        "stat" => storage.stat("key").await.err(),
        "read" => storage.read("key", 0..7, None).await.err(),
        "list" => storage.list(ListRequest { prefix: "", start: ListStart::First, objects_max: 10 }).await.err(),
        "put" => storage
            .put(PutRequest { key: "key", body: &body, attributes: &attributes, precondition: &Precondition::IfAbsent })
            .await
            .err(),
        "begin" => uploads.begin(BeginRequest { key: "key", attributes: &attributes, source: None }).await.err(),
        "put_part" => uploads.put_part(&upload, slot, &body).await.err(),
        "complete" => uploads
            .complete(CompleteRequest {
                upload: &upload,
                parts: &[part],
                whole: None,
                precondition: &Precondition::IfAbsent,
            })
            .await
            .err(),
        other => panic!("{other:?} is no operation of the table"),
    }
}

fn answer(request: &Request, status: &str, code: &str) -> Answer {
    if status == "closed" {
        return Answer { closed: true, ..Answer::default() };
    }
    let of_bucket = request.path.trim_matches('/') == "bucket";
    if of_bucket && request.method == "HEAD" && code != "NoSuchBucket" {
        return Answer::new(200);
    }
    let answer = Answer::new(status.parse().expect("a status")).with("date", "Thu, 05 Mar 2026 10:00:00 GMT");
    let elsewhere = ["PermanentRedirect", "TemporaryRedirect", "AuthorizationHeaderMalformed"].contains(&code);
    let answer = if elsewhere { answer.with("x-amz-bucket-region", "eu-west-3") } else { answer };
    match code {
        "" => answer,
        code => answer.with("content-type", "application/xml").body(s3_stub::error(code)),
    }
}

#[tokio::test]
async fn answers_of_s3_servers_have_the_class_of_the_table() {
    let dir = tempfile::tempdir().expect("a temp dir");
    let file = credentials(dir.path(), "secret");
    let row = Arc::new(Mutex::new((String::new(), String::new())));
    let given = Arc::clone(&row);
    let url = serve(move |request| {
        let (status, code) = given.lock().clone();
        answer(request, &status, &code)
    });
    let url = url.await;
    let mut storage = open(&url, &file).await;
    let mut wrong = Vec::new();
    for line in TABLE.lines().skip(1) {
        let cells: Vec<String> = line.split(',').map(str::to_owned).collect();
        let [status, code, operations, reason, retried, says] = cells.try_into().expect("six cells without a comma");
        *row.lock() = (status.clone(), code.clone());
        for operation in operations.split(' ') {
            let error = call(&*storage, operation).await;
            // An endpoint that asks for less gets less, from everything that shares its budget.
            if error.as_ref().is_some_and(|error| error.reason() == "storage_throttled") {
                storage = open(&url, &file).await;
            }
            let found = error.as_ref().map(|error| {
                let retried = match error.class() {
                    ErrorClass::Permanent => "no",
                    ErrorClass::Ambiguous => "look",
                    _ => "yes",
                };
                (error.reason(), retried)
            });
            let said = error.map(|error| error.to_string()).unwrap_or_default();
            if found != Some((reason.as_str(), retried.as_str())) || !said.contains(&says) {
                wrong.push(format!("{status} {code} {operation}: {found:?}, {said}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The key that a request is signed with.
fn key_of(request: &Request) -> &str {
    let signed = request.headers.get("authorization").map_or("", String::as_str);
    signed.split_once("Credential=").and_then(|(_, rest)| rest.split('/').next()).unwrap_or_default()
}

fn write_key(path: &Path, key: &str) {
    let text = format!("[default]\naws_access_key_id = {key}\naws_secret_access_key = s\naws_session_token = t\n");
    std::fs::write(path, text).expect("written");
}

#[tokio::test]
async fn credentials_replaced_while_the_process_runs_are_used() {
    let dir = tempfile::tempdir().expect("a temp dir");
    let file = dir.path().join("credentials");
    for (status, code) in [(400, "ExpiredToken"), (403, "InvalidAccessKeyId")] {
        write_key(&file, "old");
        let url = serve(move |request| match (key_of(request), request.method.as_str()) {
            ("old", "HEAD") => Answer::new(status),
            ("old", _) => Answer::new(status).body(s3_stub::error(code)),
            _ => Answer::new(200).with("etag", "\"e\"").with("content-length", "5"),
        });
        let storage = open(&url.await, &file).await;
        let before = storage.stat("key").await.expect_err("the old key is refused");
        assert_eq!(before.class().retryable(), code == "ExpiredToken", "{before}");
        write_key(&file, "renewed");
        // Whichever comes first, the look at the file or the refusal: no more than one request is lost.
        let first = storage.stat("key").await;
        assert!(first.as_ref().map_or_else(|error| error.class().retryable(), |_| true), "{first:?}");
        assert_eq!(storage.stat("key").await.expect("the new key is used").bytes, 5);
    }
}

#[tokio::test]
async fn stat_of_an_object_costs_one_request() {
    let dir = tempfile::tempdir().expect("a temp dir");
    let (count, file) = (Arc::new(AtomicUsize::new(0)), credentials(dir.path(), "secret"));
    let counted = Arc::clone(&count);
    let url = serve(move |request| {
        counted.fetch_add(1, Ordering::SeqCst);
        let there = request.path.ends_with("there");
        if there || request.path.trim_matches('/') == "bucket" { Answer::new(200) } else { Answer::new(404) }
    });
    let storage = open(&url.await, &file).await;
    storage.stat("there").await.expect("there");
    assert_eq!(count.load(Ordering::SeqCst), 1);
    // The bucket is asked for once, however many objects are missing in it.
    for _ in 0..3 {
        assert!(matches!(storage.stat("missing").await, Err(StorageError::NotFound(_))));
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
            _ => Answer::new(206).with("etag", "\"e\"").with("content-range", "bytes 0-0/120").body("x"),
        });
        let state = open(&url.await, &file).await.stat("key").await.expect("the content is readable");
        assert_eq!((state.bytes, state.version.tag.as_str()), (120, "\"e\""), "{status}");
    }
}
