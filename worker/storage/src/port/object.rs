//! Objects: state, version, precondition, attributes, and the requests of the core operations.
use crate::{Body, Checksum};
use protocol::time::Timestamp;
use std::collections::BTreeMap;

/// Identifies one state of an object: an ETag, a generation, or an inode with its times.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Version {
    /// Changes when the content does.
    pub tag: String,
    /// Id of the version, in buckets that keep older ones.
    pub id: Option<String>,
}

/// Whether the content of an archived object can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArchiveState {
    /// The content must be restored first.
    Archived,
    /// A restore has been requested.
    Restoring,
    /// A restored copy can be read for a while.
    Restored,
}

/// The current state of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectState {
    /// Key of the object.
    pub key: String,
    /// Size in bytes.
    pub bytes: u64,
    /// Identifies this state.
    pub version: Version,
    /// Checksum of the whole content that the storage has verified and keeps.
    pub checksum: Option<Checksum>,
    /// Time of the last change.
    pub modified: Option<Timestamp>,
    /// Storage class; `None` for the standard class and where there are none.
    pub class: Option<String>,
    /// Archive state; `None` for content that was never archived.
    pub archive: Option<ArchiveState>,
}

/// What must be true when an object becomes visible. The storage checks it at the commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Precondition {
    /// No object has this key.
    IfAbsent,
    /// The object is in this state.
    IfMatch(Version),
    /// None: an existing object is replaced.
    Unconditional,
}

/// Attributes of a new object. Empty fields take the endpoint's settings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Media type of the content, such as `video/mp4`.
    pub content_type: Option<String>,
    /// Storage class, by the name that the storage uses.
    pub class: Option<String>,
    /// Metadata of the user; names in lower case.
    pub metadata: BTreeMap<String, String>,
}

/// A write of whole content.
#[derive(Debug, Clone, Copy)]
pub struct PutRequest<'a> {
    /// Key of the object.
    pub key: &'a str,
    /// Content of the object, with its checksum.
    pub body: &'a Body,
    /// Attributes of the object.
    pub attributes: &'a Attributes,
    /// What must be true when the object becomes visible.
    pub precondition: &'a Precondition,
}

/// One page of a listing.
#[derive(Debug, Clone, Copy)]
pub struct ListRequest<'a> {
    /// Keys begin with this.
    pub prefix: &'a str,
    /// Where the page begins.
    pub start: ListStart<'a>,
    /// Largest number of objects in the page.
    pub objects_max: u32,
}

/// Where a page of a listing begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListStart<'a> {
    /// At the first key.
    First,
    /// At the token of [`Listing::next`].
    Page(&'a str),
    /// At the first key after this one.
    After(&'a str),
}

impl<'a> ListStart<'a> {
    /// The page of a token; the first page without one.
    pub fn page(token: Option<&'a str>) -> ListStart<'a> {
        token.map_or(ListStart::First, ListStart::Page)
    }
}

/// Objects of one page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// The objects, by key in buckets and by path component in directories.
    pub objects: Vec<ObjectState>,
    /// Token of the next page; `None` on the last one.
    pub next: Option<String>,
}
