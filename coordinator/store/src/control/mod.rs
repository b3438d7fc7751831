//! What operators and the coordinator's own judgement leave behind: operations, causes of failures, losses of workers,
//! and the workers themselves. Exceptional facts have tables of their own; the row of a unit knows nothing of them.
#[cfg(any(test, feature = "testing"))]
pub(super) mod conformance;
mod memory;

pub use memory::Controlled;

use super::{FailureRow, StoreResult};
use protocol::id::{JobNo, StepNo, UnitId};
use protocol::rules::review::waiver::{Scope, Waiver};
use protocol::rules::unit::fingerprint::fingerprint;
use protocol::time::Timestamp;

/// One thing an operator asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct OperationRow {
    /// Its number; 0 until it is stored.
    pub no: i64,
    /// When it was asked for.
    pub at: Timestamp,
    /// Who asked.
    pub actor: String,
    /// What (`retry`, `redrive`, `pause`, …).
    pub action: String,
    /// The job, when it is about one.
    pub job: Option<JobNo>,
    /// Terms of the selection, one a line, for people and for the version before.
    pub filter: String,
    /// What it is to do, as JSON; `None` for what was done at once or recorded by the version before.
    pub plan: Option<String>,
    /// How far it is, as JSON; `None` while nothing has to be remembered.
    pub progress: Option<String>,
    /// Why it ended before its time.
    pub message: Option<String>,
    /// Why, in the operator's words.
    pub reason: String,
    /// Units the selection matched.
    pub matched: u64,
    /// Of those, what could be acted on.
    pub eligible: u64,
    /// Units acted on so far.
    pub done: u64,
    /// Where it is.
    pub state: OperationState,
    /// Units a second, when it is carried out bit by bit. One that cannot be read is no number (NaN), never none at all.
    pub rate: Option<f64>,
    /// The last unit it looked at.
    pub after: Option<UnitId>,
    /// When it acted last, or went on after a pause.
    pub paced_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

/// Where an operation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OperationState {
    /// Being carried out.
    Running,
    /// Stands still until an operator resumes it.
    Paused,
    /// Carried out.
    Done,
    /// Ended by an operator.
    Aborted,
}

impl OperationState {
    /// Every state.
    pub const ALL: [OperationState; 4] =
        [OperationState::Running, OperationState::Paused, OperationState::Done, OperationState::Aborted];

    /// Spelling in SQL, API and CLI.
    pub fn as_str(self) -> &'static str {
        match self {
            OperationState::Running => "running",
            OperationState::Paused => "paused",
            OperationState::Done => "done",
            OperationState::Aborted => "aborted",
        }
    }

    /// Reads the spelling of [`OperationState::as_str`].
    pub fn parse(text: &str) -> Option<OperationState> {
        OperationState::ALL.into_iter().find(|s| s.as_str() == text)
    }
}

/// Dead letters of one cause in one step of one job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CauseRow {
    /// Fingerprint.
    pub cause: String,
    /// The job.
    pub job: JobNo,
    /// The step's number.
    pub step: StepNo,
    /// Reason code.
    pub reason: String,
    /// Error class.
    pub class: String,
    /// The message of one of them.
    pub example: String,
    /// Dead units.
    pub units: i64,
    /// Failed assets in them.
    pub assets: i64,
    /// When the first died.
    pub first_at: Timestamp,
    /// When the last died.
    pub last_at: Timestamp,
}

/// A recorded decision to let something stand: what failed of a cause, or what a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaiverRow {
    /// What it is about.
    pub scope: Scope,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// Until when it holds.
    pub until: Option<Timestamp>,
}

impl WaiverRow {
    /// As the rule takes it.
    pub fn rule(&self) -> Waiver {
        Waiver { scope: self.scope.clone(), until: self.until }
    }
}

/// A worker that fell silent while it held a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LossRow {
    /// The unit.
    pub unit: UnitId,
    /// The epoch it was out under.
    pub epoch: u32,
    /// The worker.
    pub worker: String,
    /// Whether nothing else ran in that worker.
    pub alone: bool,
    /// When it was taken back.
    pub at: Timestamp,
}

/// A worker as the store knows it: written by the leader every few seconds, its order by operators and by quarantine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerRow {
    /// Its incarnation.
    pub name: String,
    /// Slots by kind, as `kind=busy/total` separated by commas.
    pub slots: String,
    /// Units it holds.
    pub held: u64,
    /// When it was heard of last.
    pub heard_at: Timestamp,
    /// What it says of itself: `working` or `draining`.
    pub state: String,
    /// What it was told, when it was told anything.
    pub order: Option<WorkerOrder>,
}

