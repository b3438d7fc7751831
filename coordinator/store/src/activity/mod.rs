//! Running units and rates of jobs, as the leader saw them last: a few seconds old, and bounded in size.
#[cfg(any(test, feature = "testing"))]
pub(crate) mod conformance;
mod memory;
mod sql;

use crate::error::StoreResult;
use protocol::id::{JobNo, Kind, PartNo, StepNo};
use protocol::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Running units that are kept at most.
pub const RUNNING_MAX: usize = 200;

/// Steps whose units are counted at most.
pub const STEPS_MAX: usize = 10_000;

/// What runs in the cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Activity {
    /// When the leader wrote it.
    pub at: Timestamp,
    /// The units that have run longest, longest first; at most [`RUNNING_MAX`].
    pub running: Vec<RunningUnit>,
    /// Units a second that end, by job; jobs whose units do not end are missing.
    pub rates: Vec<(JobNo, f64)>,
    /// Units that are published or with a worker, by job and step; at most [`STEPS_MAX`].
    pub out: Vec<(JobNo, StepNo, u32)>,
}

/// A unit that a worker runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunningUnit {
    /// Number of its job.
    pub job: JobNo,
    /// Number of its step in the workflow.
    pub step: StepNo,
    /// Number of its partition.
    pub part: PartNo,
    /// Slots that it uses.
    pub kind: Kind,
    /// The size class of `rules::schedule::cost::bucket`.
    pub size: u8,
    /// Worker that runs it.
    pub worker: String,
    /// When a heartbeat showed it first.
    pub since: Timestamp,
}

/// What runs in the cluster.
pub trait ActivityTx {
    /// What the leader saw last; `None` before the first leader has written it.
    fn activity(&mut self) -> StoreResult<Option<Activity>>;
    /// Replaces what the leader saw before.
    fn put_activity(&mut self, activity: &Activity) -> StoreResult<()>;
}

/// What runs in the cluster, in memory.
pub(crate) type Table = Option<Activity>;
