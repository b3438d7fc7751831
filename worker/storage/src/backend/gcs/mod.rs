//! Google Cloud Storage over its JSON interface, the only one that checks generations at every commit.
//!
//! An upload in parts is a set of objects under [`PARTS`], composed at the end: parts come in any order and from any
//! number of workers, are listed like anything else, and the composition is conditional, which the service's own
//! uploads in parts are not.
mod api;
mod credentials;
mod insert;
mod port;
mod upload;

use super::{Backend, Binding, Opening};
use crate::location::{Object, check_key, encode};
use crate::web::{self, ContentRange, Effect, content_range, header};
use crate::{
    ArchiveState, ByteStream, Checksum, ChecksumKind, ListRequest, ListStart, Listing, ObjectState,
    PartLimits, Precondition, Storage, StorageError, Version,
};
use api::{Api, Resource};
use futures_util::FutureExt;
use protocol::model::location::Scheme;
use protocol::time::Timestamp;
use reqwest::header::{ACCEPT_ENCODING, RANGE};
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::json;
use std::ops::Range;
use std::sync::Arc;

/// Prefix of parts until they are composed. A lifecycle rule on this prefix removes abandoned uploads.
pub const PARTS: &str = ".showrunner/uploads/";

const GIB: u64 = 1024 * 1024 * 1024;
/// Limits of parts. The largest is a practical size of one request.
const PART_LIMITS: PartLimits = PartLimits {
    bytes_min: 1,
    bytes_max: 5 * GIB,
    count_max: 10_000,
};
/// Largest object of the service.
const OBJECT_BYTES_MAX: u64 = 5 * 1024 * GIB;

/// The registry's line.
pub const BACKEND: Backend = Backend {
    schemes: &[Scheme::Gcs],
    bind: |opening| {
        let Object { bucket, key } = opening.object()?;
        Ok(Binding {
            storage: format!("gs://{bucket}|{}", opening.settings.prefix),
            key: key.clone(),
        })
    },
    open: |opening| async move { open(opening) }.boxed(),
};

fn open(opening: &Opening<'_>) -> Result<Arc<dyn Storage>, StorageError> {
    let Object { bucket, .. } = opening.object()?;
    let api = Api::new(bucket, opening.settings)
        .map_err(|said| StorageError::invalid(opening.text, said))?;
    Ok(Arc::new(GcsStorage {
        api,
        bucket: bucket.clone(),
        class: opening.settings.storage_class.clone(),
    }))
}

/// A bucket behind the JSON interface, with its default storage class.
pub struct GcsStorage {
    api: Api,
    bucket: String,
    class: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    #[serde(default)]
    items: Vec<Resource>,
    next_page_token: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rewrite {
    done: bool,
    rewrite_token: Option<String>,
    resource: Option<Resource>,
}

impl GcsStorage {
    fn at(&self, key: &str) -> String {
        format!("gs://{}/{key}", self.bucket)
    }

    fn checked(&self, key: &str) -> Result<String, StorageError> {
        let location = self.at(key);
        if key.is_empty() {
            return Err(StorageError::invalid(location, "it names no object"));
        }
        check_key(&location, key)?;
        Ok(location)
    }

    fn object(&self, key: &str) -> String {
        format!("/storage/v1/b/{}/o/{}", self.bucket, encode(key, false))
    }

    async fn resource(&self, key: &str) -> Result<Resource, StorageError> {
        let location = self.checked(key)?;
        let request = self.api.request(Method::GET, &self.object(key), &[]);
        self.api.json(&location, Effect::Repeatable, request).await
    }

