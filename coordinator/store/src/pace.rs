//! How fast jobs move bytes, as their leader last saw it: a few seconds old, and bounded whatever runs.
use super::error::StoreResult;
use protocol::id::JobNo;
use protocol::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// Running units that a pace names at most.
pub const PACE_UNITS_MAX: usize = 50;

/// How fast a job moves bytes.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Pace {
    /// Bytes moved by executions that are over and those that run, since the leader began to lead.
    pub bytes_moved: u64,
    /// Bytes a second.
    pub bytes_per_second: f64,
    /// Units under way, the longest way to go first; at most [`PACE_UNITS_MAX`].
    pub units: Vec<UnitPace>,
    /// When that was.
    pub at: Option<Timestamp>,
}

/// How far a unit is that runs.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
pub struct UnitPace {
    /// Name of its step.
    pub step: String,
    /// Number of its partition.
    pub part: i64,
    /// Who runs it.
    pub worker: String,
    /// Bytes moved so far in this execution.
    pub bytes: u64,
    /// Declared bytes of its assets; `null` where they are not declared.
    pub total: Option<u64>,
    /// Bytes a second.
    pub bytes_per_second: f64,
}

/// Paces of jobs.
pub trait PaceTx {
    /// The pace of a job, where one was seen.
    fn pace(&mut self, job: JobNo) -> StoreResult<Option<Pace>>;
    /// Replaces the paces of all jobs.
    fn put_paces(&mut self, paces: &[(JobNo, Pace)]) -> StoreResult<()>;
}

/// Paces in memory.
pub(super) type Paces = BTreeMap<JobNo, Pace>;
