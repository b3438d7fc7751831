//! The core of the port: state, reading, listing, writing and deletion.
use super::error_map::Effect;
use super::{
    PART_LIMITS, S3Storage, agree, archive, headers, kept, preconditions, size, stream, timestamp,
    version,
};
use crate::{
    ByteStream, Capabilities, ListRequest, ListStart, Listing, Multipart, ObjectState, PutRequest,
    ServerCopies, StateWithContent, Storage, StorageError, Version,
};
use async_trait::async_trait;
use std::ops::Range;

/// Largest object that one request writes, in bytes.
const PUT_BYTES_MAX: u64 = 5 * super::GIB;

#[async_trait]
impl Storage for S3Storage {
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
            put_bytes_max: PUT_BYTES_MAX,
            checksum: self.kind(),
            whole_checksum: self.proves_whole(),
            multipart: Some(Multipart {
                limits: PART_LIMITS,
                uploads: self,
                in_place: None,
            }),
            server_copy: Some(ServerCopies {
                bytes_max: self.copy_bytes_max(),
                objects: self,
                parts: Some(self),
            }),
            classes: Some(self),
            archive: Some(self),
            versions: Some(self),
            rename: None,
        }
    }

    async fn stat(&self, key: &str) -> Result<ObjectState, StorageError> {
        self.head(key).await
    }

    async fn stat_with_content(
        &self,
        key: &str,
        bytes_max: u64,
    ) -> Result<StateWithContent, StorageError> {
        self.get_whole(key, bytes_max).await
    }

    async fn read(
        &self,
        key: &str,
        range: Range<u64>,
        version: Option<&Version>,
    ) -> Result<ByteStream, StorageError> {
        if range.start >= range.end {
            // An empty range cannot be requested, but the state of the object can.
            let now = self.head(key).await?;
            if version.is_some_and(|expected| expected.tag != now.version.tag)
                || range.start > now.bytes
            {
                return Err(StorageError::precondition(self.at(key), "it has changed"));
            }
            let empty = ByteStream::new(self.at(key), 0, futures_util::stream::empty());
            return Ok(empty.of(Some(now.version), Some(now.bytes)));
        }
        self.get(key, &range, version).await
    }

    async fn list(&self, request: ListRequest<'_>) -> Result<Listing, StorageError> {
        let ListRequest {
            prefix,
            start,
            objects_max,
        } = request;
        let location = self.at(prefix);
        let request = self
            .client()
            .list_objects_v2()
            .bucket(&self.bucket)
            .prefix(prefix);
        let request = match start {
            ListStart::First => request,
            ListStart::Page(token) => request.continuation_token(token),
            ListStart::After(key) => request.start_after(key),
        };
        let request = request.set_request_payer(self.payer());
        let most = i32::try_from(objects_max.clamp(1, 1000)).unwrap_or(1000);
        let listed = request.max_keys(most).send().await;
        let listed = listed.map_err(|error| self.error(location, Effect::Repeatable, &error))?;
        let objects = listed.contents().iter().filter_map(|object| {
            let class = object
                .storage_class()
                .map(|class| class.as_str().to_owned())
                .filter(|class| class != "STANDARD");
            Some(ObjectState {
                key: object.key()?.to_owned(),
                bytes: size(object.size()),
                version: version(object.e_tag(), None),
                checksum: None,
                modified: object.last_modified().map(timestamp),
                archive: archive(class.as_deref(), false, None),
                class,
            })
        });
        let objects = objects.collect();
        let more = listed.is_truncated().unwrap_or(false);
        Ok(Listing {
            objects,
            next: listed
                .next_continuation_token()
                .filter(|_| more)
                .map(str::to_owned),
        })
    }

    async fn put(&self, request: PutRequest<'_>) -> Result<ObjectState, StorageError> {
        let PutRequest {
            key,
            body,
            attributes,
            precondition,
        } = request;
        let location = self.checked(key)?;
        let (encryption, kms) = self.encryption();
        let (crc64, crc32c, md5) = headers(body.checksum());
        let (free, same) = preconditions(precondition);
        let request = self
            .client()
            .put_object()
            .bucket(&self.bucket)
            .key(key)
            .set_request_payer(self.payer());
        let request = request
            .set_content_type(attributes.content_type.clone())
            .set_storage_class(self.class(attributes))
            .set_metadata(
                (!attributes.metadata.is_empty())
                    .then(|| attributes.metadata.clone().into_iter().collect()),
            )
            .set_server_side_encryption(encryption)
            .set_ssekms_key_id(kms)
            .set_checksum_crc64_nvme(crc64)
            .set_checksum_crc32_c(crc32c)
            .set_content_md5(md5)
            .set_if_none_match(free)
            .set_if_match(same)
            .content_length(i64::try_from(body.bytes()).unwrap_or(i64::MAX));
        let put = request.body(stream(body)).send().await;
        let put = put.map_err(|error| self.error(location.clone(), Effect::Commit, &error))?;
        let returned = kept(put.checksum_crc64_nvme(), put.checksum_crc32_c());
        agree(&location, body.checksum(), returned)?;
        Ok(ObjectState {
            key: key.to_owned(),
            bytes: body.bytes(),
            version: version(put.e_tag(), put.version_id()),
            checksum: returned,
            modified: None,
            class: self
                .class(attributes)
                .map(|class| class.as_str().to_owned()),
            archive: None,
        })
    }

    async fn delete(&self, key: &str, version: Option<&Version>) -> Result<(), StorageError> {
        let location = self.checked(key)?;
        if let Some(expected) = version {
            // Few servers check a precondition of a deletion, so the state is compared first.
            match self.head(key).await {
                Err(StorageError::NotFound(_)) => return Ok(()),
                Ok(now) if now.version.tag != expected.tag => {
                    return Err(StorageError::precondition(location, "it has changed"));
                }
                other => other.map(|_| ())?,
            }
        }
        let request = self
            .client()
            .delete_object()
            .bucket(&self.bucket)
            .key(key)
            .set_request_payer(self.payer());
        match request.send().await {
            Ok(_) => Ok(()),
            Err(error) => match self.error(location, Effect::Repeatable, &error) {
                StorageError::NotFound(_) => Ok(()),
                error => Err(error),
            },
        }
    }
}
