//! What every kind of storage offers. A [`Storage`] is bound to one place (a bucket, a root directory, a web server);
//! names in it are keys: relative, `/` between parts, without `.` and `..`.
//!
//! - nothing is visible before it is complete and the other side has proven its checksum (EFF-1)
//! - nothing is replaced unless [`Condition::Any`] or [`Condition::Same`] says so
//! - no operation is repeated here: whoever calls knows what may be done twice, and errors say whether it may have
//!   happened
use super::{Body, Checksum, ChecksumKind, Landing, Reading, StorageError};
use async_trait::async_trait;
use bytes::Bytes;
use protocol::time::Timestamp;
use protocol::wire::unit::RestoreTier;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// Name of the metadata that says what an upload is made of: a location and its state.
pub const SOURCE: &str = "source";

/// What tells one state of an object from another: an ETag, a generation, an inode with its times.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Version {
    /// Changes when the content does.
    pub tag: String,
    /// Id of the version, in buckets that keep old ones.
    pub id: Option<String>,
}

/// How far an archived object is from being readable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Archive {
    /// It must be asked for.
    Away,
    /// It was asked for.
    Coming,
    /// A copy can be read, for a while.
    Here,
}

/// An object as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectState {
    /// Its name.
    pub key: String,
    /// Its size.
    pub bytes: u64,
    /// Its state.
    pub version: Version,
    /// Checksum of the whole content that the other side has proven and kept.
    pub checksum: Option<Checksum>,
    /// When it was last changed.
    pub modified: Option<Timestamp>,
    /// Storage class, where there are several and it is not the usual one.
    pub class: Option<String>,
    /// Set when its content is, or was, in an archive.
    pub archive: Option<Archive>,
}

/// What must be true at the moment something becomes visible.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// Nothing is there.
    Free,
    /// What is there is in this state.
    Same(Version),
    /// Whatever is there is replaced.
    Any,
}

/// What an object gets besides its content. Empty fields are left to the endpoint's settings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Media type.
    pub content_type: Option<String>,
    /// Storage class.
    pub class: Option<String>,
    /// Metadata of ours; names in lower case.
    pub metadata: BTreeMap<String, String>,
}

/// An upload in parts that has been begun.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Upload {
    /// Where the object will be.
    pub key: String,
    /// What the other side calls it.
    pub id: String,
}

/// A part that has arrived and was proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its number, from 1.
    pub number: u32,
    /// Its size.
    pub bytes: u64,
    /// What the other side calls this state of it.
    pub tag: String,
    /// Its checksum.
    pub checksum: Option<Checksum>,
}

impl Part {
    /// The checksum of what parts make together; `None` when one of them does not tell its own, as servers may when
    /// they list them.
    pub fn whole(parts: &[Part]) -> Option<Checksum> {
        let sums: Option<Vec<_>> = parts.iter().map(|part| Some((part.checksum?, part.bytes))).collect();
        Checksum::whole(sums?)
    }
}

/// Where a part belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// Its number, from 1.
    pub number: u32,
    /// Its first byte in the whole.
    pub offset: u64,
}

/// One page of a listing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// Objects in the order the other side has, which is by key everywhere but in directories.
    pub objects: Vec<ObjectState>,
    /// What to ask the next page with; `None` at the end.
    pub next: Option<String>,
}

/// An object another storage of the same kind can copy without us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopySource {
    /// Who serves it: copies work within one domain only.
    pub domain: String,
    /// Bucket or root.
    pub container: String,
    /// Its name there.
    pub key: String,
    /// The state to copy.
    pub version: Version,
    /// Its size.
    pub bytes: u64,
    /// Its checksum, when known: the copy is proven by it where the server can.
    pub checksum: Option<Checksum>,
}

/// Limits of uploads in parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartLimits {
    /// Smallest part, but for the last.
    pub bytes_min: u64,
    /// Largest part.
    pub bytes_max: u64,
    /// Most parts.
    pub count_max: u32,
}

