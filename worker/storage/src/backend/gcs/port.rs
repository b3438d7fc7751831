//! The port over the JSON interface.
use super::api::Bucket;
use super::{GIB, GcsStorage, OBJECT_BYTES_MAX, PART_LIMITS, state};
use crate::web::Effect;
use crate::{
    ByteStream, Capabilities, ChecksumKind, CopyRequest, CopySource, ListRequest, Listing,
    Multipart, ObjectState, Precondition, PutRequest, ServerCopies, ServerCopy, StateWithContent,
    Storage, StorageClasses, StorageError, Version, Versions,
};
use async_trait::async_trait;
use reqwest::Method;
use std::ops::Range;

#[async_trait]
impl Storage for GcsStorage {
    fn location(&self, key: &str) -> String {
        self.at(key)
    }

    fn capabilities(&self) -> Capabilities<'_> {
        Capabilities {
            write: true,
            list: true,
            files: false,
            ranges: true,
            create_only: true,
            replace_same: true,
            put_bytes_max: 5 * GIB,
            checksum: ChecksumKind::Crc32c,
            whole_checksum: true,
            multipart: Some(Multipart {
                limits: PART_LIMITS,
                uploads: self,
                in_place: None,
            }),
            server_copy: Some(ServerCopies {
                bytes_max: OBJECT_BYTES_MAX,
                objects: self,
                parts: None,
            }),
            classes: Some(self),
            archive: None,
            versions: Some(self),
            rename: None,
        }
    }

    async fn stat(&self, key: &str) -> Result<ObjectState, StorageError> {
        self.resource(key).await.map(state)
    }

    /// Two concurrent requests, because content comes without the checksum that the service keeps.
    async fn stat_with_content(
        &self,
        key: &str,
        bytes_max: u64,
    ) -> Result<StateWithContent, StorageError> {
        let read = async {
            let reading = self.read(key, 0..bytes_max, None).await.ok()?;
            let (version, whole) = (reading.version.clone(), reading.whole_bytes);
            let pieces = reading.collect().await.ok()?;
            Some((version?, pieces)).filter(|_| whole == Some(bytes_max))
        };
        let (state, read) = tokio::join!(self.stat(key), read);
        let state = state?;
        let content =
            read.filter(|(version, _)| *version == state.version && state.bytes == bytes_max);
        Ok((state, content.map(|(_, pieces)| pieces)))
    }

    async fn read(
        &self,
        key: &str,
        range: Range<u64>,
        version: Option<&Version>,
    ) -> Result<ByteStream, StorageError> {
        if range.start >= range.end {
            let now = self.stat(key).await?;
            if version.is_some_and(|expected| *expected != now.version) {
                return Err(StorageError::precondition(self.at(key), "it has changed"));
            }
            let empty = ByteStream::new(self.at(key), 0, futures_util::stream::empty());
            return Ok(empty.of(Some(now.version), Some(now.bytes)));
        }
        self.get(key, &range, version).await
    }

    async fn list(&self, request: ListRequest<'_>) -> Result<Listing, StorageError> {
        self.page(request).await
    }

    async fn put(&self, request: PutRequest<'_>) -> Result<ObjectState, StorageError> {
        self.checked(request.key)?;
        let class = request.attributes.class.as_ref().or(self.class.as_ref());
        self.insert(request, class).await.map(state)
    }

    async fn delete(&self, key: &str, version: Option<&Version>) -> Result<(), StorageError> {
        let location = self.checked(key)?;
        let query: Vec<_> = version
            .map(|expected| ("ifGenerationMatch", expected.tag.clone()))
            .into_iter()
            .collect();
        let request = self.api.request(Method::DELETE, &self.object(key), &query);
        match self.api.send(&location, Effect::Repeatable, request).await {
            Ok(_) | Err(StorageError::NotFound(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

#[async_trait]
impl ServerCopy for GcsStorage {
    fn source(&self, state: &ObjectState) -> Option<CopySource> {
        Some(CopySource {
            domain: self.api.base().to_owned(),
            container: self.bucket.clone(),
            key: state.key.clone(),
            version: state.version.clone(),
            bytes: state.bytes,
            checksum: state.checksum,
        })
    }

    async fn copy(&self, request: CopyRequest<'_>) -> Result<ObjectState, StorageError> {
        let CopyRequest {
            from,
            key,
            attributes,
            precondition,
        } = request;
        if from.domain != self.api.base() {
            let said = format!("{} is another server than {}", from.domain, self.api.base());
            return Err(StorageError::unsupported(self.at(key), said));
        }
        let class = attributes.class.as_deref().or(self.class.as_deref());
        let copied = self
            .rewrite(
                (&from.container, &from.key, &from.version),
                key,
                class,
                precondition,
            )
            .await?;
        match (from.checksum, copied.checksum) {
            (Some(sent), Some(found)) if sent.kind() == found.kind() && sent != found => Err(
                StorageError::corrupt(self.at(key), format!("copied {sent}, there is {found}")),
            ),
            _ => Ok(copied),
        }
    }
}

#[async_trait]
impl Versions for GcsStorage {
    async fn keep(&self, state: &ObjectState) -> Result<Precondition, StorageError> {
        let location = self.checked(&state.key)?;
        let query = [("fields", "versioning".to_owned())];
        let request = self.api.request(
            Method::GET,
            &format!("/storage/v1/b/{}", self.bucket),
            &query,
        );
        let bucket: Bucket = self
            .api
            .json(&location, Effect::Repeatable, request)
            .await?;
        match bucket.versioning {
            Some(versioning) if versioning.enabled => {
                Ok(Precondition::IfMatch(state.version.clone()))
            }
            _ => Err(StorageError::unsupported(
                location,
                "the bucket keeps no older versions",
            )),
        }
    }
}

#[async_trait]
impl StorageClasses for GcsStorage {
    async fn set_class(
        &self,
        key: &str,
        version: &Version,
        class: &str,
    ) -> Result<ObjectState, StorageError> {
        self.rewrite(
            (&self.bucket, key, version),
            key,
            Some(class),
            &Precondition::IfMatch(version.clone()),
        )
        .await
    }
}
