//! Partitions of a listing.
#[cfg(any(test, feature = "testing"))]
pub(crate) mod conformance;
mod memory;
mod postgres;
mod sql;
mod sqlite;

use crate::error::StoreResult;
use protocol::id::{JobNo, PartNo, StepNo};
use protocol::media::asset::Asset;
use std::collections::BTreeMap;

/// A partition: a run of the canonical order, or assets that a split took out of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// Number of the partition in its job.
    pub part: PartNo,
    /// Title of every member; empty where partitions do not follow titles.
    pub title: String,
    /// Id of the first asset.
    pub first: String,
    /// Id of the last asset.
    pub last: String,
    /// Number of assets.
    pub assets: u32,
    /// Declared bytes of the assets.
    pub bytes: u64,
    /// The planned partition it was split from; 0 for planned ones.
    pub parent: PartNo,
    /// Whether a split has taken assets out of it.
    pub split: bool,
}

impl Partition {
    /// The planned partition that it is or was split from. Batch barriers count by it.
    pub fn origin(&self) -> PartNo {
        if self.parent == 0 {
            self.part
        } else {
            self.parent
        }
    }
}

/// Partitions of a listing.
pub trait PartitionTx {
    /// Inserts partitions; a number that exists is an error.
    fn insert_partitions(&mut self, job: JobNo, partitions: &[Partition]) -> StoreResult<()>;
    /// Prefetches these partitions and their units in `steps`, which will be read one by one: a remote store reads them in one
    /// round trip.
    fn prefetch(&mut self, _job: JobNo, _steps: &[StepNo], _parts: &[PartNo]) -> StoreResult<()> {
        Ok(())
    }
    /// Planned partitions (no children of splits) with numbers above `after`, ascending and without gaps. Fewer than `limit` do
    /// not mean that there are no more. The children are numbered behind all of them, and are walked over where `limit` is
    /// more than are planned.
    fn partitions_after(
        &mut self,
        job: JobNo,
        after: PartNo,
        limit: u32,
    ) -> StoreResult<Vec<Partition>>;
    /// These partitions in the given order; an unknown number is an error.
    fn partitions(&mut self, job: JobNo, parts: &[PartNo]) -> StoreResult<Vec<Partition>>;
    /// Children of partitions `first..=last`.
    fn children(&mut self, job: JobNo, first: PartNo, last: PartNo) -> StoreResult<Vec<PartNo>>;
    /// The assets of each partition, in canonical order.
    fn members(&mut self, job: JobNo, partitions: &[Partition]) -> StoreResult<Vec<Vec<Asset>>>;
    /// Records that a split took `assets` assets out of a partition.
    fn shrink_partition(&mut self, job: JobNo, part: PartNo, assets: u32) -> StoreResult<()>;
    /// Moves assets to another partition.
    fn move_assets(&mut self, job: JobNo, to: PartNo, assets: &[String]) -> StoreResult<()>;
    /// Those of these assets that were moved to another partition than `part`.
    fn moved_away(
        &mut self,
        job: JobNo,
        part: PartNo,
        assets: &[String],
    ) -> StoreResult<Vec<String>>;
}

/// Partitions in memory.
#[derive(Debug, Clone, Default)]
pub(crate) struct Table {
    pub(crate) partitions: BTreeMap<(JobNo, PartNo), Partition>,
    pub(crate) moved: BTreeMap<(JobNo, String), PartNo>,
}
