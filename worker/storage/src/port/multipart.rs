//! Multipart uploads: content in parts, in any order, from any number of workers.
use super::object::{Attributes, ObjectState, Precondition};
use crate::{Body, ByteStream, Checksum, StorageError};
use async_trait::async_trait;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// An upload that has begun and is neither completed nor aborted. Key and id are enough to continue it anywhere.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Upload {
    /// Key of the object that the upload will become.
    pub key: String,
    /// Name of the upload in its storage.
    pub id: String,
}

/// A part that has arrived and is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Number of the part, from 1.
    pub number: u32,
    /// Size of the part in bytes.
    pub bytes: u64,
    /// Name of this state of the part in its storage.
    pub tag: String,
    /// Checksum of the part; servers may list parts without it.
    pub checksum: Option<Checksum>,
}

impl Part {
    /// The checksum of all parts in order; `None` when a part has none.
    pub fn whole(parts: &[Part]) -> Option<Checksum> {
        let sums: Option<Vec<_>> = parts
            .iter()
            .map(|part| Some((part.checksum?, part.bytes)))
            .collect();
        Checksum::whole(sums?)
    }
}

/// The place of a part in the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// Number of the part, from 1.
    pub number: u32,
    /// Offset of its first byte in the whole.
    pub offset: u64,
}

/// Limits of the parts of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartLimits {
    /// Smallest size of a part in bytes; the last part may be smaller.
    pub bytes_min: u64,
    /// Largest size of a part in bytes.
    pub bytes_max: u64,
    /// Largest number of parts.
    pub count_max: u32,
}

/// The begin of an upload.
#[derive(Debug, Clone, Copy)]
pub struct BeginRequest<'a> {
    /// Key of the object.
    pub key: &'a str,
    /// Attributes of the object.
    pub attributes: &'a Attributes,
    /// Identity of the source when all parts come from it. An upload in place gets the id of
    /// [`UploadsInPlace::upload_of`]; other storages ignore it.
    pub source: Option<&'a str>,
}

/// The completion of an upload.
#[derive(Debug, Clone, Copy)]
pub struct CompleteRequest<'a> {
    /// The upload that is completed.
    pub upload: &'a Upload,
    /// All parts, by number.
    pub parts: &'a [Part],
    /// Checksum of the content, which the storage compares where it can.
    pub whole: Option<Checksum>,
    /// What must be true when the object becomes visible.
    pub precondition: &'a Precondition,
}

/// Uploads in parts.
#[async_trait]
pub trait MultipartUploads: Send + Sync {
    /// Begins an upload.
    async fn begin(&self, request: BeginRequest<'_>) -> Result<Upload, StorageError>;

    /// Sends a part. A part of the same number is replaced.
    async fn put_part(
        &self,
        upload: &Upload,
        slot: Slot,
        body: &Body,
    ) -> Result<Part, StorageError>;

    /// The parts that have arrived, by number. A part whose content has changed since is left out.
    async fn parts(&self, upload: &Upload) -> Result<Vec<Part>, StorageError>;

    /// Makes an upload visible.
    async fn complete(&self, request: CompleteRequest<'_>) -> Result<ObjectState, StorageError>;

    /// Removes an upload and its parts. An unknown upload is no error.
    async fn abort(&self, upload: &Upload) -> Result<(), StorageError>;

    /// Uploads that are neither completed nor aborted, of keys that begin with `prefix`.
    async fn uploads(&self, prefix: &str) -> Result<Vec<Upload>, StorageError>;
}

/// Uploads whose parts lie at their offset in one file, and can be read and written there.
#[async_trait]
pub trait UploadsInPlace: Send + Sync {
    /// The upload that [`MultipartUploads::begin`] makes for this source: all of its parts are of that source.
    fn upload_of(&self, key: &str, source: &str) -> Option<Upload>;

    /// Reads a part that has arrived.
    async fn read_part(
        &self,
        upload: &Upload,
        slot: Slot,
        bytes: u64,
    ) -> Result<ByteStream, StorageError>;

    /// Opens an upload for parts that are written while their bytes arrive. `None` where parts are sent as a [`Body`].
    async fn part_writer(
        &self,
        upload: &Upload,
    ) -> Result<Option<Arc<dyn PartWriter>>, StorageError>;
}

/// Why a part was not received.
#[derive(Debug)]
pub enum PartWriteError {
    /// The content could not be read from its source.
    Source(StorageError),
    /// The content could not be written to the upload.
    Target(StorageError),
}

/// Writes the parts of one upload while their bytes arrive. Without it, each part is collected in memory first.
#[async_trait]
pub trait PartWriter: Send + Sync {
    /// Memory that [`PartWriter::receive`] takes for one part, in bytes.
    fn memory_bytes(&self) -> u64;

    /// Writes one part. Its checksum is that of the received bytes; [`PartWriter::read_back`] proves that the storage
    /// returns the same ones. Adds the received bytes to `moved`.
    async fn receive(
        &self,
        slot: Slot,
        content: ByteStream,
        moved: &AtomicU64,
    ) -> Result<Part, PartWriteError>;

    /// Reads a received part from the storage and passes its bytes to `sink`, in order. Fails when they differ from the
    /// received ones. Blocks the calling thread.
    fn read_back(
        &self,
        slot: Slot,
        part: &Part,
        sink: &mut dyn FnMut(&[u8]),
    ) -> Result<(), StorageError>;

    /// Waits for write-back that is under way. The kernel reports a write-back error only once, so it is reported here.
    async fn settle(&self) -> Result<(), StorageError>;
}
