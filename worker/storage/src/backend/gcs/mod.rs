//! Google Cloud Storage by its JSON interface: the only one that judges generations at every commit.
//!
//! An upload in parts is a set of objects under [`PARTS`], composed at the end: parts come in any order and from any
//! number of workers, are listed like anything else, and the composition is conditional, which the service's own
//! uploads in parts are not.
mod api;
mod upload;

use super::{Backend, Opening, Place};
use crate::place::{Object, check_key, encode};
use crate::web::{self, Effect, content_range, header};
use crate::{
    Archive, Attributes, Body, Capabilities, Checksum, ChecksumKind, Condition, CopySource, Listing, Location,
    ObjectState, Part, PartLimits, Reading, Slot, Storage, StorageError, Upload, Version,
};
use api::{Api, Resource};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::FutureExt;
use protocol::time::Timestamp;
use reqwest::header::{ACCEPT_ENCODING, RANGE};
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::json;
use std::ops::Range;
use std::sync::Arc;

/// Where parts lie until they are composed. A lifecycle rule on this prefix sweeps what nobody completes.
pub const PARTS: &str = ".showrunner/uploads/";

const GIB: u64 = 1024 * 1024 * 1024;
/// Largest part: what one request carries well.
const PART_LIMITS: PartLimits = PartLimits { bytes_min: 1, bytes_max: 5 * GIB, count_max: 10_000 };
/// Largest object of the service.
const OBJECT_BYTES_MAX: u64 = 5 * 1024 * GIB;

/// The registry's line.
pub const BACKEND: Backend = Backend {
    name: "gcs",
    place: |opening| match opening.location {
        Location::Gcs(Object { bucket, key }) => {
            Some(Ok(Place { name: format!("gs://{bucket}|{}", opening.settings.prefix), key: key.clone() }))
        }
        _ => None,
    },
    open: |opening| async move { open(opening) }.boxed(),
};

fn open(opening: &Opening<'_>) -> Result<Arc<dyn Storage>, StorageError> {
    let Location::Gcs(Object { bucket, .. }) = opening.location else {
        return Err(StorageError::invalid(opening.text, "it is no Google Cloud Storage location"));
    };
    let api = Api::new(bucket, opening.settings).map_err(|said| StorageError::invalid(opening.text, said))?;
    Ok(Arc::new(GcsStorage { api, bucket: bucket.clone(), class: opening.settings.storage_class.clone() }))
}

/// A bucket.
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
struct Bucket {
    versioning: Option<Versioning>,
}

#[derive(Debug, Deserialize)]
struct Versioning {
    #[serde(default)]
    enabled: bool,
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

    async fn get(&self, key: &str, range: &Range<u64>, same: Option<&Version>) -> Result<Reading, StorageError> {
        let location = self.checked(key)?;
        let mut query = vec![("alt", "media".to_owned())];
        query.extend(same.map(|same| ("ifGenerationMatch", same.tag.clone())));
        let request = self.api.request(Method::GET, &self.object(key), &query);
        // Without this the service unpacks what was uploaded compressed, and length and checksum are of other bytes.
        let request = request.header(ACCEPT_ENCODING, "gzip");
        let request = request.header(RANGE, format!("bytes={}-{}", range.start, range.end - 1));
        let response = self.api.send(&location, Effect::Repeatable, request).await?;
        let generation = header(&response, "x-goog-generation");
        if let (Some(same), Some(found)) = (same, &generation)
            && same.tag != *found
        {
            return Err(StorageError::condition(location, format!("it has changed: its generation is {found}")));
        }
        let wanted = range.end - range.start;
        let (start, whole) = match (response.status(), content_range(&response)) {
            (StatusCode::PARTIAL_CONTENT, Some(found)) => found,
            _ => (0, response.content_length()),
        };
        if start != range.start || response.content_length().is_some_and(|length| length != wanted) {
            let said = format!("asked for {wanted} bytes from {}, it sends others", range.start);
            return Err(StorageError::invalid(location, said));
        }
        let version = generation.map(|tag| Version { tag, id: None });
        Ok(web::reading(location, wanted, response).of(version, whole))
    }

