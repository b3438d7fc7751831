//! What each answer of Google Cloud Storage and of web servers means, and credentials that are replaced.
use crate::storage::status::{Asked, Row, wrong_rows};
use crate::storage::web::{Answer, serve};
use ::storage::settings::{EndpointSettings, StorageSettings};
use ::storage::{Registry, Storage};
use serde_json::json;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

const GCS: &str = include_str!("gcs_status.csv");
const WEB: &str = include_str!("web_status.csv");

async fn open(endpoint: EndpointSettings, location: &str) -> Arc<dyn Storage> {
    let settings = StorageSettings {
        endpoints: vec![endpoint],
        ..StorageSettings::default()
    };
    Registry::new(settings)
        .open(location, None)
        .await
        .expect("opened")
        .storage
}

fn refusal(status: u16, code: &str) -> Answer {
    let errors = json!([{ "reason": code, "message": code }]);
    Answer::json(
        status,
        &json!({ "error": { "code": status, "message": code, "errors": errors } }),
    )
}

#[tokio::test]
async fn answers_of_google_cloud_storage_have_the_class_of_the_table() {
    let row = Row::default();
    let given = row.clone();
    let url = serve(move |request| {
        let Asked {
            status,
            code,
            operation,
        } = given.now();
        // A completion reads the mark of the upload first.
        if operation == "complete" && request.method == "GET" {
            return Answer::json(
                200,
                &json!({ "name": "mark", "size": "0", "generation": "1" }),
            );
        }
        match status.as_str() {
            "closed" => Answer {
                closed: true,
                ..Answer::default()
            },
            status => refusal(status.parse().expect("a status"), &code),
        }
    });
    let url = url.await;
    let wrong = wrong_rows(GCS, &row, async || {
        let endpoint = EndpointSettings {
            anonymous: true,
            ..gcs(&url)
        };
        open(endpoint, "gs://bucket/key").await
    });
    let wrong = wrong.await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn answers_of_web_servers_have_the_class_of_the_table() {
    let row = Row::default();
    let given = row.clone();
    let url = serve(move |_| {
        let Asked { status, code, .. } = given.now();
        match status.as_str() {
            "closed" => Answer {
                closed: true,
                ..Answer::default()
            },
            status => {
                let answer = Answer::new(status.parse().expect("a status")).body("content");
                if code.is_empty() {
                    answer
                } else {
                    answer.with("content-encoding", code)
                }
            }
        }
    });
    let url = url.await;
    let wrong = wrong_rows(WEB, &row, async || {
        let allow_private = vec!["127.0.0.0/8".to_owned()];
        let endpoint = EndpointSettings {
            prefix: "http:".into(),
            allow_private,
            ..EndpointSettings::default()
        };
        open(endpoint, &format!("{url}/key")).await
    });
    let wrong = wrong.await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn gcs(url: &str) -> EndpointSettings {
    EndpointSettings {
        prefix: "gs:".into(),
        url: Some(url.to_owned()),
        ..EndpointSettings::default()
    }
}

/// Writes a service account key with this id.
fn write_key(file: &Path, private_key: &str, id: &str) {
    let key = json!({
        "type": "service_account",
        "private_key": private_key,
        "private_key_id": id,
        "client_email": "worker@example.iam.gserviceaccount.com",
        "client_id": "1",
    });
    std::fs::write(file, key.to_string()).expect("written");
}

/// Whether a request is signed with the key of this id: a token names it in its head.
fn signed_with(authorization: Option<&String>, id: &str) -> bool {
    let head = authorization.and_then(|value| value.strip_prefix("Bearer ")?.split('.').next());
    let wanted = format!("\"{id}\"");
    head.and_then(decoded)
        .is_some_and(|head| head.contains(&wanted))
}

/// Text in base 64 for URLs.
fn decoded(text: &str) -> Option<String> {
    let value = |byte: u8| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'-' => Some(62),
        b'_' => Some(63),
        _ => None,
    };
    let (mut bits, mut count, mut bytes) = (0u32, 0, Vec::new());
    for byte in text.bytes() {
        bits = (bits << 6) | u32::from(value(byte)?);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    String::from_utf8(bytes).ok()
}

#[tokio::test]
async fn replaced_service_account_key_is_used() {
    let made = Command::new("openssl")
        .args([
            "genpkey",
            "-algorithm",
            "RSA",
            "-pkeyopt",
            "rsa_keygen_bits:2048",
        ])
        .output();
    let Some(made) = made.ok().filter(|made| made.status.success()) else {
        println!("SKIP: openssl is not installed");
        return;
    };
    let private_key = String::from_utf8(made.stdout).expect("text");
    let dir = tempfile::tempdir().expect("a temp dir");
    let file = dir.path().join("key.json");
    write_key(&file, &private_key, "old");
    let url =
        serve(
            move |request| match signed_with(request.headers.get("authorization"), "renewed") {
                true => Answer::json(
                    200,
                    &json!({ "name": "key", "size": "5", "generation": "1" }),
                ),
                false => refusal(401, "authError"),
            },
        );
    let endpoint = EndpointSettings {
        credentials_file: Some(file.clone()),
        ..gcs(&url.await)
    };
    let storage = open(endpoint, "gs://bucket/key").await;
    let before = storage
        .stat("key")
        .await
        .expect_err("the old key is refused");
    assert_eq!(before.reason(), "storage_denied");
    write_key(&file, &private_key, "renewed");
    // Whichever comes first, the examination of the file or the refusal: no more than one request is lost.
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
