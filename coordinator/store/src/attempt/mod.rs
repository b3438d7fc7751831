//! Executions that failed, and those that ended a unit which had failed before. A unit that succeeds at once has no row: its own
//! row says all.
#[cfg(any(test, feature = "testing"))]
pub(crate) mod conformance;
mod memory;
mod sql;

use crate::error::StoreResult;
use protocol::failure::Failure;
use protocol::id::UnitId;
use protocol::time::Timestamp;
use std::collections::BTreeMap;

/// One execution of a unit that has ended.
#[derive(Debug, Clone, PartialEq)]
pub struct AttemptRow {
    /// The unit that was executed.
    pub unit: UnitId,
    /// The epoch under which it was executed: each epoch has one execution. 0 for a unit that was split off: it was
    /// executed as a part of another.
    pub epoch: u32,
    /// Incarnation of the worker.
    pub worker: String,
    /// When the coordinator settled its report.
    pub ended_at: Timestamp,
    /// Execution time in microseconds, as the worker measured it.
    pub duration_us: u64,
    /// Number of assets that failed; 0 when the execution succeeded or the unit failed as a whole.
    pub assets_failed: u32,
    /// The first failure; `None` when the execution succeeded. Checks and findings are not kept here.
    pub failure: Option<Failure>,
}

/// Executions of units.
pub trait AttemptTx {
    /// Records executions; one already recorded stays as it is.
    fn put_attempts(&mut self, attempts: &[AttemptRow]) -> StoreResult<()>;
    /// Executions of a unit by epoch, at most `limit`, those after epoch `after` where it is given.
    fn attempts(
        &mut self,
        unit: UnitId,
        after: Option<u32>,
        limit: u32,
    ) -> StoreResult<Vec<AttemptRow>>;
}

/// Executions in memory, by unit and epoch.
pub(crate) type Table = BTreeMap<(UnitId, u32), AttemptRow>;