    async fn page(
        &self,
        prefix: &str,
        page: Option<&str>,
        after: Option<&str>,
        most: u32,
    ) -> Result<Listing, StorageError> {
        let mut query = vec![("prefix", prefix.to_owned()), ("maxResults", most.clamp(1, 1000).to_string())];
        query.extend(page.map(|page| ("pageToken", page.to_owned())));
        query.extend(after.map(|after| ("startOffset", after.to_owned())));
        let request = self.api.request(Method::GET, &format!("/storage/v1/b/{}/o", self.bucket), &query);
        let listed: Page = self.api.json(&self.at(prefix), Effect::Repeatable, request).await?;
        let hidden = |resource: &Resource| resource.name.starts_with(PARTS) && !prefix.starts_with(PARTS);
        // Its offset is the first key that counts; ours is the last that does not.
        let passed = |resource: &Resource| after.is_some_and(|after| resource.name.as_str() <= after);
        let shown = listed.items.into_iter().filter(|resource| !hidden(resource) && !passed(resource));
        let objects = shown.map(state).collect();
        Ok(Listing { objects, next: listed.next_page_token })
    }

    /// A copy by the service, which may take several turns.
    async fn rewrite(
        &self,
        from: (&str, &str, &Version),
        key: &str,
        class: Option<&str>,
        condition: &Condition,
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
        query.extend(api::condition(condition));
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
                _ => return Err(StorageError::unavailable(location, "the copy neither ended nor goes on")),
            }
        }
    }
}

fn state(resource: Resource) -> ObjectState {
    let class = resource.storage_class.filter(|class| class != "STANDARD");
    let modified = resource.updated.as_deref().and_then(Timestamp::parse);
    ObjectState {
        checksum: resource.crc32c.as_deref().and_then(|text| Checksum::from_base64(ChecksumKind::Crc32c, text)),
        key: resource.name,
        bytes: resource.size.unwrap_or(0),
        version: Version { tag: resource.generation.unwrap_or_default(), id: None },
        modified,
        // Google's archive answers at once, only dearer.
        archive: class.as_deref().filter(|class| *class == "ARCHIVE").map(|_| Archive::Here),
        class,
    }
}