/// What a storage can do; callers ask before they plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// Whether anything can be written.
    pub write: bool,
    /// Whether it can be listed.
    pub list: bool,
    /// Whether [`Condition::Free`] is judged by the other side, at the moment of commit.
    pub create_only: bool,
    /// Whether [`Condition::Same`] is.
    pub replace_same: bool,
    /// Largest content of [`Storage::put`].
    pub put_bytes_max: u64,
    /// Limits of uploads in parts.
    pub parts: Option<PartLimits>,
    /// What the other side verifies of a [`Body`].
    pub checksum: ChecksumKind,
    /// Whether a whole is proven by the checksum that completes it.
    pub whole_checksum: bool,
    /// Whether it copies by itself, and up to which size in one call.
    pub copy_bytes_max: Option<u64>,
    /// Whether parts can be copied by the other side.
    pub copy_part: bool,
    /// Whether an object can be given another name.
    pub rename: bool,
    /// Whether there are storage classes, and archives among them.
    pub classes: bool,
}

/// A place where objects are. See the module for what all of them promise.
#[async_trait]
pub trait Storage: Send + Sync {
    /// The location of a key, for messages and reports.
    fn location(&self, key: &str) -> String;

    /// What it can do.
    fn capabilities(&self) -> Capabilities;

    /// Looks at an object.
    async fn stat(&self, key: &str) -> Result<ObjectState, StorageError>;

    /// Looks at an object, and brings all of its content, of one state, where that is no more than `most` bytes (some
    /// storages: exactly `most`) and takes no longer.
    async fn look(&self, key: &str, most: u64) -> Result<(ObjectState, Option<Vec<Bytes>>), StorageError> {
        let _ = most;
        self.stat(key).await.map(|state| (state, None))
    }

    /// Reads `range` of an object; with `same`, of that state and no other.
    async fn read(&self, key: &str, range: Range<u64>, same: Option<&Version>) -> Result<Reading, StorageError>;

    /// Lists what begins with `prefix`, a page of at most `most` at a time.
    async fn list(&self, prefix: &str, page: Option<&str>, most: u32) -> Result<Listing, StorageError> {
        let _ = (page, most);
        Err(StorageError::unsupported(self.location(prefix), "it cannot be listed"))
    }

    /// Lists from the first key after `after` on.
    async fn list_after(&self, prefix: &str, after: &str, most: u32) -> Result<Listing, StorageError> {
        let _ = (after, most);
        Err(StorageError::unsupported(self.location(prefix), "its listing begins at the beginning"))
    }

    /// Writes content in one step.
    async fn put(
        &self,
        key: &str,
        body: &Body,
        attributes: &Attributes,
        condition: &Condition,
    ) -> Result<ObjectState, StorageError> {
        let _ = (body, attributes, condition);
        Err(self.read_only(key))
    }

    /// Begins an upload in parts.
    async fn begin(&self, key: &str, attributes: &Attributes) -> Result<Upload, StorageError> {
        let _ = attributes;
        Err(self.read_only(key))
    }

    /// The upload that [`Storage::begin`] makes for content of this source when [`SOURCE`] names it among the metadata: what
    /// arrived in it before is of that source and no other. `None` where parts cannot be read again anyway.
    fn upload_of(&self, key: &str, source: &str) -> Option<Upload> {
        let _ = (key, source);
        None
    }

    /// Reads a part that has arrived.
    async fn read_part(&self, upload: &Upload, slot: Slot, bytes: u64) -> Result<Reading, StorageError> {
        let _ = (slot, bytes);
        Err(StorageError::unsupported(self.location(&upload.key), "its parts cannot be read before they are complete"))
    }

    /// Sends a part; one of the same number replaces it. Parts come in any order, from any number of workers.
    async fn put_part(&self, upload: &Upload, slot: Slot, body: &Body) -> Result<Part, StorageError> {
        let _ = (slot, body);
        Err(self.read_only(&upload.key))
    }

