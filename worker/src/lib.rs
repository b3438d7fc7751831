//! Takes work units, carries them out and reports. Knows no database and decides nothing about the job.
//!
//! - [`task`]: what can be done, one file each
//! - [`storage`]: bytes in and out
//! - [`mhl`]: ASC MHL histories
//! - [`qc`]: measuring and judging media
pub mod actor;
pub mod hash;
pub mod metrics;
pub mod mhl;
mod outbox;
pub mod qc;
pub mod queue;
pub mod runtime;
pub mod storage;
pub mod task;
