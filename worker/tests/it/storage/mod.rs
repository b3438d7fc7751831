//! Every kind of storage against real servers, one conformance suite for all; decorators; faults.
pub(crate) mod carry;
pub(crate) mod conformance;
mod faults;
mod full_disk;
mod gcs_stub;
mod http;
mod listing;
mod mhl;
mod places;
mod replace;
pub(crate) mod s3_archive;
mod s3_rights;
pub(crate) mod s3_status;
pub(crate) mod s3_stub;
mod server;
mod slices;
pub(crate) mod subjects;
mod web;