    async fn get(
        &self,
        key: &str,
        range: &Range<u64>,
        same: Option<&Version>,
    ) -> Result<ByteStream, StorageError> {
        let location = self.checked(key)?;
        let mut query = vec![("alt", "media".to_owned())];
        query.extend(same.map(|same| ("ifGenerationMatch", same.tag.clone())));
        let request = self.api.request(Method::GET, &self.object(key), &query);
        // Without this header the service decompresses content, and length and checksum are those of other bytes.
        let request = request.header(ACCEPT_ENCODING, "gzip");
        let request = request.header(RANGE, format!("bytes={}-{}", range.start, range.end - 1));
        let response = self
            .api
            .send(&location, Effect::Repeatable, request)
            .await?;
        let generation = header(&response, "x-goog-generation");
        if let (Some(same), Some(found)) = (same, &generation)
            && same.tag != *found
        {
            return Err(StorageError::precondition(
                location,
                format!("it has changed: its generation is {found}"),
            ));
        }
        let wanted = range.end - range.start;
        let length = response.content_length();
        let sent = match response.status() {
            StatusCode::PARTIAL_CONTENT => content_range(&response),
            _ => length.map(ContentRange::whole),
        };
        let sent = sent.ok_or_else(|| {
            StorageError::invalid(&location, "it does not name the range that it sends")
        })?;
        if let Some(said) = sent.differs(range, length) {
            return Err(StorageError::invalid(location, said));
        }
        let version = generation.map(|tag| Version { tag, id: None });
        Ok(web::reading(location, wanted, response).of(version, sent.whole))
    }

    async fn page(&self, request: ListRequest<'_>) -> Result<Listing, StorageError> {
        let ListRequest {
            prefix,
            start,
            objects_max,
        } = request;
        let after = if let ListStart::After(key) = start {
            Some(key)
        } else {
            None
        };
        let mut query = vec![
            ("prefix", prefix.to_owned()),
            ("maxResults", objects_max.clamp(1, 1000).to_string()),
        ];
        match start {
            ListStart::First => {}
            ListStart::Page(token) => query.push(("pageToken", token.to_owned())),
            ListStart::After(key) => query.push(("startOffset", key.to_owned())),
        }
        let request = self.api.request(
            Method::GET,
            &format!("/storage/v1/b/{}/o", self.bucket),
            &query,
        );
        let listed: Page = self
            .api
            .json(&self.at(prefix), Effect::Repeatable, request)
            .await?;
        let hidden =
            |resource: &Resource| resource.name.starts_with(PARTS) && !prefix.starts_with(PARTS);
        // The offset of the service is the first key of the page; the request names the last key before it.
        let passed =
            |resource: &Resource| after.is_some_and(|after| resource.name.as_str() <= after);
        let shown = listed
            .items
            .into_iter()
            .filter(|resource| !hidden(resource) && !passed(resource));
        let objects = shown.map(state).collect();
        Ok(Listing {
            objects,
            next: listed.next_page_token,
        })
    }

    /// A copy by the service, which may take several turns.
    async fn rewrite(
        &self,
        from: (&str, &str, &Version),
        key: &str,
        class: Option<&str>,
        precondition: &Precondition,
    ) -> Result<ObjectState, StorageError> {
        let location = self.checked(key)?;
        let (bucket, name, version) = from;
        let path = format!(
            "/storage/v1/b/{bucket}/o/{}/rewriteTo/b/{}/o/{}",
            encode(name, false),
            self.bucket,
            encode(key, false)
        );
        let mut query = vec![("ifSourceGenerationMatch", version.tag.clone())];
        query.extend(api::precondition(precondition));
        let body = class.map_or_else(|| json!({}), |class| json!({ "storageClass": class }));
        let mut token: Option<String> = None;
        loop {
            let mut query = query.clone();
            query.extend(token.take().map(|token| ("rewriteToken", token)));
            let request = self.api.request(Method::POST, &path, &query).json(&body);
            let turn: Rewrite = self.api.json(&location, Effect::Commit, request).await?;
            match (turn.done, turn.resource, turn.rewrite_token) {
                (true, Some(resource), _) => return Ok(state(resource)),
                (false, _, Some(next)) => token = Some(next),
                _ => {
                    return Err(StorageError::unavailable(
                        location,
                        "the reply of an unfinished rewrite has no token",
                    ));
                }
            }
        }
    }
}

fn state(resource: Resource) -> ObjectState {
    let class = resource.storage_class.filter(|class| class != "STANDARD");
    let modified = resource.updated.as_deref().and_then(Timestamp::parse);
    ObjectState {
        checksum: resource
            .crc32c
            .as_deref()
            .and_then(|text| Checksum::from_base64(ChecksumKind::Crc32c, text)),
        key: resource.name,
        bytes: resource.size.unwrap_or(0),
        version: Version {
            tag: resource.generation.unwrap_or_default(),
            id: None,
        },
        modified,
        // Google's archive answers at once, only dearer.
        archive: class
            .as_deref()
            .filter(|class| *class == "ARCHIVE")
            .map(|_| ArchiveState::Restored),
        class,
    }
}
