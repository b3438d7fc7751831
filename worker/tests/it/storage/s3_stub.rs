//! A small S3 server in the test's own process: puts, parts, listings, conditions, and rights that can be taken away. Its
//! buckets `bucket` and `alias` are one, as a bucket and the alias of its access point are.
use crate::storage::web::{Answer, Request, ranged, serve};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// The body of an error.
pub(crate) fn error(code: &str) -> String {
    format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{code}</Message></Error>")
}

#[derive(Default)]
pub(crate) struct Bucket {
    pub(crate) objects: BTreeMap<String, Vec<u8>>,
    parts: BTreeMap<String, BTreeMap<u32, Vec<u8>>>,
    /// Methods that are refused.
    denied: Vec<&'static str>,
    /// Commits whose answer is lost: those that happen, and those that do not.
    pub(crate) lost: (u32, u32),
}

pub(crate) type Shared = Arc<Mutex<Bucket>>;

/// Starts it; requests with one of these methods are denied.
pub(crate) async fn start(denied: &[&'static str]) -> (String, Shared) {
    let bucket = Shared::new(Mutex::new(Bucket {
        denied: denied.to_vec(),
        ..Bucket::default()
    }));
    let inside = Arc::clone(&bucket);
    let url = serve(move |request| {
        let mut bucket = inside.lock().expect("no test panicked in it");
        let part = request.query.contains_key("partNumber") || request.flag("uploads");
        let commit = ["PUT", "POST"].contains(&request.method.as_str()) && !part;
        if commit && bucket.lost.1 > 0 {
            bucket.lost.1 -= 1;
            return Answer {
                closed: true,
                ..Answer::default()
            };
        }
        let answer = bucket.answer(request);
        if commit && bucket.lost.0 > 0 {
            bucket.lost.0 -= 1;
            return Answer {
                closed: true,
                ..Answer::default()
            };
        }
        answer
    });
    (url.await, bucket)
}

fn xml(body: String) -> Answer {
    Answer::new(200)
        .with("content-type", "application/xml")
        .body(format!("<?xml version=\"1.0\"?>{body}"))
}

fn refused(status: u16, code: &str) -> Answer {
    Answer::new(status)
        .with("content-type", "application/xml")
        .body(error(code))
}

fn tag(content: &[u8]) -> String {
    format!(
        "\"{:016x}\"",
        content
            .iter()
            .fold(7u64, |sum, byte| sum.wrapping_mul(31) + u64::from(*byte))
    )
}

impl Bucket {
    fn answer(&mut self, request: &Request) -> Answer {
        if self.denied.iter().any(|method| *method == request.method) {
            return refused(403, "AccessDenied");
        }
        let (bucket, key) = request
            .path
            .trim_start_matches('/')
            .split_once('/')
            .unwrap_or((&request.path, ""));
        if !["bucket", "alias"].contains(&bucket.trim_matches('/')) {
            return refused(404, "NoSuchBucket");
        }
        let (key, has) = (key.to_owned(), |name: &str| {
            request.query.contains_key(name) || request.flag(name)
        });
        match request.method.as_str() {
            "HEAD" if key.is_empty() => Answer::new(200),
            "GET" if key.is_empty() && has("uploads") => {
                xml("<ListMultipartUploadsResult><IsTruncated>false</IsTruncated></ListMultipartUploadsResult>".into())
            }
            "GET" if key.is_empty() => self.list(request),
            "POST" if has("uploads") => {
                self.parts.insert(key, BTreeMap::new());
                xml("<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>".into())
            }
            "POST" => {
                let Some(parts) = self.parts.remove(&key) else { return refused(404, "NoSuchUpload") };
                self.objects.insert(key, parts.into_values().flatten().collect());
                xml("<CompleteMultipartUploadResult><ETag>\"x\"</ETag></CompleteMultipartUploadResult>".into())
            }
            "PUT" if has("partNumber") => {
                let number = request.query["partNumber"].parse().expect("a number");
                let answer = Answer::new(200).with("etag", tag(&request.body));
                self.parts.entry(key).or_default().insert(number, request.body.clone());
                answer
            }
            "PUT" if request.headers.contains_key("if-none-match") && self.objects.contains_key(&key) => {
                refused(412, "PreconditionFailed")
            }
            "PUT" => {
                let answer = Answer::new(200).with("etag", tag(&request.body));
                self.objects.insert(key, request.body.clone());
                answer
            }
            "DELETE" => {
                if !request.query.contains_key("uploadId") {
                    self.objects.remove(&key);
                }
                self.parts.remove(&key);
                Answer::new(204)
            }
            _ => match self.objects.get(&key) {
                None => refused(404, "NoSuchKey"),
                Some(content) if request.method == "HEAD" => {
                    Answer::new(200).with("etag", tag(content)).with("content-length", content.len().to_string())
                }
                Some(content) => ranged(request, content, &tag(content)),
            },
        }
    }

    fn list(&self, request: &Request) -> Answer {
        let prefix = request.query.get("prefix").cloned().unwrap_or_default();
        let found = self
            .objects
            .iter()
            .filter(|(key, _)| key.starts_with(&prefix));
        let contents: String = found
            .map(|(key, content)| {
                let (bytes, tag) = (content.len(), tag(content).replace('"', "&quot;"));
                format!(
                    "<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>\
                     <ETag>{tag}</ETag><Size>{bytes}</Size></Contents>"
                )
            })
            .collect();
        xml(format!(
            "<ListBucketResult><IsTruncated>false</IsTruncated>{contents}</ListBucketResult>"
        ))
    }
}
