//! Takes work units, carries them out and reports. Knows no database and decides nothing about the job.
//!
//! - [`step`]: the execution of each step kind, one file each
//!
//! Bytes, histories and media are the crates `storage`, `mhl` and `qc`.
pub mod actor;
pub mod metrics;
mod outbox;
pub mod queue;
pub mod runtime;
pub mod step;
