//! Copies that the server makes, and storage classes, which are copies onto oneself.
use super::error_map::Effect;
use super::upload::number;
use super::{MIB, S3Storage, kept, preconditions};
use crate::location::encode;
use crate::{
    Attributes, BeginRequest, CompleteRequest, CopyRequest, CopySource, MultipartUploads,
    ObjectState, Part, PartCopy, PartCopyRequest, Precondition, PutRequest, ServerCopy, Slot,
    Storage, StorageClasses, StorageError, Version,
};
use async_trait::async_trait;
use aws_sdk_s3::types::{MetadataDirective, StorageClass};
use futures_util::{StreamExt, TryStreamExt, stream};

/// Parts the server copies at a time.
const PARTS_AT_ONCE: usize = 4;

#[async_trait]
impl ServerCopy for S3Storage {
    fn source(&self, state: &ObjectState) -> Option<CopySource> {
        Some(self.source_of(state))
    }

    /// Where the server does not check the precondition of a copy, the copy becomes an upload of one part, whose
    /// completion is checked.
    async fn copy(&self, request: CopyRequest<'_>) -> Result<ObjectState, StorageError> {
        let CopyRequest {
            from,
            key,
            attributes,
            precondition,
        } = request;
        let location = self.checked(key)?;
        self.same_domain(&location, from)?;
        let most = self.copy_bytes_max();
        if from.bytes > most {
            let said = format!(
                "{} bytes are copied in parts, at most {most} at once",
                from.bytes
            );
            return Err(StorageError::unsupported(location, said));
        }
        let judged = self
            .settings
            .copy_condition
            .unwrap_or(!self.settings.is_own_server());
        if !judged && *precondition != Precondition::Unconditional && from.bytes > 0 {
            return self.copy_as_upload(request).await;
        }
        if !judged && *precondition != Precondition::Unconditional {
            let nothing = crate::Body::new(Vec::new(), self.kind());
            return self
                .put(PutRequest {
                    key,
                    body: &nothing,
                    attributes,
                    precondition,
                })
                .await;
        }
        let (encryption, kms) = self.encryption();
        let (free, same) = preconditions(precondition);
        let copied = self.of_version(Some(&from.version), async |id| {
            let request = self
                .client()
                .copy_object()
                .bucket(&self.bucket)
                .key(key)
                .copy_source(source(from, id));
            let request = request
                .set_request_payer(self.payer())
                .copy_source_if_match(&from.version.tag)
                .set_storage_class(self.class(attributes))
                .set_server_side_encryption(encryption.clone())
                .set_ssekms_key_id(kms.clone())
                .set_if_none_match(free.clone())
                .set_if_match(same.clone());
            request
                .send()
                .await
                .map_err(|error| self.error(location.clone(), Effect::Commit, &error))
        });
        copied.await?;
        self.head(key).await
    }
}

#[async_trait]
impl PartCopy for S3Storage {
    async fn copy_part(&self, request: PartCopyRequest<'_>) -> Result<Part, StorageError> {
        let PartCopyRequest {
            upload,
            slot,
            from,
            range,
        } = request;
        let location = self.checked(&upload.key)?;
        self.same_domain(&location, from)?;
        let part = number(&location, slot.number)?;
        let copied = self.of_version(Some(&from.version), async |id| {
            let request = self
                .client()
                .upload_part_copy()
                .bucket(&self.bucket)
                .key(&upload.key);
            let request = request
                .upload_id(&upload.id)
                .set_request_payer(self.payer())
                .part_number(part)
                .copy_source(source(from, id))
                .copy_source_if_match(&from.version.tag)
                .copy_source_range(format!(
                    "bytes={}-{}",
                    range.start,
                    range.end.saturating_sub(1)
                ));
            request
                .send()
                .await
                .map_err(|error| self.error(location.clone(), Effect::Repeatable, &error))
        });
        let copied = copied.await?;
        let result = copied.copy_part_result();
        let tag = result
            .and_then(|result| result.e_tag())
            .unwrap_or_default()
            .to_owned();
        let checksum =
            result.and_then(|result| kept(result.checksum_crc64_nvme(), result.checksum_crc32_c()));
        Ok(Part {
            number: slot.number,
            bytes: range.end - range.start,
            tag,
            checksum,
        })
    }
}

#[async_trait]
impl StorageClasses for S3Storage {
    async fn set_class(
        &self,
        key: &str,
        version: &Version,
        class: &str,
    ) -> Result<ObjectState, StorageError> {
        let location = self.checked(key)?;
        let now = self.head(key).await?;
        if now.version.tag != version.tag {
            return Err(StorageError::precondition(location, "it has changed"));
        }
        if now.bytes > self.copy_bytes_max() {
            return self.move_in_parts(&now, class).await;
        }
        let (encryption, kms) = self.encryption();
        let own = format!("{}/{}", self.bucket, encode(key, true));
        let request = self
            .client()
            .copy_object()
            .bucket(&self.bucket)
            .key(key)
            .copy_source(own);
        let request = request
            .set_request_payer(self.payer())
            .copy_source_if_match(&version.tag)
            .metadata_directive(MetadataDirective::Copy)
            .storage_class(StorageClass::from(class))
            .set_server_side_encryption(encryption)
            .set_ssekms_key_id(kms);
        let moved = match request
            .send()
            .await
            .map_err(|error| self.error(location, Effect::Commit, &error))
        {
            // Some servers ignore a copy of an object onto itself, whatever class it asks for.
            Err(StorageError::Invalid { .. }) if self.settings.is_own_server() && now.bytes > 0 => {
                return self.move_in_parts(&now, class).await;
            }
            moved => moved?,
        };
        let tag = moved.copy_object_result().and_then(|result| result.e_tag());
        let written = super::version(tag, moved.version_id());
        let now = self.head(key).await?;
        if written.tag.is_empty() || now.version.tag == written.tag {
            Ok(now)
        } else {
            Err(StorageError::precondition(
                self.at(key),
                "it was replaced meanwhile",
            ))
        }
    }
}

