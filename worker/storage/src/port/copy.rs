//! Copies that the server makes without sending the content.
use super::multipart::{Part, Slot, Upload};
use super::object::{Attributes, ObjectState, Precondition, Version};
use crate::{Checksum, StorageError};
use async_trait::async_trait;
use std::ops::Range;

/// An object that another storage of the same server can copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopySource {
    /// The server: copies work within one domain only.
    pub domain: String,
    /// Bucket of the object.
    pub container: String,
    /// Key of the object in that bucket.
    pub key: String,
    /// The state to copy.
    pub version: Version,
    /// Size of the object in bytes.
    pub bytes: u64,
    /// Checksum of the content, when known. The server verifies the copy by it where it can.
    pub checksum: Option<Checksum>,
}

/// A copy of a whole object.
#[derive(Debug, Clone, Copy)]
pub struct CopyRequest<'a> {
    /// The object to copy.
    pub from: &'a CopySource,
    /// Key of the copy.
    pub key: &'a str,
    /// Attributes of the copy.
    pub attributes: &'a Attributes,
    /// What must be true when the copy becomes visible.
    pub precondition: &'a Precondition,
}

/// A copy of a range as one part of an upload.
#[derive(Debug, Clone)]
pub struct PartCopyRequest<'a> {
    /// The upload that receives the part.
    pub upload: &'a Upload,
    /// The place of the part in it.
    pub slot: Slot,
    /// The object to copy from.
    pub from: &'a CopySource,
    /// The bytes to copy.
    pub range: Range<u64>,
}

/// Copies within one server.
#[async_trait]
pub trait ServerCopy: Send + Sync {
    /// Describes an object of this storage as the source of a copy; `None` when it cannot be one.
    fn source(&self, state: &ObjectState) -> Option<CopySource>;

    /// Copies an object of the same domain.
    async fn copy(&self, request: CopyRequest<'_>) -> Result<ObjectState, StorageError>;
}

/// Copies of ranges as parts of an upload.
#[async_trait]
pub trait PartCopy: Send + Sync {
    /// Copies one part. A part of the same number is replaced.
    async fn copy_part(&self, request: PartCopyRequest<'_>) -> Result<Part, StorageError>;
}
