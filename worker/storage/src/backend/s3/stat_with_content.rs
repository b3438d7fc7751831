//! State and content of a small object in one request.
use super::error_map::Effect;
use super::{S3Storage, archive, body, kept, size, timestamp, version};
use crate::{ByteStream, ObjectState, StateWithContent, StorageError};
use aws_sdk_s3::types::ChecksumMode;

impl S3Storage {
    /// The state of an object, and its content when it has at most `most` bytes. Larger content is not received.
    pub(super) async fn get_whole(
        &self,
        key: &str,
        most: u64,
    ) -> Result<StateWithContent, StorageError> {
        let location = self.checked(key)?;
        let request = self
            .client()
            .get_object()
            .bucket(&self.bucket)
            .key(key)
            .set_request_payer(self.payer());
        // A part of an object comes without the checksum of the whole, so no part is asked for.
        let got = request.checksum_mode(ChecksumMode::Enabled).send().await;
        let got = got.map_err(|error| self.error(location.clone(), Effect::Repeatable, &error))?;
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
        let reading = ByteStream::new(location.clone(), state.bytes, body(location, got.body));
        reading.collect().await.map(|pieces| (state, Some(pieces)))
    }
}
