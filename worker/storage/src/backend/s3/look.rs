//! Everything there is to know of a small object, and its content, in one request.
use super::{S3Storage, archive, body, kept, size, timestamp, version};
use crate::backend::s3::fault::Effect;
use crate::{ObjectState, Reading, StorageError};
use aws_sdk_s3::types::ChecksumMode;
use bytes::Bytes;

impl S3Storage {
    /// The state of an object, and its content when that is no more than `most` bytes. What is larger is not waited for.
    pub(super) async fn whole(&self, key: &str, most: u64) -> Result<(ObjectState, Option<Vec<Bytes>>), StorageError> {
        let location = self.checked(key)?;
        let request = self.client().get_object().bucket(&self.bucket).key(key).set_request_payer(self.payer());
        // A part of an object comes without the checksum of the whole, so no part is asked for.
        let got = request.checksum_mode(ChecksumMode::Enabled).send().await;
        let got = got.map_err(|error| self.fault(location.clone(), Effect::Repeatable, &error))?;
        let class = got.storage_class().map(|class| class.as_str().to_owned());
        let state = ObjectState {
            key: key.to_owned(),
            bytes: size(got.content_length()),
            version: version(got.e_tag(), got.version_id()),
            checksum: kept(got.checksum_crc64_nvme(), got.checksum_crc32_c()),
            modified: got.last_modified().map(timestamp),
            archive: archive(class.as_deref(), false, got.restore()),
            class,
        };
        if state.bytes > most {
            return Ok((state, None));
        }
        let reading = Reading::new(location.clone(), state.bytes, body(location, got.body));
        reading.collect().await.map(|pieces| (state, Some(pieces)))
    }
}