#[async_trait]
impl Storage for GcsStorage {
    fn location(&self, key: &str) -> String {
        self.at(key)
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            write: true,
            list: true,
            create_only: true,
            replace_same: true,
            put_bytes_max: 5 * GIB,
            parts: Some(PART_LIMITS),
            checksum: ChecksumKind::Crc32c,
            whole_checksum: true,
            copy_bytes_max: Some(OBJECT_BYTES_MAX),
            copy_part: false,
            rename: false,
            classes: true,
        }
    }

    async fn stat(&self, key: &str) -> Result<ObjectState, StorageError> {
        self.resource(key).await.map(state)
    }

    /// Two requests at the same time: content comes without the checksum that the service keeps.
    async fn look(&self, key: &str, most: u64) -> Result<(ObjectState, Option<Vec<Bytes>>), StorageError> {
        let read = async {
            let reading = self.read(key, 0..most, None).await.ok()?;
            let (version, whole) = (reading.version.clone(), reading.whole_bytes);
            let pieces = reading.collect().await.ok()?;
            Some((version?, pieces)).filter(|_| whole == Some(most))
        };
        let (state, read) = tokio::join!(self.stat(key), read);
        let state = state?;
        let content = read.filter(|(version, _)| *version == state.version && state.bytes == most);
        Ok((state, content.map(|(_, pieces)| pieces)))
    }

    async fn read(&self, key: &str, range: Range<u64>, same: Option<&Version>) -> Result<Reading, StorageError> {
        if range.start >= range.end {
            let now = self.stat(key).await?;
            if same.is_some_and(|same| *same != now.version) {
                return Err(StorageError::condition(self.at(key), "it has changed"));
            }
            let empty = Reading::new(self.at(key), 0, futures_util::stream::empty());
            return Ok(empty.of(Some(now.version), Some(now.bytes)));
        }
        self.get(key, &range, same).await
    }

    async fn list(&self, prefix: &str, page: Option<&str>, most: u32) -> Result<Listing, StorageError> {
        self.page(prefix, page, None, most).await
    }

    async fn list_after(&self, prefix: &str, after: &str, most: u32) -> Result<Listing, StorageError> {
        self.page(prefix, None, Some(after), most).await
    }

    async fn put(
        &self,
        key: &str,
        body: &Body,
        attributes: &Attributes,
        condition: &Condition,
    ) -> Result<ObjectState, StorageError> {
        self.checked(key)?;
        let class = attributes.class.as_ref().or(self.class.as_ref());
        let resource = self.insert(key, body, attributes, class, condition).await?;
        Ok(state(resource))
    }

    async fn begin(&self, key: &str, attributes: &Attributes) -> Result<Upload, StorageError> {
        self.begin_upload(key, attributes).await
    }

    async fn put_part(&self, upload: &Upload, slot: Slot, body: &Body) -> Result<Part, StorageError> {
        self.send_part(upload, slot, body).await
    }

    async fn parts(&self, upload: &Upload) -> Result<Vec<Part>, StorageError> {
        self.list_parts(upload).await
    }

    async fn complete(
        &self,
        upload: &Upload,
        parts: &[Part],
        whole: Option<Checksum>,
        condition: &Condition,
    ) -> Result<ObjectState, StorageError> {
        self.complete_upload(upload, parts, whole, condition).await
    }

    async fn abort(&self, upload: &Upload) -> Result<(), StorageError> {
        self.sweep(upload).await
    }

    async fn uploads(&self, prefix: &str) -> Result<Vec<Upload>, StorageError> {
        self.list_uploads(prefix).await
    }

    fn copy_source(&self, state: &ObjectState) -> Option<CopySource> {
        Some(CopySource {
            domain: self.api.base().to_owned(),
            container: self.bucket.clone(),
            key: state.key.clone(),
            version: state.version.clone(),
            bytes: state.bytes,
            checksum: state.checksum,
        })
    }

    async fn copy(
        &self,
        from: &CopySource,
        key: &str,
        attributes: &Attributes,
        condition: &Condition,
    ) -> Result<ObjectState, StorageError> {
        if from.domain != self.api.base() {
            let said = format!("{} is another server than {}", from.domain, self.api.base());
            return Err(StorageError::unsupported(self.at(key), said));
        }
        let class = attributes.class.as_deref().or(self.class.as_deref());
        let copied = self.rewrite((&from.container, &from.key, &from.version), key, class, condition).await?;
        match (from.checksum, copied.checksum) {
            (Some(sent), Some(found)) if sent.kind() == found.kind() && sent != found => {
                Err(StorageError::corrupt(self.at(key), format!("copied {sent}, there is {found}")))
            }
            _ => Ok(copied),
        }
    }

    async fn delete(&self, key: &str, same: Option<&Version>) -> Result<(), StorageError> {
        let location = self.checked(key)?;
        let query: Vec<_> = same.map(|same| ("ifGenerationMatch", same.tag.clone())).into_iter().collect();
        let request = self.api.request(Method::DELETE, &self.object(key), &query);
        match self.api.send(&location, Effect::Repeatable, request).await {
            Ok(_) | Err(StorageError::NotFound(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn keep_version(&self, state: &ObjectState) -> Result<Condition, StorageError> {
        let location = self.checked(&state.key)?;
        let query = [("fields", "versioning".to_owned())];
        let request = self.api.request(Method::GET, &format!("/storage/v1/b/{}", self.bucket), &query);
        let bucket: Bucket = self.api.json(&location, Effect::Repeatable, request).await?;
        match bucket.versioning {
            Some(versioning) if versioning.enabled => Ok(Condition::Same(state.version.clone())),
            _ => Err(StorageError::unsupported(location, "the bucket keeps no older versions")),
        }
    }

    async fn set_class(&self, key: &str, same: &Version, class: &str) -> Result<ObjectState, StorageError> {
        self.rewrite((&self.bucket, key, same), key, Some(class), &Condition::Same(same.clone())).await
    }
}
