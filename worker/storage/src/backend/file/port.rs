//! The port over the blocking calls of [`FileStorage`].
use super::blocking::blocking;
use super::content::pieces;
use super::error_map::io_error;
use super::hidden_names::id_of;
use super::ledger::PARTS_MAX;
use super::{FileStorage, PUT_BYTES_MAX, state};
use crate::{
    BeginRequest, Body, ByteStream, Capabilities, ChecksumKind, CompleteRequest, ListRequest,
    ListStart, Listing, Multipart, MultipartUploads, ObjectState, Part, PartLimits, PartWriter,
    Precondition, PutRequest, Rename, Slot, StateWithContent, Storage, StorageError, Upload,
    UploadsInPlace, Version, Versions,
};
use async_trait::async_trait;
use rustix::fs::fstat;
use std::ops::Range;
use std::sync::Arc;

/// Limits of an upload to a directory.
const PART_LIMITS: PartLimits = PartLimits {
    bytes_min: 1,
    bytes_max: u64::MAX,
    count_max: PARTS_MAX,
};

#[async_trait]
impl Storage for FileStorage {
    fn location(&self, key: &str) -> String {
        self.at(key)
    }

    fn capabilities(&self) -> Capabilities<'_> {
        Capabilities {
            write: true,
            list: true,
            files: true,
            ranges: true,
            create_only: true,
            replace_same: true,
            put_bytes_max: PUT_BYTES_MAX,
            checksum: ChecksumKind::Crc64nvme,
            whole_checksum: true,
            multipart: Some(Multipart {
                limits: PART_LIMITS,
                uploads: self,
                in_place: Some(self),
            }),
            server_copy: None,
            classes: None,
            archive: None,
            versions: Some(self),
            rename: Some(self),
        }
    }

    async fn stat(&self, key: &str) -> Result<ObjectState, StorageError> {
        let (storage, key) = (self.clone(), key.to_owned());
        blocking(self.at(&key), move || storage.stat_now(&key)).await
    }

    async fn stat_with_content(
        &self,
        key: &str,
        bytes_max: u64,
    ) -> Result<StateWithContent, StorageError> {
        let (storage, key) = (self.clone(), key.to_owned());
        blocking(self.at(&key), move || {
            storage.stat_with_content_now(&key, bytes_max)
        })
        .await
    }

    async fn read(
        &self,
        key: &str,
        range: Range<u64>,
        version: Option<&Version>,
    ) -> Result<ByteStream, StorageError> {
        let (storage, name, expected) = (self.clone(), key.to_owned(), version.cloned());
        let opened = blocking(self.at(key), move || {
            let file = storage.open(&name)?;
            let stat =
                fstat(&file).map_err(|errno| io_error(&storage.at(&name), "look at", errno))?;
            if expected.is_some_and(|expected| expected != super::version(&stat)) {
                return Err(StorageError::precondition(
                    storage.at(&name),
                    "it has changed",
                ));
            }
            Ok((file, state(&name, &stat)))
        });
        let (file, now) = opened.await?;
        let location = self.at(key);
        if range.end > now.bytes || range.start > range.end {
            let said = format!("bytes {}-{} of {}", range.start, range.end, now.bytes);
            return Err(StorageError::invalid(location, said));
        }
        let stream = pieces(
            location.clone(),
            Arc::new(file),
            range.clone(),
            Arc::clone(&self.buffers),
        );
        Ok(ByteStream::new(location, range.end - range.start, stream)
            .of(Some(now.version), Some(now.bytes)))
    }

    async fn list(&self, request: ListRequest<'_>) -> Result<Listing, StorageError> {
        let (storage, prefix, most) =
            (self.clone(), request.prefix.to_owned(), request.objects_max);
        // The token of a page is the last key of the one before it.
        let after = match request.start {
            ListStart::First => None,
            ListStart::Page(key) | ListStart::After(key) => Some(key.to_owned()),
        };
        blocking(self.at(&prefix), move || {
            storage.list_now(&prefix, after.as_deref(), most)
        })
        .await
    }

    async fn put(&self, request: PutRequest<'_>) -> Result<ObjectState, StorageError> {
        self.put_grouped(request).await
    }

    async fn delete(&self, key: &str, version: Option<&Version>) -> Result<(), StorageError> {
        let (storage, key, version) = (self.clone(), key.to_owned(), version.cloned());
        blocking(self.at(&key), move || {
            storage.delete_now(&key, version.as_ref())
        })
        .await
    }
}

