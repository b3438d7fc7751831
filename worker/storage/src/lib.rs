//! Storage of content: directories, S3, Google Cloud Storage and web servers behind one trait ([`port`]). This crate
//! knows neither units nor assets.
//!
//! - [`backend`]: one module per kind; a [`Registry`] opens locations
//! - [`layer`]: decorators; [`throttle`] keeps to rate limits, [`faults`] injects faults for tests
//! - [`retry`]: retries of idempotent calls and resumption of interrupted reads
//! - [`Root`], [`Partial`], [`Durability`]: confined directories, files that become visible in one step (EFF-1), and
//!   syncs, which local copies use directly
pub mod backend;
mod body;
mod buffers;
mod byte_stream;
mod checksum;
pub mod content;
mod directory;
mod durable;
mod error;
mod fast_copy;
pub mod faults;
mod file_stamp;
mod group_sync;
pub mod hash;
pub mod layer;
mod layered;
mod local_path;
mod location;
mod network;
mod partial;
pub mod port;
mod registry;
pub mod retry;
mod root;
mod roots;
pub mod settings;
pub mod throttle;
mod web;

pub use body::Body;
pub use buffers::MEMORY_BYTES;
pub use byte_stream::ByteStream;
pub use checksum::{Checksum, ChecksumKind, RunningChecksum};
pub use directory::{Directory, DirectoryError};
pub use durable::{Durability, sync_directories, sync_files};
pub use error::StorageError;
pub use fast_copy::{CopyError, copy_in_kernel, reflink};
pub use layered::Layered;
pub use local_path::{LocationError, file_location, local_path};
pub use location::{Address, Location, Object};
pub use partial::{
    PARTIAL_SUFFIX, Partial, UNFINISHED_SUFFIXES, is_unfinished, is_unfinished_path,
};
pub use port::{
    Archive, ArchiveState, Attributes, BeginRequest, Capabilities, CompleteRequest, CopyRequest,
    CopySource, ListRequest, ListStart, Listing, Multipart, MultipartUploads, ObjectState, Part,
    PartCopy, PartCopyRequest, PartLimits, PartWriteError, PartWriter, Precondition, PutRequest,
    Rename, ServerCopies, ServerCopy, Slot, StateWithContent, Storage, StorageClasses, Upload,
    UploadsInPlace, Version, Versions,
};
pub use registry::{MemoryPermit, Registry};
pub use root::Root;
pub use roots::{Base, RootError, Roots};
