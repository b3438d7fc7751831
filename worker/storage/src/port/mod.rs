//! What every kind of storage offers. A [`Storage`] is bound to one bucket, root directory or web server; names in it
//! are keys: relative, `/` between parts, without `.` and `..`.
//!
//! - [`Storage`] is the core that every backend has. [`Capabilities`] lead to the rest: multipart uploads, copies by
//!   the server, storage classes, archives, older versions.
//! - An object becomes visible only when it is complete and its checksum is verified by the storage (EFF-1).
//! - Nothing is replaced unless [`Precondition::Unconditional`] or [`Precondition::IfMatch`] says so.
//! - No operation is retried here: the caller knows what may be done twice, and errors say whether a change may have
//!   happened.
pub mod archive;
pub mod copy;
pub mod multipart;
pub mod object;
pub mod storage;

pub use archive::{Archive, Rename, StorageClasses, Versions};
pub use copy::{CopyRequest, CopySource, PartCopy, PartCopyRequest, ServerCopy};
pub use multipart::{
    BeginRequest, CompleteRequest, MultipartUploads, Part, PartLimits, PartWriteError, PartWriter,
    Slot, Upload, UploadsInPlace,
};
pub use object::{
    ArchiveState, Attributes, ListRequest, ListStart, Listing, ObjectState, Precondition,
    PutRequest, Version,
};
pub use storage::{Capabilities, Multipart, ServerCopies, StateWithContent, Storage};
