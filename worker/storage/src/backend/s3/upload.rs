//! Multipart uploads. They begin with the checksum type of the whole, so that the server verifies the completed object.
use super::error_map::Effect;
use super::{S3Storage, agree, headers, kept, preconditions, size, stream, version};
use crate::{
    BeginRequest, Body, ChecksumKind, CompleteRequest, MultipartUploads, ObjectState, Part, Slot,
    StorageError, Upload,
};
use async_trait::async_trait;
use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumType, CompletedMultipartUpload, CompletedPart};

#[async_trait]
impl MultipartUploads for S3Storage {
    async fn begin(&self, request: BeginRequest<'_>) -> Result<Upload, StorageError> {
        let BeginRequest {
            key, attributes, ..
        } = request;
        let location = self.checked(key)?;
        let (encryption, kms) = self.encryption();
        let algorithm = match self.kind() {
            ChecksumKind::Crc64nvme => Some(ChecksumAlgorithm::Crc64Nvme),
            ChecksumKind::Crc32c => Some(ChecksumAlgorithm::Crc32C),
            ChecksumKind::Md5 => None,
        };
        let whole = self.proves_whole();
        let kind = algorithm.is_some().then_some(if whole {
            ChecksumType::FullObject
        } else {
            ChecksumType::Composite
        });
        let request = self
            .client()
            .create_multipart_upload()
            .bucket(&self.bucket)
            .key(key);
        let request = request
            .set_request_payer(self.payer())
            .set_content_type(attributes.content_type.clone())
            .set_storage_class(self.class(attributes))
            .set_metadata(
                (!attributes.metadata.is_empty())
                    .then(|| attributes.metadata.clone().into_iter().collect()),
            )
            .set_server_side_encryption(encryption)
            .set_ssekms_key_id(kms)
            .set_checksum_algorithm(algorithm)
            .set_checksum_type(kind);
        // An upload whose reply is lost is found by a listing and makes nothing visible.
        let begun = request
            .send()
            .await
            .map_err(|error| self.error(location.clone(), Effect::Repeatable, &error))?;
        let id = begun
            .upload_id()
            .ok_or_else(|| StorageError::unavailable(location, "the upload got no id"))?;
        Ok(Upload {
            key: key.to_owned(),
            id: id.to_owned(),
        })
    }

    async fn put_part(
        &self,
        upload: &Upload,
        slot: Slot,
        body: &Body,
    ) -> Result<Part, StorageError> {
        let location = self.checked(&upload.key)?;
        let (crc64, crc32c, md5) = headers(body.checksum());
        let request = self
            .client()
            .upload_part()
            .bucket(&self.bucket)
            .key(&upload.key)
            .upload_id(&upload.id);
        let request = request
            .set_request_payer(self.payer())
            .part_number(number(&location, slot.number)?)
            .set_checksum_crc64_nvme(crc64)
            .set_checksum_crc32_c(crc32c)
            .set_content_md5(md5)
            .content_length(i64::try_from(body.bytes()).unwrap_or(i64::MAX));
        let sent = request.body(stream(body)).send().await;
        let sent =
            sent.map_err(|error| self.error(location.clone(), Effect::Repeatable, &error))?;
        agree(
            &location,
            body.checksum(),
            kept(sent.checksum_crc64_nvme(), sent.checksum_crc32_c()),
        )?;
        let tag = sent.e_tag().unwrap_or_default().to_owned();
        Ok(Part {
            number: slot.number,
            bytes: body.bytes(),
            tag,
            checksum: Some(body.checksum()),
        })
    }

    async fn parts(&self, upload: &Upload) -> Result<Vec<Part>, StorageError> {
        let location = self.checked(&upload.key)?;
        let (mut parts, mut after) = (Vec::new(), None);
        loop {
            let request = self
                .client()
                .list_parts()
                .bucket(&self.bucket)
                .key(&upload.key)
                .upload_id(&upload.id);
            let request = request
                .set_request_payer(self.payer())
                .set_part_number_marker(after.take());
            let page = request
                .send()
                .await
                .map_err(|error| self.error(location.clone(), Effect::Repeatable, &error))?;
            parts.extend(page.parts().iter().filter_map(|part| {
                let checksum = kept(part.checksum_crc64_nvme(), part.checksum_crc32_c());
                let number = u32::try_from(part.part_number()?).ok()?;
                Some(Part {
                    number,
                    bytes: size(part.size()),
                    tag: part.e_tag()?.to_owned(),
                    checksum,
                })
            }));
            after = page.next_part_number_marker().map(str::to_owned);
            if !page.is_truncated().unwrap_or(false) || after.is_none() {
                return Ok(distinct(parts));
            }
        }
    }

