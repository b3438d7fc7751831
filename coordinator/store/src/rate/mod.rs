//! How fast jobs move bytes, as their leader measured it last: a few seconds old, and bounded in size.
#[cfg(any(test, feature = "testing"))]
pub(crate) mod conformance;
mod memory;
mod sql;

use crate::error::StoreResult;
use protocol::id::JobNo;
use protocol::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// Running units that the rate of a job lists at most.
pub const RATE_UNITS_MAX: usize = 50;

/// How fast a job moves bytes.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct TransferRate {
    /// Bytes moved since the leader began to lead, by executions that have ended and by running ones.
    pub bytes_moved: u64,
    /// Bytes a second.
    pub bytes_per_second: f64,
    /// Running units, those with the most bytes left first; at most [`RATE_UNITS_MAX`].
    pub units: Vec<UnitTransferRate>,
    /// When the leader measured it.
    pub at: Option<Timestamp>,
}

/// How fast a running unit moves bytes.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
pub struct UnitTransferRate {
    /// Name of its step.
    pub step: String,
    /// Number of its partition.
    pub part: i64,
    /// Worker that runs it.
    pub worker: String,
    /// Bytes moved so far in this execution.
    pub bytes: u64,
    /// Declared bytes of its assets; `null` where they are not declared.
    pub total: Option<u64>,
    /// Bytes a second.
    pub bytes_per_second: f64,
}

/// Transfer rates of jobs.
pub trait RateTx {
    /// The rate of a job; `None` where none was measured.
    fn rate(&mut self, job: JobNo) -> StoreResult<Option<TransferRate>>;
    /// Replaces the rates of all jobs.
    fn put_rates(&mut self, rates: &[(JobNo, TransferRate)]) -> StoreResult<()>;
}

/// Transfer rates in memory.
pub(crate) type Table = BTreeMap<JobNo, TransferRate>;
