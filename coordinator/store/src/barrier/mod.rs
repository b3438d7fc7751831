//! Barrier instances.
#[cfg(any(test, feature = "testing"))]
pub(crate) mod conformance;
mod memory;
mod postgres;
mod sql;
mod sqlite;

use crate::error::StoreResult;
use protocol::id::{JobNo, PartNo, StepNo};
use protocol::rules::barrier::Tally;
use protocol::time::Timestamp;
use std::collections::BTreeMap;

/// State of a barrier instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum BarrierState {
    /// It counts its members.
    Waiting,
    /// It has opened.
    Released,
    /// It can no longer open by itself.
    Held,
}

impl BarrierState {
    /// Spelling in SQL and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            BarrierState::Waiting => "waiting",
            BarrierState::Released => "released",
            BarrierState::Held => "held",
        }
    }

    /// Reads the spelling of [`BarrierState::as_str`].
    pub fn parse(text: &str) -> Option<BarrierState> {
        [
            BarrierState::Waiting,
            BarrierState::Released,
            BarrierState::Held,
        ]
        .into_iter()
        .find(|s| s.as_str() == text)
    }
}

/// Members added to a barrier instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BarrierGrowth {
    /// Title, batch number or empty for the job.
    pub key: String,
    /// Number of added members.
    pub members: u64,
    /// Added members that have failed already: rows that cannot be used.
    pub failed: u64,
    /// Lowest partition of the added members.
    pub first: PartNo,
    /// Highest partition of the added members; below the lowest when there is none.
    pub last: PartNo,
}

/// The range that covers two ranges of partitions, of which either may be empty.
pub(crate) fn span(a: (PartNo, PartNo), b: (PartNo, PartNo)) -> (PartNo, PartNo) {
    match (a.0 <= a.1, b.0 <= b.1) {
        (_, false) => a,
        (false, true) => b,
        (true, true) => (a.0.min(b.0), a.1.max(b.1)),
    }
}

/// One barrier instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BarrierRow {
    /// The barrier step.
    pub step: StepNo,
    /// Title, batch number or empty for the job.
    pub key: String,
    /// Lowest planned partition in its scope.
    pub first: PartNo,
    /// Highest planned partition in its scope.
    pub last: PartNo,
    /// Number of members.
    pub total: u64,
    /// Number of members that succeeded.
    pub succeeded: u64,
    /// Number of members that failed.
    pub failed: u64,
    /// State of the instance.
    pub state: BarrierState,
    /// Its release has been applied to planned partitions up to this one.
    pub spread: PartNo,
    /// When it opened.
    pub released_at: Option<Timestamp>,
}

impl BarrierRow {
    /// The counts that the barrier rule evaluates.
    pub fn tally(&self, sealed: bool) -> Tally {
        Tally {
            total: self.total,
            succeeded: self.succeeded,
            failed: self.failed,
            sealed,
        }
    }
}

/// Numbers of instances of a barrier step by state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BarrierCounts {
    /// Number of instances.
    pub total: u64,
    /// Number of open instances.
    pub released: u64,
    /// Number of instances that cannot open by themselves.
    pub held: u64,
    /// Number of open instances whose release is not yet applied to all partitions.
    pub spreading: u64,
}

/// Reads and writes of barrier instances.
pub trait BarrierTx {
    /// Adds members to a barrier instance and widens its range of partitions. A missing instance is inserted.
    fn add_to_barrier(&mut self, job: JobNo, step: StepNo, grow: &BarrierGrowth)
    -> StoreResult<()>;
    /// One barrier instance.
    fn barrier(&mut self, job: JobNo, step: StepNo, key: &str) -> StoreResult<Option<BarrierRow>>;
    /// Barrier instances of a step in key order after `after`; only those in `state` when given.
    fn barriers(
        &mut self,
        job: JobNo,
        step: StepNo,
        state: Option<BarrierState>,
        after: Option<&str>,
        limit: u32,
    ) -> StoreResult<Vec<BarrierRow>>;
    /// Numbers of instances of a barrier step by state.
    fn barrier_counts(&mut self, job: JobNo, step: StepNo) -> StoreResult<BarrierCounts>;
    /// Open instances of a step whose release is not yet applied to all partitions.
    fn barriers_spreading(
        &mut self,
        job: JobNo,
        step: StepNo,
        limit: u32,
    ) -> StoreResult<Vec<BarrierRow>>;
    /// Writes a barrier instance.
    fn put_barrier(&mut self, job: JobNo, row: &BarrierRow) -> StoreResult<()>;
}

/// Barrier instances in memory.
pub(crate) type Table = BTreeMap<(JobNo, StepNo, String), BarrierRow>;