    /// Opens an upload for parts that are written while they come. `None` where a part is sent in one piece.
    async fn landing(&self, upload: &Upload) -> Result<Option<Arc<Landing>>, StorageError> {
        let _ = upload;
        Ok(None)
    }

    /// Lets the other side take a part from another object.
    async fn copy_part(
        &self,
        upload: &Upload,
        slot: Slot,
        from: &CopySource,
        range: Range<u64>,
    ) -> Result<Part, StorageError> {
        let _ = (slot, from, range);
        Err(StorageError::unsupported(self.location(&upload.key), "it copies no parts"))
    }

    /// The parts that have arrived, by number. A part that is not what it was is not among them.
    async fn parts(&self, upload: &Upload) -> Result<Vec<Part>, StorageError> {
        Err(self.read_only(&upload.key))
    }

    /// Makes an upload visible. `whole` is the checksum of the content, which the other side compares where it can.
    async fn complete(
        &self,
        upload: &Upload,
        parts: &[Part],
        whole: Option<Checksum>,
        condition: &Condition,
    ) -> Result<ObjectState, StorageError> {
        let _ = (parts, whole, condition);
        Err(self.read_only(&upload.key))
    }

    /// Forgets an upload and its parts; one that is gone already is fine.
    async fn abort(&self, upload: &Upload) -> Result<(), StorageError> {
        Err(self.read_only(&upload.key))
    }

    /// Uploads that were begun and neither completed nor aborted, of keys that begin with `prefix`.
    async fn uploads(&self, prefix: &str) -> Result<Vec<Upload>, StorageError> {
        Err(self.read_only(prefix))
    }

    /// Describes an object for another storage to copy; `None` when nobody could.
    fn copy_source(&self, state: &ObjectState) -> Option<CopySource> {
        let _ = state;
        None
    }

    /// Lets the other side copy an object of its domain.
    async fn copy(
        &self,
        from: &CopySource,
        key: &str,
        attributes: &Attributes,
        condition: &Condition,
    ) -> Result<ObjectState, StorageError> {
        let _ = (from, attributes, condition);
        Err(StorageError::unsupported(self.location(key), "it copies nothing by itself"))
    }

    /// Gives an object another name that must be free.
    async fn rename(&self, from: &str, to: &str) -> Result<(), StorageError> {
        let _ = to;
        Err(StorageError::unsupported(self.location(from), "it renames nothing"))
    }

    /// Removes an object; with `same`, only in that state. One that is gone already is fine.
    async fn delete(&self, key: &str, same: Option<&Version>) -> Result<(), StorageError> {
        let _ = same;
        Err(self.read_only(key))
    }

    /// Sees to it that what is there in this state stays as an older version when it is replaced; under the condition that
    /// it returns, and no other. Asking again is fine.
    async fn keep_version(&self, state: &ObjectState) -> Result<Condition, StorageError> {
        Err(StorageError::unsupported(self.location(&state.key), "it keeps no older versions"))
    }

    /// Moves an object to another storage class.
    async fn set_class(&self, key: &str, same: &Version, class: &str) -> Result<ObjectState, StorageError> {
        let _ = (same, class);
        Err(StorageError::unsupported(self.location(key), "it has no storage classes"))
    }

    /// Asks for a readable copy of an archived object for some days. Asking again is fine; [`Storage::stat`] tells
    /// when it is there.
    async fn restore(&self, key: &str, days: u32, tier: RestoreTier) -> Result<(), StorageError> {
        let _ = (days, tier);
        Err(StorageError::unsupported(self.location(key), "it has no archive"))
    }

    /// The error of a storage that is only read.
    fn read_only(&self, key: &str) -> StorageError {
        StorageError::unsupported(self.location(key), "it can only be read")
    }
}