impl S3Storage {
    /// An object of this bucket as the source of a copy.
    fn source_of(&self, state: &ObjectState) -> CopySource {
        CopySource {
            domain: self.domain().to_owned(),
            container: self.bucket.clone(),
            key: state.key.clone(),
            version: state.version.clone(),
            bytes: state.bytes,
            checksum: state.checksum,
        }
    }

    /// The server as copies know it.
    fn domain(&self) -> &str {
        self.settings.url.as_deref().unwrap_or("aws")
    }

    /// A copy in one part, verified by the checksum of the source where that is known.
    async fn copy_as_upload(&self, request: CopyRequest<'_>) -> Result<ObjectState, StorageError> {
        let CopyRequest {
            from,
            key,
            attributes,
            precondition,
        } = request;
        let upload = self
            .begin(BeginRequest {
                key,
                attributes,
                source: None,
            })
            .await?;
        let copied = async {
            let part = self.copy_part(PartCopyRequest {
                upload: &upload,
                slot: Slot {
                    number: 1,
                    offset: 0,
                },
                from,
                range: 0..from.bytes,
            });
            let part = part.await?;
            let (parts, whole) = ([part], from.checksum);
            self.complete(CompleteRequest {
                upload: &upload,
                parts: &parts,
                whole,
                precondition,
            })
            .await
        };
        let result = copied.await;
        if result.is_err() {
            // The first error matters more than the upload, which is listed and swept.
            if let Err(error) = self.abort(&upload).await {
                tracing::warn!(%error, "an upload could not be aborted");
            }
        }
        result
    }

    /// Moves an object that is too large for one request, as an upload of copied parts onto itself. What one request
    /// would have kept of it is asked for and sent along.
    async fn move_in_parts(
        &self,
        now: &ObjectState,
        class: &str,
    ) -> Result<ObjectState, StorageError> {
        let location = self.checked(&now.key)?;
        let request = self
            .client()
            .head_object()
            .bucket(&self.bucket)
            .key(&now.key)
            .set_request_payer(self.payer());
        let head = request
            .send()
            .await
            .map_err(|error| self.error(location.clone(), Effect::Repeatable, &error))?;
        let attributes = Attributes {
            content_type: head.content_type().map(str::to_owned),
            class: Some(class.to_owned()),
            metadata: head
                .metadata()
                .map(|pairs| pairs.clone().into_iter().collect())
                .unwrap_or_default(),
        };
        let from = self.source_of(now);
        let upload = self
            .begin(BeginRequest {
                key: &now.key,
                attributes: &attributes,
                source: None,
            })
            .await?;
        let moved = async {
            let size = part_bytes(now.bytes, self.copy_bytes_max());
            let ranges = (0..now.bytes)
                .step_by(usize::try_from(size).unwrap_or(usize::MAX))
                .zip(1..);
            let parts = stream::iter(ranges).map(|(offset, number)| {
                let range = offset..now.bytes.min(offset + size);
                self.copy_part(PartCopyRequest {
                    upload: &upload,
                    slot: Slot { number, offset },
                    from: &from,
                    range,
                })
            });
            let parts: Vec<Part> = parts.buffered(PARTS_AT_ONCE).try_collect().await?;
            let whole = Part::whole(&parts).or(now.checksum);
            let precondition = &Precondition::IfMatch(now.version.clone());
            self.complete(CompleteRequest {
                upload: &upload,
                parts: &parts,
                whole,
                precondition,
            })
            .await
        };
        let result = moved.await;
        if result.is_err()
            && let Err(error) = self.abort(&upload).await
        {
            tracing::warn!(%error, "an upload could not be aborted");
        }
        result?;
        self.head(&now.key).await
    }

    fn same_domain(&self, location: &str, from: &CopySource) -> Result<(), StorageError> {
        let own = self.domain();
        if from.domain == own {
            return Ok(());
        }
        Err(StorageError::unsupported(
            location,
            format!("{} is another server than {own}", from.domain),
        ))
    }
}

/// Size of the parts an object of `bytes` is copied in: as few as may be, of whole MiB and about the same size.
fn part_bytes(bytes: u64, most: u64) -> u64 {
    let count = bytes.div_ceil(most).max(1);
    bytes.div_ceil(count).next_multiple_of(MIB).min(most)
}

fn source(from: &CopySource, id: Option<String>) -> String {
    let version = id.map(|id| format!("?versionId={}", encode(&id, false)));
    format!(
        "{}/{}{}",
        from.container,
        encode(&from.key, true),
        version.unwrap_or_default()
    )
}
