//! The truth, behind one trait. Every service is a plain function over [`Tx`], run in one transaction on the store's own
//! thread; memory, SQLite and PostgreSQL implement the same few batch-wise primitives, and one conformance suite runs
//! against each.
//!
//! A unit is *computed* from its partition until it has a history: the first step's units exist as rows only once they
//! ended, failed or were taken back. Until then a cursor per step says how far units have been handed out. So the usual
//! unit costs one row for its asset, one for its partition and one for its outcome, each written once.
#[cfg(any(test, feature = "testing"))]
pub mod conformance;
mod control;
pub mod cost;
pub mod deployment;
mod error;
pub mod failpoint;
pub mod handle;
mod key;
pub mod memory;
mod migration;
mod pace;
pub mod postgres;
pub mod retention;
mod rework;
mod rows;
pub mod schedule;
pub mod sqlite;
mod streak;
pub mod timing;
mod tombstone;
pub mod view;

pub use control::*;
use deployment::DeploymentTx;
pub use error::{StoreError, StoreResult};
pub use key::KeyTx;
pub use pace::{PACE_UNITS_MAX, Pace, PaceTx, UnitPace};
use retention::RetentionTx;
pub use rework::*;
pub use rows::*;
pub use schedule::{CostRow, CutRow, CutState, ScheduleTx, SliceRow, Speculation, SpeculationState, WithheldRow};
pub use tombstone::{TombstoneRow, TombstoneTx};

use parking_lot::Mutex;
use protocol::failure::Failure;
use protocol::id::{JobNo, PartNo, StepNo, UnitId};
use protocol::media::asset::{Asset, AssetFact};
use protocol::rules::library::partition::Member;
use protocol::time::Timestamp;
use protocol::wire::report::RowError;
use protocol::workflow::Workflow;
use std::collections::BTreeSet;

/// Everything a service may ask inside one transaction. Nothing here decides: rules do, services carry out.
pub trait Tx:
    JobTx
    + ListingTx
    + PartitionTx
    + StepTx
    + UnitTx
    + FailureTx
    + BarrierTx
    + CatalogueTx
    + ControlTx
    + DeploymentTx
    + KeyTx
    + PaceTx
    + TombstoneTx
    + RetentionTx
    + ReworkTx
    + ScheduleTx
    + ViewTx
{
}

impl<T> Tx for T where
    T: JobTx
        + ListingTx
        + PartitionTx
        + StepTx
        + UnitTx
        + FailureTx
        + BarrierTx
        + CatalogueTx
        + ControlTx
        + DeploymentTx
        + KeyTx
        + PaceTx
        + TombstoneTx
        + RetentionTx
        + ReworkTx
        + ScheduleTx
        + ViewTx
{
}

/// Jobs and their workflows.
pub trait JobTx {
    /// Adds a job with its steps at zero; returns its number.
    fn insert_job(&mut self, job: &NewJob) -> StoreResult<JobNo>;
    /// One job.
    fn job(&mut self, no: JobNo) -> StoreResult<Option<JobRow>>;
    /// One job by its public id.
    fn job_by_id(&mut self, id: &str) -> StoreResult<Option<JobRow>>;
    /// One job by the submission it was handed in with.
    fn job_of_submission(&mut self, submission: &str) -> StoreResult<Option<JobRow>>;
    /// Jobs, newest first; only those that have not ended when `open`. A row that cannot be read is left out and named in
    /// the log once.
    fn jobs(&mut self, open: bool, limit: u32) -> StoreResult<Vec<JobRow>>;
    /// Writes everything of a job but its workflow.
    fn update_job(&mut self, job: &JobRow) -> StoreResult<()>;
    /// The workflow a job runs.
    fn workflow(&mut self, no: JobNo) -> StoreResult<Workflow>;
}