#[async_trait]
impl MultipartUploads for FileStorage {
    async fn begin(&self, request: BeginRequest<'_>) -> Result<Upload, StorageError> {
        let (storage, key, id) = (
            self.clone(),
            request.key.to_owned(),
            request.source.map(id_of),
        );
        blocking(self.at(&key), move || storage.begin_now(&key, id)).await
    }

    async fn put_part(
        &self,
        upload: &Upload,
        slot: Slot,
        body: &Body,
    ) -> Result<Part, StorageError> {
        let (storage, upload, body) = (self.clone(), upload.clone(), body.clone());
        blocking(self.at(&upload.key), move || {
            storage.put_part_now(&upload, slot, &body)
        })
        .await
    }

    async fn parts(&self, upload: &Upload) -> Result<Vec<Part>, StorageError> {
        let (storage, upload) = (self.clone(), upload.clone());
        blocking(self.at(&upload.key), move || storage.parts_now(&upload)).await
    }

    async fn complete(&self, request: CompleteRequest<'_>) -> Result<ObjectState, StorageError> {
        let CompleteRequest {
            upload,
            parts,
            whole,
            precondition,
        } = request;
        let (storage, upload, parts) = (self.clone(), upload.clone(), parts.to_vec());
        let precondition = precondition.clone();
        blocking(self.at(&upload.key), move || {
            storage.complete_now(&upload, &parts, whole, &precondition)
        })
        .await
    }

    async fn abort(&self, upload: &Upload) -> Result<(), StorageError> {
        let (storage, upload) = (self.clone(), upload.clone());
        blocking(self.at(&upload.key), move || storage.abort_now(&upload)).await
    }

    async fn uploads(&self, prefix: &str) -> Result<Vec<Upload>, StorageError> {
        let (storage, prefix) = (self.clone(), prefix.to_owned());
        blocking(self.at(&prefix), move || storage.uploads_now(&prefix)).await
    }
}

#[async_trait]
impl UploadsInPlace for FileStorage {
    fn upload_of(&self, key: &str, source: &str) -> Option<Upload> {
        Some(Upload {
            key: key.to_owned(),
            id: id_of(source),
        })
    }

    async fn read_part(
        &self,
        upload: &Upload,
        slot: Slot,
        bytes: u64,
    ) -> Result<ByteStream, StorageError> {
        let (storage, upload, location) = (self.clone(), upload.clone(), self.at(&upload.key));
        let content = blocking(location.clone(), move || storage.content_now(&upload)).await?;
        let range = slot.offset..slot.offset + bytes;
        let stream = pieces(
            location.clone(),
            Arc::new(content),
            range,
            Arc::clone(&self.buffers),
        );
        Ok(ByteStream::new(location, bytes, stream))
    }

    async fn part_writer(
        &self,
        upload: &Upload,
    ) -> Result<Option<Arc<dyn PartWriter>>, StorageError> {
        let (storage, upload) = (self.clone(), upload.clone());
        let opened = blocking(self.at(&upload.key), move || {
            storage.part_writer_now(&upload)
        })
        .await?;
        Ok(Some(Arc::new(opened)))
    }
}

#[async_trait]
impl Versions for FileStorage {
    async fn keep(&self, state: &ObjectState) -> Result<Precondition, StorageError> {
        let (storage, state) = (self.clone(), state.clone());
        blocking(self.at(&state.key), move || storage.keep_now(&state)).await
    }
}

#[async_trait]
impl Rename for FileStorage {
    async fn rename(&self, from: &str, to: &str) -> Result<(), StorageError> {
        let (storage, from, to) = (self.clone(), from.to_owned(), to.to_owned());
        blocking(self.at(&from), move || storage.rename_now(&from, &to)).await
    }
}
