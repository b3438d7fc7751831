//! Where bytes are: directories, S3, Google Cloud Storage, web servers, behind one trait ([`port`]). Knows nothing of
//! units and assets.
//!
//! - [`backend`]: one module per kind; a [`Registry`] finds the right one for a location
//! - [`layer`]: decorators, of which [`throttle`] keeps to limits and [`faults`] breaks things for tests
//! - what local copies use directly: directories nothing can climb out of, temporary files that become visible in one
//!   step (EFF-1), and what it takes for them to survive a power loss
pub mod backend;
mod body;
mod buffers;
mod checksum;
pub mod content;
mod directory;
mod durable;
mod error;
mod fast_copy;
pub mod faults;
pub mod hash;
pub mod layer;
mod location;
mod network;
mod partial;
pub mod persist;
mod place;
pub mod port;
mod reading;
mod registry;
mod roots;
pub mod settings;
pub mod throttle;
mod together;
mod web;

pub use backend::file::{LANDING_BYTES, Landing, Unlanded};
pub use body::Body;
pub use checksum::{Checksum, ChecksumKind, Running};
pub use directory::{Directory, DirectoryError, Root};
pub use durable::{Durability, sync_directories, sync_files};
pub use error::StorageError;
pub use fast_copy::{CopyError, copy_in_kernel, reflink};
pub use location::{LocationError, file_location, local_path};
pub use partial::{PARTIAL_SUFFIX, Partial, UNFINISHED_SUFFIXES, is_unfinished};
pub use place::{Location, Object};
pub use port::{
    Archive, Attributes, Capabilities, Condition, CopySource, Listing, ObjectState, Part, PartLimits, SOURCE, Slot,
    Storage, Upload, Version,
};
pub use reading::Reading;
pub use registry::{Held, MEMORY_BYTES, Registry};
pub use roots::{RootError, Roots};