/// The listing of a job's library.
pub trait ListingTx {
    /// Appends a page of a listing. The same asset on the same line is a replay and ignored; on another line it is a
    /// duplicate and returned as an error. Returns the number of new assets, their declared bytes, and the errors.
    fn append_listing(&mut self, job: JobNo, by_title: bool, page: &[(u64, Asset)]) -> StoreResult<Appended>;
    /// Records rows that could not be used; a line already recorded is ignored.
    fn append_row_errors(&mut self, job: JobNo, errors: &[RowError]) -> StoreResult<u64>;
    /// Rows that could not be used, by line.
    fn row_errors(&mut self, job: JobNo, limit: u32) -> StoreResult<Vec<RowError>>;
    /// Rows that could not be used, have a title, and have not been counted yet, by title, asset and line.
    fn uncounted_rows(&mut self, job: JobNo, limit: u32) -> StoreResult<Vec<RowError>>;
    /// Notes that these rows have been counted, each with the partition it would have come after.
    fn count_rows(&mut self, job: JobNo, rows: &[(RowError, PartNo)]) -> StoreResult<()>;
    /// Rows that have been counted as members of barriers, by line: those of a title, of partitions, or all.
    fn counted_rows(&mut self, job: JobNo, of: RowsOf<'_>, limit: u32) -> StoreResult<Vec<RowError>>;
    /// The listing in canonical order after `after` (title, id).
    fn listing_after(
        &mut self,
        job: JobNo,
        by_title: bool,
        after: Option<(&str, &str)>,
        limit: u32,
    ) -> StoreResult<Vec<Member>>;
}

/// Partitions of a listing.
pub trait PartitionTx {
    /// Adds partitions.
    fn insert_partitions(&mut self, job: JobNo, partitions: &[Partition]) -> StoreResult<()>;
    /// These partitions, and units of these partitions in `steps`, are going to be asked for one by one: a store for which
    /// each question is a journey makes one of it.
    fn foresee(&mut self, _job: JobNo, _steps: &[StepNo], _parts: &[PartNo]) -> StoreResult<()> {
        Ok(())
    }
    /// Partitions cut by the planner (not children of splits) with numbers above `after`, ascending: the first ones,
    /// none left out; fewer than `limit` do not mean that there are no more.
    fn partitions_after(&mut self, job: JobNo, after: PartNo, limit: u32) -> StoreResult<Vec<Partition>>;
    /// These partitions, in the order asked; an unknown number is an error.
    fn partitions(&mut self, job: JobNo, parts: &[PartNo]) -> StoreResult<Vec<Partition>>;
    /// Children split off partitions `first..=last`.
    fn children(&mut self, job: JobNo, first: PartNo, last: PartNo) -> StoreResult<Vec<PartNo>>;
    /// The assets of each partition, in canonical order.
    fn members(&mut self, job: JobNo, partitions: &[Partition]) -> StoreResult<Vec<Vec<Asset>>>;
    /// Notes that `assets` members have been split off a partition.
    fn shrink_partition(&mut self, job: JobNo, part: PartNo, assets: u32) -> StoreResult<()>;
    /// Moves assets out of the partition they were in.
    fn move_assets(&mut self, job: JobNo, to: PartNo, assets: &[String]) -> StoreResult<()>;
    /// Which of these assets have been moved to another partition than `part`.
    fn moved_away(&mut self, job: JobNo, part: PartNo, assets: &[String]) -> StoreResult<Vec<String>>;
}

/// Counters of steps.
pub trait StepTx {
    /// Counters of every step.
    fn steps(&mut self, job: JobNo) -> StoreResult<Vec<StepRow>>;
    /// Adds to a step's counters.
    fn add_to_step(&mut self, job: JobNo, step: StepNo, delta: StepDelta) -> StoreResult<()>;
    /// Moves the cursor of a step whose units are computed.
    fn set_cursor(&mut self, job: JobNo, step: StepNo, part: PartNo) -> StoreResult<()>;
}

/// Units with a history.
pub trait UnitTx {
    /// Rows of these units; `None` for a unit without a history.
    fn units(&mut self, job: JobNo, step: StepNo, parts: &[PartNo]) -> StoreResult<Vec<Option<UnitRow>>>;
    /// Writes rows of units, new or not. Neighbours that this transaction has seen to have none, and that end well at
    /// their first execution, may be kept as one run: each then shows their mean duration.
    fn put_units(&mut self, job: JobNo, step: StepNo, units: &[(PartNo, UnitRow)]) -> StoreResult<()>;
    /// Ready units of a step in partition order.
    fn ready_units(&mut self, job: JobNo, step: StepNo, limit: u32) -> StoreResult<Vec<(PartNo, UnitRow)>>;
    /// Units whose pause is over at `now`.
    fn due_units(&mut self, now: Timestamp, limit: u32) -> StoreResult<Vec<(UnitId, UnitRow)>>;
    /// When the next pause is over.
    fn next_due(&mut self) -> StoreResult<Option<Timestamp>>;
    /// Units of a job in one state, by step and partition, after the given one. Not for `Succeeded`: plain successes may
    /// be kept as runs.
    fn units_in(
        &mut self,
        job: JobNo,
        state: protocol::rules::unit::transition::UnitState,
        after: Option<(StepNo, PartNo)>,
        limit: u32,
    ) -> StoreResult<Vec<(UnitId, UnitRow)>>;
    /// Partitions up to the cursor of `step` that have no row yet: handed out, not heard of again.
    fn computed_out(&mut self, job: JobNo, step: StepNo, limit: u32) -> StoreResult<Vec<PartNo>>;
}

/// Why assets failed.
pub trait FailureTx {
    /// Records why assets failed; replaces what was recorded for the same unit.
    fn put_failures(&mut self, unit: UnitId, failures: &[(String, Failure)]) -> StoreResult<()>;
    /// Why the assets of one unit failed.
    fn failures_of(&mut self, unit: UnitId) -> StoreResult<Vec<(String, Failure)>>;
    /// Recorded failures by step, partition and asset, after the given unit and asset.
    fn failures(&mut self, job: JobNo, limit: u32) -> StoreResult<Vec<FailureRow>>;
}

/// Barrier instances.
pub trait BarrierTx {
    /// Adds members to a barrier instance, which is created when it does not exist; widens its partition range.
    fn add_to_barrier(&mut self, job: JobNo, step: StepNo, grow: &BarrierGrowth) -> StoreResult<()>;
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
    /// How many instances of a barrier step are in each state.
    fn barrier_counts(&mut self, job: JobNo, step: StepNo) -> StoreResult<BarrierCounts>;
    /// Open instances of a step whose partitions have not all been told.
    fn barriers_spreading(&mut self, job: JobNo, step: StepNo, limit: u32) -> StoreResult<Vec<BarrierRow>>;
    /// Writes a barrier instance.
    fn put_barrier(&mut self, job: JobNo, row: &BarrierRow) -> StoreResult<()>;
}

/// The catalogue: what is known of assets across jobs.
pub trait CatalogueTx {
    /// Keeps what was learned about assets of a job in the catalogue.
    fn put_facts(&mut self, job: JobNo, facts: &[AssetFact], now: Timestamp) -> StoreResult<()>;
    /// Catalogue entries in id order after `after`; those of one title when given.
    fn catalogue(&mut self, title: Option<&str>, after: Option<&str>, limit: u32) -> StoreResult<Vec<CatalogueRow>>;
    /// Hashes that these assets have in the catalogue, as far as they are known, in any order.
    fn catalogue_hashes(&mut self, assets: &[&str]) -> StoreResult<Vec<(String, String)>> {
        let mut found = Vec::new();
        for asset in assets {
            let hash = self.catalogue_entry(asset)?.and_then(|entry| entry.fact.hash);
            found.extend(hash.map(|hash| ((*asset).to_owned(), hash)));
        }
        Ok(found)
    }
    /// One catalogue entry.
    fn catalogue_entry(&mut self, asset: &str) -> StoreResult<Option<CatalogueRow>>;
    /// Adds declared assets to the catalogue.
    fn import_assets(&mut self, assets: &[Asset], now: Timestamp) -> StoreResult<()>;
    /// The partition of an asset in a job, and the asset.
    fn find_asset(&mut self, job: JobNo, asset: &str) -> StoreResult<Option<PartNo>>;
}

/// What people are shown, computed where the rows are.
pub trait ViewTx {
    /// Jobs, newest first, older than `before`; only those in `state` when given.
    fn job_views(&mut self, state: Option<JobState>, before: Option<JobNo>, limit: u32) -> StoreResult<Vec<JobRow>>;
    /// Units of a job, with or without a row of their own, by partition and step.
    fn unit_views(&mut self, job: &str, filter: &view::UnitFilter) -> StoreResult<Vec<view::UnitView>>;
}

/// Rows of jobs that this version can read. The others are set aside: they keep their rows, and all other jobs go on.
fn readable<E: std::fmt::Display>(rows: Vec<(i64, Result<JobRow, E>)>) -> Vec<JobRow> {
    static NAMED: Mutex<BTreeSet<i64>> = Mutex::new(BTreeSet::new());
    let mut readable = Vec::with_capacity(rows.len());
    for (no, row) in rows {
        match row {
            Ok(row) => readable.push(row),
            Err(why) if NAMED.lock().insert(no) => {
                tracing::error!(job.no = no, %why, "the row of a job cannot be read by this version and is set aside");
            }
            Err(_) => {}
        }
    }
    readable
}

/// Which rows that could not be used are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowsOf<'a> {
    /// Those of a title.
    Title(&'a str),
    /// Those that would have come among these partitions.
    Parts(PartNo, PartNo),
    /// Those of the job.
    Job,
}

/// The error of a second row for the same asset. Under another title, that title lacks it; its own has it.
fn duplicate(asset: &Asset, line: u64, first: u64, title: &str) -> RowError {
    RowError {
        title: (asset.title != title).then(|| asset.title.clone()),
        line,
        column: Some("asset".into()),
        asset: Some(asset.id.clone()),
        message: format!("asset {:?} is already on line {first}: the first row counts, remove one of them", asset.id),
    }
}
