//! What a decorator does around each call of a storage. [`crate::Layered`] applies it.
use crate::{Body, ByteStream, StorageError};
use async_trait::async_trait;

/// An operation of the port. Operations with the same effect on a server share one name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Reads a state: [`crate::Storage::stat`]
    Stat,
    /// Reads content: [`crate::Storage::read`], [`crate::Storage::stat_with_content`], [`crate::UploadsInPlace::read_part`]
    Read,
    /// Lists a page: [`crate::Storage::list`]
    List,
    /// Writes an object: [`crate::Storage::put`]
    Put,
    /// Begins an upload: [`crate::MultipartUploads::begin`]
    Begin,
    /// Sends a part: [`crate::MultipartUploads::put_part`]
    PutPart,
    /// Copies a part: [`crate::PartCopy::copy_part`]
    CopyPart,
    /// Lists parts: [`crate::MultipartUploads::parts`]
    Parts,
    /// Completes an upload: [`crate::MultipartUploads::complete`]
    Complete,
    /// Aborts an upload: [`crate::MultipartUploads::abort`]
    Abort,
    /// Lists uploads: [`crate::MultipartUploads::uploads`]
    Uploads,
    /// Copies an object: [`crate::ServerCopy::copy`]
    Copy,
    /// Renames an object: [`crate::Rename::rename`]
    Rename,
    /// Deletes an object: [`crate::Storage::delete`]
    Delete,
    /// Keeps a version: [`crate::Versions::keep`]
    KeepVersion,
    /// Changes the class: [`crate::StorageClasses::set_class`]
    SetClass,
    /// Restores an object: [`crate::Archive::restore`]
    Restore,
}

impl Operation {
    /// Whether the operation makes an object visible, changes it or removes it.
    pub fn commits(self) -> bool {
        use Operation::{Complete, Copy, Delete, Put, Rename, SetClass};
        matches!(self, Put | Complete | Copy | Rename | Delete | SetClass)
    }
}

/// One call of an operation.
#[derive(Debug, Clone)]
pub struct Call {
    /// The operation that is called.
    pub operation: Operation,
    /// Location of its object or prefix.
    pub location: String,
    /// Bytes that it sends.
    pub bytes: u64,
}

/// A decorator around calls.
#[async_trait]
pub trait Layer: Send + Sync {
    /// State of the layer from before a call to after it.
    type Mark: Send + Sync;

    /// Runs before a call: may wait, or fail instead of it.
    async fn before(&self, call: &Call) -> Result<Self::Mark, StorageError>;

    /// The body that is sent instead of `body`.
    fn body(&self, _mark: &Self::Mark, body: &Body) -> Body {
        body.clone()
    }

    /// The content that is received instead of `content`.
    fn content(&self, _mark: &Self::Mark, content: ByteStream) -> ByteStream {
        content
    }

    /// Runs after a call. A returned error replaces its outcome.
    fn after(
        &self,
        mark: Self::Mark,
        call: &Call,
        error: Option<&StorageError>,
    ) -> Option<StorageError>;
}