/// What a worker was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerOrder {
    /// `drain` (an operator's) or `quarantine`.
    pub what: String,
    /// Who.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// Everything of this part.
pub trait ControlTx: OperationTx + CauseTx + LossTx + WorkerTx + CorrectionTx {}

impl<T: OperationTx + CauseTx + LossTx + WorkerTx + CorrectionTx> ControlTx for T {}

/// Corrected input of an asset of a job; what is `None` stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AssetCorrection {
    /// The asset.
    pub asset: String,
    /// Where it is.
    pub location: Option<String>,
    /// Its hash, as `algorithm:digest`.
    pub hash: Option<String>,
    /// Its size.
    pub bytes: Option<u64>,
}

/// Corrections of a listing.
pub trait CorrectionTx {
    /// Corrects what a job's listing says of assets.
    fn correct_assets(&mut self, job: JobNo, corrections: &[AssetCorrection]) -> StoreResult<()>;
}

/// Operations.
pub trait OperationTx {
    /// Adds an operation; returns its number.
    fn insert_operation(&mut self, operation: &OperationRow) -> StoreResult<i64>;
    /// One operation.
    fn operation(&mut self, no: i64) -> StoreResult<Option<OperationRow>>;
    /// Operations, newest first, those of one job when given.
    fn operations(&mut self, job: Option<JobNo>, limit: u32) -> StoreResult<Vec<OperationRow>>;
    /// Operations being carried out, oldest first.
    fn running_operations(&mut self, limit: u32) -> StoreResult<Vec<OperationRow>>;
    /// Writes an operation.
    fn update_operation(&mut self, operation: &OperationRow) -> StoreResult<()>;
    /// Keeps corrected input, as JSON, beside an operation that needs it; forgets it when there is none.
    fn put_operation_input(&mut self, operation: i64, input: Option<&str>) -> StoreResult<()>;
    /// Corrected input of an operation.
    fn operation_input(&mut self, operation: i64) -> StoreResult<Option<String>>;
}

/// Dead letters by cause.
pub trait CauseTx {
    /// Adds to counts of causes: a row is made when there is none, and gone when no unit is left.
    fn add_to_causes(&mut self, changes: &[CauseRow]) -> StoreResult<()>;
    /// Causes with the latest first, those of one job or one fingerprint when given.
    fn causes(&mut self, job: Option<JobNo>, cause: Option<&str>, limit: u32) -> StoreResult<Vec<CauseRow>>;
    /// Recorded failures of one job, or of one cause across jobs, by job, step, partition and asset after the given
    /// unit and asset.
    fn failures_after(
        &mut self,
        job: Option<JobNo>,
        cause: Option<&str>,
        after: Option<(UnitId, &str)>,
        limit: u32,
    ) -> StoreResult<Vec<FailureRow>>;
    /// Records a waiver, in place of an earlier one of the same scope.
    fn put_waiver(&mut self, waiver: &WaiverRow) -> StoreResult<()>;
    /// Waivers by the key of their scope.
    fn waivers(&mut self) -> StoreResult<Vec<WaiverRow>>;
}

/// Workers lost with a unit in hand.
pub trait LossTx {
    /// Records losses; one already recorded is ignored.
    fn put_losses(&mut self, losses: &[LossRow]) -> StoreResult<()>;
    /// Losses of these units, by unit and epoch.
    fn losses(&mut self, units: &[UnitId]) -> StoreResult<Vec<LossRow>>;
    /// Units that at least `workers` different workers were lost with, at most `limit`.
    fn suspects(&mut self, workers: u32, limit: u32) -> StoreResult<Vec<UnitId>>;
    /// Forgets the losses of units: somebody has looked at them.
    fn forget_losses(&mut self, units: &[UnitId]) -> StoreResult<()>;
}

/// Workers.
pub trait WorkerTx {
    /// Writes how workers are; their orders stay as they are.
    fn put_workers(&mut self, workers: &[WorkerRow]) -> StoreResult<()>;
    /// Workers by name.
    fn workers(&mut self) -> StoreResult<Vec<WorkerRow>>;
    /// Writes what a worker was told; nothing when it is free again. False when there is no such worker.
    fn put_order(&mut self, worker: &str, order: Option<&WorkerOrder>) -> StoreResult<bool>;
    /// Forgets workers not heard of since `before`.
    fn forget_workers(&mut self, before: Timestamp) -> StoreResult<()>;
}
