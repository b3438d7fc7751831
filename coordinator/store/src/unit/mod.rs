//! Units with a history. A unit without one has no row: it is computed from its partition.
#[cfg(any(test, feature = "testing"))]
pub(crate) mod conformance;
mod memory;
pub(crate) mod postgres;
pub(crate) mod run;
pub(crate) mod sql;
pub(crate) mod sqlite;

use crate::error::StoreResult;
use protocol::id::{JobNo, PartNo, StepNo, UnitId};
use protocol::rules::unit::transition::UnitState;
use protocol::time::Timestamp;
use std::collections::BTreeMap;

/// A unit with a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnitRow {
    /// State of the unit.
    pub state: UnitState,
    /// The fencing token of its current execution when leased, of its last one otherwise.
    pub epoch: u32,
    /// Number of failed attempts.
    pub attempt: u32,
    /// When its backoff ends, while retrying.
    pub due_at: Option<Timestamp>,
    /// Duration of its last execution in microseconds.
    pub duration_us: u64,
}

/// Units with a history.
pub trait UnitTx {
    /// Rows of these units; `None` for a unit without a history.
    fn units(
        &mut self,
        job: JobNo,
        step: StepNo,
        parts: &[PartNo],
    ) -> StoreResult<Vec<Option<UnitRow>>>;
    /// The row of one unit; `None` for a unit without a history.
    fn unit(&mut self, id: UnitId) -> StoreResult<Option<UnitRow>> {
        Ok(self
            .units(id.job, id.step, &[id.packed_part()])?
            .pop()
            .flatten())
    }
    /// Writes rows of units, new or not. New neighbours that succeed at their first execution may be stored as one run: each
    /// then shows their mean duration.
    fn put_units(
        &mut self,
        job: JobNo,
        step: StepNo,
        units: &[(PartNo, UnitRow)],
    ) -> StoreResult<()>;
    /// Ready units of a step in partition order.
    fn ready_units(
        &mut self,
        job: JobNo,
        step: StepNo,
        limit: u32,
    ) -> StoreResult<Vec<(PartNo, UnitRow)>>;
    /// Units whose backoff has ended at `now`.
    fn due_units(&mut self, now: Timestamp, limit: u32) -> StoreResult<Vec<(UnitId, UnitRow)>>;
    /// When the next backoff ends.
    fn next_due(&mut self) -> StoreResult<Option<Timestamp>>;
    /// Units of a job in one state, by step and partition, after the given one. Not for `Succeeded`: plain successes may
    /// be stored as runs.
    fn units_in(
        &mut self,
        job: JobNo,
        state: UnitState,
        after: Option<(StepNo, PartNo)>,
        limit: u32,
    ) -> StoreResult<Vec<(UnitId, UnitRow)>>;
    /// Partitions behind `after` and up to the cursor of `step` without a row: dispatched and not reported yet.
    fn computed_out(
        &mut self,
        job: JobNo,
        step: StepNo,
        after: PartNo,
        limit: u32,
    ) -> StoreResult<Vec<PartNo>>;
    /// Notes that every unit of a block of partitions ([`BLOCK_PARTS`](crate::BLOCK_PARTS)) has a history, when that is so:
    /// a search for units without one passes the block over from then on. All partitions of the block must exist. Returns
    /// whether it is so.
    fn close_block(&mut self, job: JobNo, step: StepNo, block: i64) -> StoreResult<bool>;
}

/// Units in memory.
pub(crate) type Table = BTreeMap<UnitId, UnitRow>;
