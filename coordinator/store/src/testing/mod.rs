//! The conformance suite of stores, and fixtures for tests and measurements.
pub(crate) mod fixture;
mod suite;

pub use fixture::{Check, job, partition};
pub use suite::{atomicity, checks};
