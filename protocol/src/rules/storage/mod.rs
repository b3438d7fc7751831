//! Content on storages: parts of an upload, one file over several workers, removal.
pub mod multipart;
pub mod parts;
pub mod purge;
