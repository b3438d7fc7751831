//! As much of S3 as no server at hand has: storage classes from which nothing can be read, and RestoreObject as its
//! documentation describes it. <https://docs.aws.amazon.com/AmazonS3/latest/API/API_RestoreObject.html>
//!
//! - an archived object answers `GetObject` and a copy of it with 403 `InvalidObjectState` until it is restored
//! - `RestoreObject` answers 202, then 409 `RestoreAlreadyInProgress` until it is there, then 200
//! - `HeadObject` answers all the time; `x-amz-restore` says `ongoing-request="true"`, then `"false"` with a date
//! - what the service tiered by itself says so in `x-amz-archive-status`, and is restored for good: without days
//! - the tier `Expedited` is refused for `DEEP_ARCHIVE`; an object that is not archived answers 403
use crate::storage::web::{Answer, Request, serve};
use ::storage::ChecksumKind;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Restored {
    No,
    Ongoing,
    Here,
}

#[derive(Debug, Clone)]
struct Object {
    content: Vec<u8>,
    class: String,
    restored: Restored,
}

impl Object {
    fn is_away(&self) -> bool {
        self.class != "STANDARD" && self.class != "STANDARD_IA" && self.restored != Restored::Here
    }

    fn tag(&self) -> String {
        format!(
            "\"{:016x}\"",
            self.content
                .iter()
                .fold(7u64, |sum, byte| sum.wrapping_mul(31) + u64::from(*byte))
        )
    }
}

/// The bucket, and what was asked of it.
#[derive(Default)]
pub(crate) struct Vault {
    objects: BTreeMap<String, Object>,
    pub(crate) restores: Vec<String>,
    pub(crate) deletes: u32,
}

/// Hands on the archive.
#[derive(Clone, Default)]
pub(crate) struct Handle(Arc<Mutex<Vault>>);

impl Handle {
    fn vault(&self) -> std::sync::MutexGuard<'_, Vault> {
        self.0.lock().expect("no test panicked in it")
    }

    /// Puts an object there.
    pub(crate) fn put(&self, key: &str, content: &[u8], class: &str) {
        let object = Object {
            content: content.to_vec(),
            class: class.into(),
            restored: Restored::No,
        };
        self.vault().objects.insert(key.into(), object);
    }

    /// Everything that was asked for arrives.
    pub(crate) fn deliver(&self) {
        let mut vault = self.vault();
        let ongoing = vault
            .objects
            .values_mut()
            .filter(|object| object.restored == Restored::Ongoing);
        ongoing.for_each(|object| object.restored = Restored::Here);
    }

    /// Class of an object; `None` when it is not there.
    pub(crate) fn class(&self, key: &str) -> Option<String> {
        self.vault()
            .objects
            .get(key)
            .map(|object| object.class.clone())
    }

    /// Bodies of the restore requests.
    pub(crate) fn restores(&self) -> Vec<String> {
        self.vault().restores.clone()
    }
}

/// Starts it; returns its address. The bucket is `vault`.
pub(crate) async fn start() -> (String, Handle) {
    let handle = Handle::default();
    let inside = handle.clone();
    (
        serve(move |request| inside.vault().answer(request)).await,
        handle,
    )
}

fn refused(status: u16, code: &str) -> Answer {
    let body = format!(
        "<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{code}</Message></Error>"
    );
    Answer::new(status)
        .with("content-type", "application/xml")
        .body(body)
}

impl Vault {
    fn answer(&mut self, request: &Request) -> Answer {
        if request.path.trim_matches('/') == "vault" && request.method == "HEAD" {
            return Answer::new(200);
        }
        let Some(key) = request.path.strip_prefix("/vault/").map(str::to_owned) else {
            return refused(404, "NoSuchBucket");
        };
        match request.method.as_str() {
            "HEAD" => self.head(&key),
            "GET" => self.get(&key, request),
            "POST" => self.restore(&key, request),
            "PUT" if request.headers.contains_key("x-amz-copy-source") => self.copy(&key, request),
            "DELETE" => {
                self.deletes += 1;
                self.objects.remove(&key);
                Answer::new(204)
            }
            _ => refused(501, "NotImplemented"),
        }
    }

