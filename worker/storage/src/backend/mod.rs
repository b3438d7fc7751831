//! The kinds of storage: one module each, and one line in the registry.
pub mod file;
pub mod gcs;
pub mod http;
mod kind;
pub mod s3;

pub use kind::{Backend, Binding, Connecting, Opened, Opening};
