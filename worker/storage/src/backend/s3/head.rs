//! The state of an object. A reply to HEAD has no body and no cause of a refusal; then the first byte is requested,
//! whose reply names the cause.
use super::error_map::{Answer, Effect, no_bucket};
use super::{S3Storage, archive, kept, size, timestamp, version};
use crate::web::ContentRange;
use crate::{ObjectState, StorageError};
use aws_sdk_s3::types::ChecksumMode;
use std::sync::atomic::Ordering;

impl S3Storage {
    /// One request for everything a transfer wants to know; a second one only where the first is refused.
    pub(super) async fn head(&self, key: &str) -> Result<ObjectState, StorageError> {
        let location = self.checked(key)?;
        let request = self
            .client()
            .head_object()
            .bucket(&self.bucket)
            .key(key)
            .set_request_payer(self.payer());
        let head = match request.checksum_mode(ChecksumMode::Enabled).send().await {
            Ok(head) => head,
            Err(error) => {
                let answer = self.answer(&error).unwrap_or_default();
                return match answer.status {
                    400 | 401 | 403 | 405 | 501 if answer.region.is_none() => {
                        self.first_byte(key).await
                    }
                    404 if self.bucket_is_missing().await => Err(StorageError::Invalid {
                        said: no_bucket(&location),
                        location,
                    }),
                    _ => Err(self.error(location, Effect::Repeatable, &error)),
                };
            }
        };
        let sums = (head.checksum_crc64_nvme(), head.checksum_crc32_c());
        let class = head.storage_class().map(|class| class.as_str().to_owned());
        Ok(ObjectState {
            key: key.to_owned(),
            bytes: size(head.content_length()),
            version: version(head.e_tag(), head.version_id()),
            checksum: kept(sums.0, sums.1),
            modified: head.last_modified().map(timestamp),
            archive: archive(
                class.as_deref(),
                head.archive_status().is_some(),
                head.restore(),
            ),
            class,
        })
    }

    /// The state by a request for one byte, whose error names its cause.
    async fn first_byte(&self, key: &str) -> Result<ObjectState, StorageError> {
        let location = self.checked(key)?;
        let request = self
            .client()
            .get_object()
            .bucket(&self.bucket)
            .key(key)
            .set_request_payer(self.payer());
        let got = request.range("bytes=0-0").send().await;
        let got = got.map_err(|error| match self.error(location.clone(), Effect::Repeatable, &error) {
            StorageError::Denied { location, said } => {
                let said = format!("{said}; so is an object that does not exist, where the bucket may not be listed");
                StorageError::Denied { location, said }
            }
            error => error,
        })?;
        let whole = got
            .content_range()
            .and_then(ContentRange::parse)
            .and_then(|range| range.whole);
        let class = got.storage_class().map(|class| class.as_str().to_owned());
        Ok(ObjectState {
            key: key.to_owned(),
            bytes: whole.unwrap_or_else(|| size(got.content_length())),
            version: version(got.e_tag(), got.version_id()),
            checksum: None,
            modified: got.last_modified().map(timestamp),
            archive: archive(class.as_deref(), false, got.restore()),
            class,
        })
    }

    /// Whether it is the bucket that is missing; asked once.
    async fn bucket_is_missing(&self) -> bool {
        if self.bucket_exists.swap(true, Ordering::Relaxed) {
            return false;
        }
        let asked = self
            .client()
            .head_bucket()
            .bucket(&self.bucket)
            .send()
            .await;
        let missing = asked
            .err()
            .and_then(|error| Answer::of(&error))
            .is_some_and(|answer| answer.status == 404);
        if missing {
            self.bucket_exists.store(false, Ordering::Relaxed);
        }
        missing
    }
}
