//! As much of Google Cloud Storage as its emulators leave out: every condition on a generation is judged, every
//! checksum compared, listings come in pages.
use crate::storage::web::{Answer, Request, ranged, serve};
use ::storage::ChecksumKind;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

#[derive(Debug, Clone)]
struct Object {
    content: Vec<u8>,
    generation: u64,
    about: Value,
}

#[derive(Default)]
struct Bucket {
    objects: BTreeMap<String, Object>,
    generation: u64,
}

/// Starts it; returns its address. Any bucket name will do; all but `plain` say that they keep older versions.
pub(crate) async fn start() -> String {
    let bucket = Arc::new(Mutex::new(Bucket::default()));
    serve(move |request| {
        bucket
            .lock()
            .expect("no test panicked in it")
            .answer(request)
    })
    .await
}

fn refused(status: u16, message: &str) -> Answer {
    Answer::json(
        status,
        &json!({ "error": { "code": status, "message": message } }),
    )
}

impl Bucket {
    fn answer(&mut self, request: &Request) -> Answer {
        let path = request
            .path
            .strip_prefix("/upload")
            .unwrap_or(&request.path);
        let Some(path) = path.strip_prefix("/storage/v1/b/") else {
            return refused(404, "no such path");
        };
        let Some((_, path)) = path.split_once('/') else {
            return Answer::json(
                200,
                &json!({ "versioning": { "enabled": path != "plain" } }),
            );
        };
        match (request.method.as_str(), path.split_once('/')) {
            ("POST", None) => self.insert(request),
            ("GET", None) => self.list(request),
            ("POST", Some((_, name))) if name.ends_with("/compose") => {
                self.compose(request, name.trim_end_matches("/compose"))
            }
            ("POST", Some((_, name))) => self.rewrite(request, name),
            ("GET", Some((_, name))) => self.get(request, name),
            ("DELETE", Some((_, name))) => self.delete(request, name),
            _ => refused(404, "no such method"),
        }
    }

    /// The answer when the condition of a request does not hold for what is at `name`.
    fn unmet(&self, request: &Request, parameter: &str, name: &str) -> Option<Answer> {
        let wanted: u64 = request.query.get(parameter)?.parse().ok()?;
        let found = self.objects.get(name).map_or(0, |object| object.generation);
        (wanted != found).then(|| refused(412, "conditionNotMet"))
    }

    fn store(&mut self, name: &str, content: Vec<u8>, about: Value) -> Value {
        self.generation += 1;
        let object = Object {
            content,
            generation: self.generation,
            about,
        };
        let told = describe(name, &object);
        self.objects.insert(name.to_owned(), object);
        told
    }

    fn insert(&mut self, request: &Request) -> Answer {
        let media = request
            .headers
            .get("content-type")
            .cloned()
            .unwrap_or_default();
        let boundary = media
            .split_once("boundary=")
            .map_or("", |(_, boundary)| boundary);
        let (about, content) = parts(&request.body, boundary);
        let name = about["name"]
            .as_str()
            .expect("the description names the object")
            .to_owned();
        if let Some(refusal) = self.unmet(request, "ifGenerationMatch", &name) {
            return refusal;
        }
        let sum = ChecksumKind::Crc32c.of(&[content.clone().into()]).base64();
        if about["crc32c"].as_str().is_some_and(|sent| sent != sum) {
            return refused(400, "Provided CRC32C does not match");
        }
        Answer::json(200, &self.store(&name, content, about))
    }

    fn list(&self, request: &Request) -> Answer {
        let of = |name: &str| request.query.get(name).cloned().unwrap_or_default();
        let (prefix, after, most) = (
            of("prefix"),
            of("pageToken"),
            of("maxResults").parse().unwrap_or(1000),
        );
        let offset = of("startOffset");
        let mut found = self
            .objects
            .iter()
            .filter(|(name, _)| name.starts_with(&prefix) && **name > after && **name >= offset);
        let page: Vec<_> = found.by_ref().take(most).collect();
        let items: Vec<Value> = page
            .iter()
            .map(|(name, object)| describe(name, object))
            .collect();
        let more = found.next().is_some();
        let next = page.last().filter(|_| more).map(|(name, _)| json!(name));
        Answer::json(200, &json!({ "items": items, "nextPageToken": next }))
    }

