//! Content in one request, with the proof that the service stored what was sent.
use super::GcsStorage;
use super::api::{self, Resource};
use crate::body::Pieces;
use crate::web::Effect;
use crate::{Checksum, ChecksumKind, PutRequest, StorageError};
use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE};
use serde_json::json;

/// Separates the description of an object from its content.
const BOUNDARY: &str = "showrunner-5f2c61d0a7";
/// Content type of an object for which none is asked.
const MEDIA: &str = "application/octet-stream";

impl GcsStorage {
    /// Writes an object with its description in one request; the service compares the checksum before it shows it.
    pub(super) async fn insert(
        &self,
        request: PutRequest<'_>,
        class: Option<&String>,
    ) -> Result<Resource, StorageError> {
        let PutRequest {
            key,
            body,
            attributes,
            precondition,
        } = request;
        let location = self.at(key);
        let sum = body.checksum();
        let mut description = json!({ "name": key });
        let mut set = |name: &str, value: serde_json::Value| description[name] = value;
        match sum.kind() {
            ChecksumKind::Crc32c => set("crc32c", sum.base64().into()),
            ChecksumKind::Md5 => set("md5Hash", sum.base64().into()),
            ChecksumKind::Crc64nvme => {
                return Err(StorageError::invalid(
                    location,
                    "the service does not know crc64nvme",
                ));
            }
        }
        let media = attributes
            .content_type
            .clone()
            .unwrap_or_else(|| MEDIA.to_owned());
        set("contentType", media.clone().into());
        if let Some(class) = class {
            set("storageClass", class.clone().into());
        }
        if !attributes.metadata.is_empty() {
            set("metadata", json!(attributes.metadata));
        }
        let head = format!(
            "--{BOUNDARY}\r\ncontent-type: application/json\r\n\r\n{description}\r\n--{BOUNDARY}\r\ncontent-type: {media}\r\n\r\n"
        );
        let tail = format!("\r\n--{BOUNDARY}--\r\n");
        let length = head.len() as u64 + body.bytes() + tail.len() as u64;
        let pieces = std::iter::once(Bytes::from(head))
            .chain(Pieces::from(body))
            .chain([Bytes::from(tail)]);
        let content = futures_util::stream::iter(pieces.map(Ok::<_, std::convert::Infallible>));
        let mut query = vec![("uploadType", "multipart".to_owned())];
        query.extend(api::precondition(precondition));
        let request = self.api.request(
            Method::POST,
            &format!("/upload/storage/v1/b/{}/o", self.bucket),
            &query,
        );
        let request = request
            .header(
                CONTENT_TYPE,
                format!("multipart/related; boundary={BOUNDARY}"),
            )
            .header(CONTENT_LENGTH, length)
            .body(reqwest::Body::wrap_stream(content));
        let stored: Resource = self.api.json(&location, Effect::Commit, request).await?;
        self.proven(&location, &stored, Some(sum)).await?;
        Ok(stored)
    }

    /// Compares the stored checksum with the sent one. The service refuses wrong content; a server that stores it must
    /// not keep it under a valid name.
    pub(super) async fn proven(
        &self,
        location: &str,
        stored: &Resource,
        sent: Option<Checksum>,
    ) -> Result<(), StorageError> {
        let kept = stored
            .crc32c
            .as_deref()
            .and_then(|text| Checksum::from_base64(ChecksumKind::Crc32c, text));
        let (Some(sent), Some(kept)) = (sent, kept) else {
            return Ok(());
        };
        if sent.kind() != kept.kind() || sent == kept {
            return Ok(());
        }
        let query: Vec<_> = stored
            .generation
            .clone()
            .map(|tag| ("ifGenerationMatch", tag))
            .into_iter()
            .collect();
        let request = self
            .api
            .request(Method::DELETE, &self.object(&stored.name), &query);
        if let Err(error) = self.api.send(location, Effect::Repeatable, request).await {
            tracing::error!(%error, location, "an object with wrong content could not be removed");
        }
        Err(StorageError::corrupt(
            location,
            format!("sent {sent}, the server has {kept}; it was removed"),
        ))
    }
}
