//! The core trait of a storage, and the capabilities that a storage may have besides.
use super::archive::{Archive, Rename, StorageClasses, Versions};
use super::copy::{PartCopy, ServerCopy};
use super::multipart::{MultipartUploads, PartLimits, UploadsInPlace};
use super::object::{ListRequest, Listing, ObjectState, PutRequest, Version};
use crate::{ByteStream, ChecksumKind, StorageError};
use async_trait::async_trait;
use bytes::Bytes;
use std::ops::Range;

/// What a storage can do; callers ask before they plan. The fields have no defaults, so that a backend or a decorator
/// states each of them.
#[derive(Clone, Copy)]
pub struct Capabilities<'a> {
    /// Whether objects can be written and deleted.
    pub write: bool,
    /// Whether objects can be listed.
    pub list: bool,
    /// Whether objects are files of this machine, which others may change while they are read.
    pub files: bool,
    /// Whether any range can be read; otherwise content is read in one stream.
    pub ranges: bool,
    /// Whether the storage checks [`super::Precondition::IfAbsent`] at the commit.
    pub create_only: bool,
    /// Whether the storage checks [`super::Precondition::IfMatch`] at the commit.
    pub replace_same: bool,
    /// Largest content of [`Storage::put`], in bytes.
    pub put_bytes_max: u64,
    /// The checksum of a [`crate::Body`] that the storage verifies.
    pub checksum: ChecksumKind,
    /// Whether the storage verifies the checksum of a whole upload.
    pub whole_checksum: bool,
    /// Uploads in parts; `None` when content can only be sent as a whole.
    pub multipart: Option<Multipart<'a>>,
    /// Copies that the server makes.
    pub server_copy: Option<ServerCopies<'a>>,
    /// Change of storage classes; `None` when the storage has no classes.
    pub classes: Option<&'a dyn StorageClasses>,
    /// Restores from archive classes; `None` when every object is readable at once.
    pub archive: Option<&'a dyn Archive>,
    /// Older versions of objects; `None` when a replaced object is lost.
    pub versions: Option<&'a dyn Versions>,
    /// Rename without a copy of the content; `None` when the storage has no such call.
    pub rename: Option<&'a dyn Rename>,
}

/// Multipart uploads of a storage.
#[derive(Clone, Copy)]
pub struct Multipart<'a> {
    /// Limits of parts.
    pub limits: PartLimits,
    /// Operations on uploads and their parts.
    pub uploads: &'a dyn MultipartUploads,
    /// Access to parts of uploads that lie in one file.
    pub in_place: Option<&'a dyn UploadsInPlace>,
}

/// Copies that a server makes.
#[derive(Clone, Copy)]
pub struct ServerCopies<'a> {
    /// Largest object that one request copies, in bytes.
    pub bytes_max: u64,
    /// Copies of whole objects.
    pub objects: &'a dyn ServerCopy,
    /// Copies of ranges, for larger objects.
    pub parts: Option<&'a dyn PartCopy>,
}

/// State and content of an object.
pub type StateWithContent = (ObjectState, Option<Vec<Bytes>>);

/// A bucket, a root directory or a web server. The module lists what all of them promise.
#[async_trait]
pub trait Storage: Send + Sync {
    /// The location of a key, for messages and reports.
    fn location(&self, key: &str) -> String;

    /// What the storage can do.
    fn capabilities(&self) -> Capabilities<'_>;

    /// The state of an object.
    async fn stat(&self, key: &str) -> Result<ObjectState, StorageError>;

    /// The state of an object, and all of its content in that state. The content is left out when it has more than
    /// `bytes_max` bytes (in some storages: another size) or would cost a second round trip.
    async fn stat_with_content(
        &self,
        key: &str,
        bytes_max: u64,
    ) -> Result<StateWithContent, StorageError>;

    /// Reads a range of an object; with `version`, of that state only.
    async fn read(
        &self,
        key: &str,
        range: Range<u64>,
        version: Option<&Version>,
    ) -> Result<ByteStream, StorageError>;

    /// One page of a listing.
    async fn list(&self, request: ListRequest<'_>) -> Result<Listing, StorageError>;

    /// Writes an object in one request.
    async fn put(&self, request: PutRequest<'_>) -> Result<ObjectState, StorageError>;

    /// Removes an object; with `version`, in that state only. A missing object is no error.
    async fn delete(&self, key: &str, version: Option<&Version>) -> Result<(), StorageError>;
}

/// Capabilities that an operation needs, or the error of a storage without them.
impl dyn Storage + '_ {
    /// Multipart uploads, for the object at `key`.
    pub fn multipart(&self, key: &str) -> Result<&dyn MultipartUploads, StorageError> {
        let multipart = self
            .capabilities()
            .multipart
            .map(|multipart| multipart.uploads);
        multipart.ok_or_else(|| self.lacks(key, "it takes no content in parts"))
    }

    /// Copies that the server makes, to `key`.
    pub fn server_copy(&self, key: &str) -> Result<&dyn ServerCopy, StorageError> {
        let copies = self.capabilities().server_copy.map(|copies| copies.objects);
        copies.ok_or_else(|| self.lacks(key, "its server makes no copies"))
    }

    /// Copies of ranges that the server makes, to an upload at `key`.
    pub fn part_copy(&self, key: &str) -> Result<&dyn PartCopy, StorageError> {
        let copies = self
            .capabilities()
            .server_copy
            .and_then(|copies| copies.parts);
        copies.ok_or_else(|| self.lacks(key, "its server copies no parts"))
    }

    /// Access to the parts of an upload at `key`.
    pub fn uploads_in_place(&self, key: &str) -> Result<&dyn UploadsInPlace, StorageError> {
        let in_place = self
            .capabilities()
            .multipart
            .and_then(|multipart| multipart.in_place);
        in_place.ok_or_else(|| self.lacks(key, "its parts cannot be read before they are complete"))
    }

    /// Storage classes, for the object at `key`.
    pub fn classes(&self, key: &str) -> Result<&dyn StorageClasses, StorageError> {
        self.capabilities()
            .classes
            .ok_or_else(|| self.lacks(key, "it has no storage classes"))
    }

    /// Archives, for the object at `key`.
    pub fn archive(&self, key: &str) -> Result<&dyn Archive, StorageError> {
        self.capabilities()
            .archive
            .ok_or_else(|| self.lacks(key, "it has no archive"))
    }

    /// Older versions, for the object at `key`.
    pub fn versions(&self, key: &str) -> Result<&dyn Versions, StorageError> {
        self.capabilities()
            .versions
            .ok_or_else(|| self.lacks(key, "it keeps no older versions"))
    }

    /// New names, for the object at `key`.
    pub fn renames(&self, key: &str) -> Result<&dyn Rename, StorageError> {
        self.capabilities()
            .rename
            .ok_or_else(|| self.lacks(key, "its objects cannot be renamed"))
    }

    fn lacks(&self, key: &str, said: &str) -> StorageError {
        StorageError::unsupported(self.location(key), said)
    }
}