    fn head(&self, key: &str) -> Answer {
        let Some(object) = self.objects.get(key) else {
            return Answer::new(404);
        };
        let sum = ChecksumKind::Crc64nvme
            .of(&[object.content.clone().into()])
            .base64();
        let answer = Answer::new(200)
            .with("etag", object.tag())
            .with("content-length", object.content.len().to_string())
            .with("last-modified", "Thu, 05 Mar 2026 10:00:00 GMT")
            .with("x-amz-checksum-crc64nvme", sum)
            .with("x-amz-checksum-type", "FULL_OBJECT");
        let answer = if object.class == "STANDARD" {
            answer
        } else {
            answer.with("x-amz-storage-class", &object.class)
        };
        let tiered = object.class == "INTELLIGENT_TIERING" && object.is_away();
        let answer = if tiered {
            answer.with("x-amz-archive-status", "ARCHIVE_ACCESS")
        } else {
            answer
        };
        match object.restored {
            Restored::No => answer,
            Restored::Ongoing => answer.with("x-amz-restore", "ongoing-request=\"true\""),
            Restored::Here => answer.with(
                "x-amz-restore",
                "ongoing-request=\"false\", expiry-date=\"Fri, 21 Dec 2029 00:00:00 GMT\"",
            ),
        }
    }

    fn get(&self, key: &str, request: &Request) -> Answer {
        let Some(object) = self.objects.get(key) else {
            return refused(404, "NoSuchKey");
        };
        if object.is_away() {
            return refused(403, "InvalidObjectState");
        }
        let range = request
            .headers
            .get("range")
            .and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
        let (from, to) = range.map_or((0, object.content.len()), |(from, to)| {
            (
                from.parse().unwrap_or(0),
                to.parse().map_or(object.content.len(), |to: usize| to + 1),
            )
        });
        let whole = object.content.len();
        Answer::new(206)
            .with("etag", object.tag())
            .with("content-range", format!("bytes {from}-{}/{whole}", to - 1))
            .body(&object.content[from..to])
    }

    fn restore(&mut self, key: &str, request: &Request) -> Answer {
        let body = String::from_utf8_lossy(&request.body).into_owned();
        let Some(object) = self.objects.get_mut(key) else {
            return refused(404, "NoSuchKey");
        };
        if !object.is_away() && object.restored == Restored::No {
            return refused(403, "InvalidObjectState");
        }
        if body.contains("<Days>") == (object.class == "INTELLIGENT_TIERING") {
            return refused(400, "InvalidArgument");
        }
        if object.class == "DEEP_ARCHIVE" && body.contains("Expedited") {
            return refused(400, "InvalidRequest");
        }
        self.restores.push(body);
        match object.restored {
            Restored::No => {
                object.restored = Restored::Ongoing;
                Answer::new(202)
            }
            Restored::Ongoing => refused(409, "RestoreAlreadyInProgress"),
            Restored::Here => Answer::new(200),
        }
    }

    fn copy(&mut self, key: &str, request: &Request) -> Answer {
        let source = request.headers["x-amz-copy-source"]
            .trim_start_matches('/')
            .trim_start_matches("vault/")
            .to_owned();
        let Some(found) = self.objects.get(&source).cloned() else {
            return refused(404, "NoSuchKey");
        };
        if found.is_away() {
            return refused(403, "ObjectNotInActiveTierError");
        }
        if request
            .headers
            .get("x-amz-copy-source-if-match")
            .is_some_and(|tag| *tag != found.tag())
        {
            return refused(412, "PreconditionFailed");
        }
        let class = request
            .headers
            .get("x-amz-storage-class")
            .cloned()
            .unwrap_or_else(|| "STANDARD".into());
        let tag = found.tag();
        self.objects.insert(
            key.to_owned(),
            Object {
                class,
                restored: Restored::No,
                ..found
            },
        );
        let body = format!(
            "<CopyObjectResult><ETag>{}</ETag></CopyObjectResult>",
            tag.replace('"', "&quot;")
        );
        Answer::new(200)
            .with("content-type", "application/xml")
            .body(body)
    }
}
