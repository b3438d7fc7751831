//! Every kind of storage against real servers, one conformance suite for all; decorators; faults.
mod conformance;
mod faults;
mod gcs_stub;
mod http;
mod mhl;
mod places;
mod server;
mod subjects;
mod web;
