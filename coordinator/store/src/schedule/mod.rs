//! What the scheduler stores: learned costs, steps that were passed over, speculative copies, and units whose large assets
//! are transferred in slices. The tables are small: none has a row for each unit.
#[cfg(any(test, feature = "testing"))]
pub(crate) mod conformance;
mod memory;
mod sql;

use crate::error::StoreResult;
use protocol::id::{JobNo, Kind, StepNo, UnitId};
use protocol::rules::schedule::cost::Sketch;
use protocol::rules::schedule::wait_reason::WaitReason;
use protocol::rules::storage::multipart::Slice;
use protocol::rules::unit::transition::UnitState;
use protocol::time::Timestamp;
use protocol::wire::step::multipart::OpenUpload;
use std::collections::BTreeMap;

/// Measured durations of one kind and size class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CostRow {
    /// Kind of the units.
    pub kind: Kind,
    /// The size class of `rules::schedule::cost::bucket`.
    pub size: u8,
    /// Distribution of the durations.
    pub sketch: Sketch,
}

/// Why a step's ready units were passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WithheldRow {
    /// Number of the step.
    pub step: StepNo,
    /// Why the step is passed over.
    pub reason: WaitReason,
    /// Since when the step is passed over.
    pub since: Timestamp,
    /// When the reason ends by itself, where it does.
    pub until: Option<Timestamp>,
}

/// Which executions of a unit with a speculative copy count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpeculationState {
    /// Both executions count.
    Both,
    /// The older one: the copy ended without a result.
    Older,
    /// Neither: the result of the older one was adopted.
    Adopted,
}

impl SpeculationState {
    /// Spelling in SQL.
    pub fn as_str(self) -> &'static str {
        match self {
            SpeculationState::Both => "both",
            SpeculationState::Older => "older",
            SpeculationState::Adopted => "adopted",
        }
    }

    /// Reads the spelling of [`SpeculationState::as_str`].
    pub fn parse(text: &str) -> Option<SpeculationState> {
        use SpeculationState as S;
        [S::Both, S::Older, S::Adopted]
            .into_iter()
            .find(|state| state.as_str() == text)
    }
}

/// A unit that was dispatched a second time while its first execution was running. Valid only while `newer` is the epoch
/// of the unit's row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Speculation {
    /// Epoch of the first execution.
    pub older: u32,
    /// Epoch of the copy and of the row.
    pub newer: u32,
    /// Which of them count.
    pub state: SpeculationState,
}

/// State of a unit whose large assets are transferred in slices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MultipartState {
    /// Its slices are being transferred; the unit stays leased without a worker.
    Open,
    /// All slices have ended: the unit is handled as any other.
    Closed,
    /// Its job was cancelled: a worker aborts the open uploads.
    Discarding,
}

impl MultipartState {
    /// Spelling in SQL.
    pub fn as_str(self) -> &'static str {
        match self {
            MultipartState::Open => "open",
            MultipartState::Closed => "closed",
            MultipartState::Discarding => "discarding",
        }
    }

    /// Reads the spelling of [`MultipartState::as_str`].
    pub fn parse(text: &str) -> Option<MultipartState> {
        use MultipartState as S;
        [S::Open, S::Closed, S::Discarding]
            .into_iter()
            .find(|state| state.as_str() == text)
    }
}

/// A unit whose large assets are transferred in slices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MultipartRow {
    /// The unit that is divided.
    pub unit: UnitId,
    /// State of the unit.
    pub state: MultipartState,
    /// The open uploads of its large assets.
    pub open_uploads: Vec<OpenUpload>,
}

/// A slice of a unit's large assets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SliceRow {
    /// The range of bytes.
    pub slice: Slice,
    /// State of the slice.
    pub state: UnitState,
    /// Its fencing token, like that of a unit.
    pub epoch: u32,
    /// Attempts that failed.
    pub attempt: u32,
    /// When its backoff ends, while retrying.
    pub due_at: Option<Timestamp>,
    /// The receipt of the destination (an ETag, a checksum), which the completion needs.
    pub receipt: Option<String>,
}

/// Costs, withheld steps, speculative copies and slices.
pub trait ScheduleTx {
    /// Every learned cost, by kind and size.
    fn costs(&mut self) -> StoreResult<Vec<CostRow>>;
    /// Writes learned costs.
    fn put_costs(&mut self, rows: &[CostRow]) -> StoreResult<()>;
    /// Steps of a job whose ready units are passed over, by step.
    fn withheld(&mut self, job: JobNo) -> StoreResult<Vec<WithheldRow>>;
    /// Replaces the withheld steps of a job.
    fn put_withheld(&mut self, job: JobNo, rows: &[WithheldRow]) -> StoreResult<()>;
    /// The speculative copy of a unit.
    fn speculation(&mut self, unit: UnitId) -> StoreResult<Option<Speculation>>;
    /// Speculative copies of a job, by unit.
    fn speculations(&mut self, job: JobNo) -> StoreResult<Vec<(UnitId, Speculation)>>;
    /// Writes the speculative copy of a unit, or removes it.
    fn put_speculation(&mut self, unit: UnitId, row: Option<Speculation>) -> StoreResult<()>;
    /// Slices of a unit, by number.
    fn slices(&mut self, unit: UnitId) -> StoreResult<Vec<SliceRow>>;
    /// Writes slices of a unit, new or not.
    fn put_slices(&mut self, unit: UnitId, rows: &[SliceRow]) -> StoreResult<()>;
    /// Units with slices, of all jobs, by job, step and part.
    fn multipart_units(&mut self) -> StoreResult<Vec<UnitId>>;
    /// The row of a unit with slices.
    fn multipart(&mut self, unit: UnitId) -> StoreResult<Option<MultipartRow>>;
    /// Writes a unit with slices.
    fn put_multipart(&mut self, row: &MultipartRow) -> StoreResult<()>;
    /// Removes a unit with slices, and the slices.
    fn forget_multipart(&mut self, unit: UnitId) -> StoreResult<()>;
}

/// The tables of the scheduler in memory.
#[derive(Debug, Clone, Default)]
pub(crate) struct Table {
    costs: BTreeMap<(Kind, u8), Sketch>,
    withheld: BTreeMap<(JobNo, StepNo), WithheldRow>,
    speculations: BTreeMap<UnitId, Speculation>,
    slices: BTreeMap<UnitId, SliceRow>,
    multiparts: BTreeMap<UnitId, MultipartRow>,
}

impl Table {
    /// Removes the rows of a job.
    pub(crate) fn forget_job(&mut self, job: JobNo) {
        self.withheld.retain(|(no, _), _| *no != job);
        self.speculations.retain(|unit, _| unit.job != job);
        self.slices.retain(|slice, _| slice.job != job);
        self.multiparts.retain(|unit, _| unit.job != job);
    }
}
