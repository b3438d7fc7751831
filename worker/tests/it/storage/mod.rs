//! Every kind of storage against real servers, one conformance suite for all; decorators; faults.
mod carry;
pub(crate) mod conformance;
mod faults;
mod gcs_stub;
mod http;
mod listing;
mod mhl;
mod places;
mod replace;
pub(crate) mod s3_archive;
mod server;
mod slices;
pub(crate) mod subjects;
mod web;