    async fn complete(&self, request: CompleteRequest<'_>) -> Result<ObjectState, StorageError> {
        let CompleteRequest {
            upload,
            parts,
            whole,
            precondition,
        } = request;
        let location = self.checked(&upload.key)?;
        let whole = whole.filter(|whole| self.proves_whole() && whole.kind() == self.kind());
        let (crc64, crc32c, _) = whole.map_or((None, None, None), headers);
        let (free, same) = preconditions(precondition);
        let completed = parts
            .iter()
            .map(|part| completed(&location, part))
            .collect::<Result<Vec<_>, _>>()?;
        let list = CompletedMultipartUpload::builder()
            .set_parts(Some(completed))
            .build();
        let request = self
            .client()
            .complete_multipart_upload()
            .bucket(&self.bucket)
            .key(&upload.key);
        let request = request
            .upload_id(&upload.id)
            .set_request_payer(self.payer())
            .multipart_upload(list)
            .set_checksum_type(whole.map(|_| ChecksumType::FullObject))
            .set_checksum_crc64_nvme(crc64)
            .set_checksum_crc32_c(crc32c)
            .set_if_none_match(free)
            .set_if_match(same);
        let done = request
            .send()
            .await
            .map_err(|error| self.error(location.clone(), Effect::Commit, &error))?;
        let returned = kept(done.checksum_crc64_nvme(), done.checksum_crc32_c())
            .filter(|_| self.proves_whole());
        if let Some(whole) = whole {
            agree(&location, whole, returned)?;
        }
        Ok(ObjectState {
            key: upload.key.clone(),
            bytes: parts.iter().map(|part| part.bytes).sum(),
            version: version(done.e_tag(), done.version_id()),
            checksum: returned,
            modified: None,
            class: None,
            archive: None,
        })
    }

    async fn abort(&self, upload: &Upload) -> Result<(), StorageError> {
        let location = self.checked(&upload.key)?;
        let request = self
            .client()
            .abort_multipart_upload()
            .bucket(&self.bucket)
            .key(&upload.key);
        match request
            .upload_id(&upload.id)
            .set_request_payer(self.payer())
            .send()
            .await
        {
            Ok(_) => Ok(()),
            Err(error) => match self.error(location, Effect::Repeatable, &error) {
                StorageError::UploadGone(_) | StorageError::NotFound(_) => Ok(()),
                error => Err(error),
            },
        }
    }

    async fn uploads(&self, prefix: &str) -> Result<Vec<Upload>, StorageError> {
        let (mut uploads, mut after) = (Vec::new(), (None, None));
        loop {
            let request = self
                .client()
                .list_multipart_uploads()
                .bucket(&self.bucket)
                .prefix(prefix);
            let request = request
                .set_key_marker(after.0.take())
                .set_upload_id_marker(after.1.take());
            let page = request.send().await;
            let page =
                page.map_err(|error| self.error(self.at(prefix), Effect::Repeatable, &error))?;
            uploads.extend(page.uploads().iter().filter_map(|upload| {
                Some(Upload {
                    key: upload.key()?.to_owned(),
                    id: upload.upload_id()?.to_owned(),
                })
            }));
            after = (
                page.next_key_marker().map(str::to_owned),
                page.next_upload_id_marker().map(str::to_owned),
            );
            if !page.is_truncated().unwrap_or(false) || after.0.is_none() {
                return Ok(uploads);
            }
        }
    }
}

impl S3Storage {
    /// Whether the server verifies the checksum of a whole upload.
    pub(super) fn proves_whole(&self) -> bool {
        self.kind() != ChecksumKind::Md5 && self.settings.whole_checksum.unwrap_or(true)
    }
}

/// Some servers list a part twice that was sent twice. Where the two differ, the part has to be sent again.
fn distinct(mut parts: Vec<Part>) -> Vec<Part> {
    parts.sort_by_key(|part| part.number);
    let of_same_number = parts.chunk_by(|a, b| a.number == b.number);
    let sound =
        of_same_number.filter(|group| group.windows(2).all(|pair| pair[0].tag == pair[1].tag));
    sound.filter_map(|group| group.last().cloned()).collect()
}

pub(super) fn number(location: &str, number: u32) -> Result<i32, StorageError> {
    let sound = i32::try_from(number)
        .ok()
        .filter(|number| (1..=10_000).contains(number));
    sound.ok_or_else(|| StorageError::invalid(location, format!("part {number} of at most 10000")))
}

fn completed(location: &str, part: &Part) -> Result<CompletedPart, StorageError> {
    let (crc64, crc32c, _) = part.checksum.map_or((None, None, None), headers);
    let completed = CompletedPart::builder()
        .part_number(number(location, part.number)?)
        .e_tag(&part.tag);
    Ok(completed
        .set_checksum_crc64_nvme(crc64)
        .set_checksum_crc32_c(crc32c)
        .build())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn part_listed_twice_counts_once_if_equal() {
        let part = |number, tag: &str| Part {
            number,
            bytes: 1,
            tag: tag.into(),
            checksum: None,
        };
        let listed = vec![
            part(2, "b"),
            part(1, "a"),
            part(1, "a"),
            part(3, "c"),
            part(3, "d"),
        ];
        assert_eq!(distinct(listed), [part(1, "a"), part(2, "b")]);
    }
}