    fn compose(&mut self, request: &Request, name: &str) -> Answer {
        let wish: Value = serde_json::from_slice(&request.body).expect("JSON");
        if let Some(refusal) = self.unmet(request, "ifGenerationMatch", name) {
            return refusal;
        }
        let sources = wish["sourceObjects"].as_array().expect("a list");
        if sources.is_empty() || sources.len() > 32 {
            return refused(400, "between 1 and 32 objects are composed");
        }
        let mut content = Vec::new();
        for source in sources {
            let Some(object) = self
                .objects
                .get(source["name"].as_str().unwrap_or_default())
            else {
                return refused(404, "no such source");
            };
            let wanted = source["objectPreconditions"]["ifGenerationMatch"].as_str();
            if wanted.is_some_and(|wanted| wanted != object.generation.to_string()) {
                return refused(412, "a source has changed");
            }
            content.extend(&object.content);
        }
        Answer::json(200, &self.store(name, content, wish["destination"].clone()))
    }

    fn rewrite(&mut self, request: &Request, path: &str) -> Answer {
        let (from, to) = path.split_once("/rewriteTo/b/").expect("a rewrite");
        let to = to.split_once("/o/").expect("an object").1.to_owned();
        let unmet = self.unmet(request, "ifSourceGenerationMatch", from);
        if let Some(refusal) = unmet.or_else(|| self.unmet(request, "ifGenerationMatch", &to)) {
            return refusal;
        }
        let Some(object) = self.objects.get(from).cloned() else {
            return refused(404, "no such source");
        };
        // Large copies take turns: here the second one ends it.
        if !request.query.contains_key("rewriteToken") {
            return Answer::json(200, &json!({ "done": false, "rewriteToken": "more" }));
        }
        let mut about: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        about["metadata"] = object.about["metadata"].clone();
        let made = self.store(&to, object.content, about);
        Answer::json(200, &json!({ "done": true, "resource": made }))
    }

    fn get(&self, request: &Request, name: &str) -> Answer {
        let Some(object) = self.objects.get(name) else {
            return refused(404, "No such object");
        };
        if let Some(refusal) = self.unmet(request, "ifGenerationMatch", name) {
            return refusal;
        }
        match request.query.get("alt").map(String::as_str) {
            Some("media") => ranged(request, &object.content, "\"x\"")
                .with("x-goog-generation", object.generation.to_string()),
            _ => Answer::json(200, &describe(name, object)),
        }
    }

    fn delete(&mut self, request: &Request, name: &str) -> Answer {
        if !self.objects.contains_key(name) {
            return refused(404, "No such object");
        }
        if let Some(refusal) = self.unmet(request, "ifGenerationMatch", name) {
            return refusal;
        }
        self.objects.remove(name);
        Answer::new(204)
    }
}

fn describe(name: &str, object: &Object) -> Value {
    json!({
        "name": name,
        "size": object.content.len().to_string(),
        "generation": object.generation.to_string(),
        "crc32c": ChecksumKind::Crc32c.of(&[object.content.clone().into()]).base64(),
        "storageClass": object.about["storageClass"].as_str().unwrap_or("STANDARD"),
        "contentType": object.about["contentType"],
        "metadata": object.about["metadata"],
        "updated": "2026-01-02T03:04:05.678Z",
    })
}

/// The description and the content of an upload in one request.
fn parts(body: &[u8], boundary: &str) -> (Value, Vec<u8>) {
    let find = |from: usize, what: &str| {
        let at = body[from..]
            .windows(what.len())
            .position(|window| window == what.as_bytes());
        from + at.unwrap_or_else(|| panic!("{what:?} is in the body"))
    };
    let mark = format!("\r\n--{boundary}");
    let about = find(0, "\r\n\r\n") + 4;
    let about_end = find(about, &mark);
    let content = find(about_end, "\r\n\r\n") + 4;
    let end = body.len() - format!("{mark}--\r\n").len();
    (
        serde_json::from_slice(&body[about..about_end]).expect("JSON"),
        body[content..end].to_vec(),
    )
}
