//! What order and shares are decided by, beyond jobs and counters: learned costs, why a step was passed over, and units
//! with two live executions. Small tables: none has a row a unit.
use super::error::StoreResult;
use protocol::id::{JobNo, Kind, StepNo, UnitId};
use protocol::rules::schedule::cost::Sketch;
use protocol::rules::schedule::wait_reason::WaitReason;
use protocol::rules::storage::multipart::Slice;
use protocol::rules::unit::transition::UnitState;
use protocol::time::Timestamp;
use protocol::wire::unit::Draft;
use std::collections::BTreeMap;

/// Durations of one kind and size class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CostRow {
    /// The kind.
    pub kind: Kind,
    /// The size class, as `rules::schedule::cost::bucket` has it.
    pub size: u8,
    /// What was measured.
    pub sketch: Sketch,
}

/// Why a step's ready units were passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WithheldRow {
    /// The step.
    pub step: StepNo,
    /// Why.
    pub reason: WaitReason,
    /// Since when.
    pub since: Timestamp,
    /// When that changes by time alone, where it does.
    pub until: Option<Timestamp>,
}

/// Which executions of a unit with a speculative copy count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpeculationState {
    /// Either.
    Both,
    /// The older one: the copy is over without a result.
    Older,
    /// None any more: the older one's result was adopted.
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
        [S::Both, S::Older, S::Adopted].into_iter().find(|state| state.as_str() == text)
    }
}

/// A unit that was handed out a second time while its first execution went on. Means something only while `newer` is the
/// epoch of the unit's row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Speculation {
    /// Epoch of the first execution.
    pub older: u32,
    /// Epoch of the copy, which is that of the row.
    pub newer: u32,
    /// Which of them count.
    pub state: SpeculationState,
}

/// Where a unit is whose large assets are carried in slices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CutState {
    /// Its slices are carried; the unit itself is leased, and with nobody.
    Open,
    /// All slices have ended: the unit goes the way of any other.
    Closed,
    /// Its job was cancelled: it is with a worker that aborts what was begun.
    Discarding,
}

impl CutState {
    /// Spelling in SQL.
    pub fn as_str(self) -> &'static str {
        match self {
            CutState::Open => "open",
            CutState::Closed => "closed",
            CutState::Discarding => "discarding",
        }
    }

    /// Reads the spelling of [`CutState::as_str`].
    pub fn parse(text: &str) -> Option<CutState> {
        use CutState as S;
        [S::Open, S::Closed, S::Discarding].into_iter().find(|state| state.as_str() == text)
    }
}

/// A unit whose large assets are carried in slices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CutRow {
    /// The unit.
    pub unit: UnitId,
    /// Where it is.
    pub state: CutState,
    /// Its large assets, as a worker has begun them.
    pub drafts: Vec<Draft>,
}

/// A slice of a unit's large assets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SliceRow {
    /// Which bytes.
    pub slice: Slice,
    /// Where it is.
    pub state: UnitState,
    /// Its fencing token, as a unit has one.
    pub epoch: u32,
    /// Attempts that failed.
    pub attempt: u32,
    /// When its pause ends, while retrying.
    pub due_at: Option<Timestamp>,
    /// What the destination gave for it (an ETag, a checksum): what completion needs.
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
    /// Replaces what is known of a job's withheld steps.
    fn put_withheld(&mut self, job: JobNo, rows: &[WithheldRow]) -> StoreResult<()>;
    /// The speculative copy of a unit.
    fn speculation(&mut self, unit: UnitId) -> StoreResult<Option<Speculation>>;
    /// Speculative copies of a job, by unit.
    fn speculations(&mut self, job: JobNo) -> StoreResult<Vec<(UnitId, Speculation)>>;
    /// Writes what is known of a unit's copy, or forgets it.
    fn put_speculation(&mut self, unit: UnitId, row: Option<Speculation>) -> StoreResult<()>;
    /// Slices of a unit, by number.
    fn slices(&mut self, unit: UnitId) -> StoreResult<Vec<SliceRow>>;
    /// Writes slices of a unit, new or not.
    fn put_slices(&mut self, unit: UnitId, rows: &[SliceRow]) -> StoreResult<()>;
    /// Units that are cut, of all jobs, by job, step and part.
    fn cuts(&mut self) -> StoreResult<Vec<CutRow>>;
    /// Writes that a unit is cut.
    fn put_cut(&mut self, row: &CutRow) -> StoreResult<()>;
    /// Forgets that a unit was cut, and its slices.
    fn forget_cut(&mut self, unit: UnitId) -> StoreResult<()>;
}

/// The tables in memory.
#[derive(Debug, Clone, Default)]
pub(super) struct Kept {
    pub(super) costs: BTreeMap<(Kind, u8), Sketch>,
    pub(super) withheld: BTreeMap<(JobNo, StepNo), WithheldRow>,
    pub(super) speculations: BTreeMap<UnitId, Speculation>,
    pub(super) slices: BTreeMap<(UnitId, u32), SliceRow>,
    pub(super) cuts: BTreeMap<UnitId, CutRow>,
}

impl Kept {
    pub(super) fn forget_job(&mut self, job: JobNo) {
        self.withheld.retain(|(no, _), _| *no != job);
        self.speculations.retain(|unit, _| unit.job != job);
        self.slices.retain(|(unit, _), _| unit.job != job);
        self.cuts.retain(|unit, _| unit.job != job);
    }
}
