//! Rows as services see them, the same over every database.
use super::cost;
use protocol::failure::Failure;
use protocol::id::{JobNo, PartNo, StepNo, UnitId};
use protocol::media::asset::{Asset, AssetFact};
use protocol::model::priority::Priority;
use protocol::rules::barrier::Tally;
use protocol::rules::unit::transition::UnitState;
use protocol::time::Timestamp;
use protocol::wire::report::RowError;
use protocol::wire::unit::ScanCursor;
use protocol::workflow::Workflow;

/// A job to be added.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// Public id.
    pub id: String,
    /// The compiled workflow.
    pub workflow: Workflow,
    /// Digest of the job file and what it refers to: an interrupted `run` of the same digest is carried on.
    pub digest: String,
    /// When it was submitted.
    pub submitted_at: Timestamp,
    /// Digest of the idempotency key it was handed in with, when there was one.
    pub submission: Option<String>,
}

/// State of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobState {
    /// Under way.
    Running,
    /// No new units are handed out.
    Paused,
    /// Cancelled on request; units out are being called back.
    Cancelling,
    /// Every unit succeeded.
    Succeeded,
    /// Ended; some units are dead or could not run.
    FinishedWithFailures,
    /// Ended by cancellation.
    Cancelled,
    /// Ended because its library could not be listed.
    Failed,
}

impl JobState {
    /// Every state.
    pub const ALL: [JobState; 7] = [
        JobState::Running,
        JobState::Paused,
        JobState::Cancelling,
        JobState::Succeeded,
        JobState::FinishedWithFailures,
        JobState::Cancelled,
        JobState::Failed,
    ];

    /// Spelling in SQL, API and CLI.
    pub fn as_str(self) -> &'static str {
        match self {
            JobState::Running => "running",
            JobState::Paused => "paused",
            JobState::Cancelling => "cancelling",
            JobState::Succeeded => "succeeded",
            JobState::FinishedWithFailures => "finished_with_failures",
            JobState::Cancelled => "cancelled",
            JobState::Failed => "failed",
        }
    }

    /// Reads the spelling of [`JobState::as_str`].
    pub fn parse(text: &str) -> Option<JobState> {
        JobState::ALL.into_iter().find(|s| s.as_str() == text)
    }

    /// Whether the job is over.
    pub fn has_ended(self) -> bool {
        !matches!(self, JobState::Running | JobState::Paused | JobState::Cancelling)
    }
}

/// How far a job's library is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Being listed.
    Scanning,
    /// Listed; partitions are being cut.
    Planning,
    /// Every partition is cut; no unit will be added but by splits.
    Sealed,
}

impl Phase {
    /// Spelling in SQL.
    pub fn as_str(self) -> &'static str {
        match self {
            Phase::Scanning => "scanning",
            Phase::Planning => "planning",
            Phase::Sealed => "sealed",
        }
    }

    /// Reads the spelling of [`Phase::as_str`].
    pub fn parse(text: &str) -> Option<Phase> {
        [Phase::Scanning, Phase::Planning, Phase::Sealed].into_iter().find(|p| p.as_str() == text)
    }
}

/// A job without its workflow.
#[derive(Debug, Clone, PartialEq)]
pub struct JobRow {
    /// Number.
    pub no: JobNo,
    /// Public id.
    pub id: String,
    /// Name from the job file.
    pub name: String,
    /// Digest of what was submitted.
    pub digest: String,
    /// State.
    pub state: JobState,
    /// How far its library is.
    pub phase: Phase,
    /// Class; an operator may change it while the job runs.
    pub priority: Priority,
    /// Who the work is for.
    pub tenant: String,
    /// When it must be finished; an operator may change it while the job runs.
    pub deadline: Option<Timestamp>,
    /// When it was submitted.
    pub submitted_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Number of the next scan page, and where it starts.
    pub scan: ScanCursor,
    /// The key up to which a bucket has been listed.
    pub scan_after: Option<String>,
    /// Epoch of the scan unit; 0 before it was first published.
    pub scan_epoch: u32,
    /// Failed attempts of the scan.
    pub scan_attempt: u32,
    /// Last asset the planner took, in canonical order (title, id).
    pub plan_after: Option<(String, String)>,
    /// Assets listed.
    pub assets: u64,
    /// Their declared bytes.
    pub bytes_declared: u64,
    /// Bytes of media that steps have read or moved.
    pub bytes: u64,
    /// Assets judged, each as often as it was.
    pub judged: u64,
    /// Of those, such whose media had to be decoded: nothing was known of their bytes, or not enough.
    pub decoded: u64,
    /// What its transfers did.
    pub carried: Carried,
    /// Rows of the library that could not be used.
    pub row_errors: u64,
    /// Highest partition number in use, children of splits included.
    pub parts: PartNo,
    /// Highest partition number the planner cut.
    pub parts_planned: PartNo,
    /// Why the job failed as a whole, when it did.
    pub message: Option<String>,
}

/// What the transfers of a job did, an asset counted once for each of them. What was copied counts with the attempt that
/// copied it, what has landed with the attempt that ended its unit: the difference was at the destination before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Carried {
    /// Assets written.
    pub copied: u64,
    /// Their bytes.
    pub copied_bytes: u64,
    /// Assets whose verified copy is at the destination.
    pub landed: u64,
    /// Their bytes.
    pub landed_bytes: u64,
}

impl std::ops::Add for Carried {
    type Output = Carried;

    fn add(self, more: Carried) -> Carried {
        Carried {
            copied: self.copied.saturating_add(more.copied),
            copied_bytes: self.copied_bytes.saturating_add(more.copied_bytes),
            landed: self.landed.saturating_add(more.landed),
            landed_bytes: self.landed_bytes.saturating_add(more.landed_bytes),
        }
    }
}

/// What appending a page did.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Appended {
    /// New assets.
    pub assets: u64,
    /// Their declared bytes.
    pub bytes: u64,
    /// Duplicates.
    pub errors: Vec<RowError>,
}

/// A partition: a run of the canonical order, or what a split took out of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// Its number.
    pub part: PartNo,
    /// Title of every member; empty when partitions do not follow titles.
    pub title: String,
    /// First member.
    pub first: String,
    /// Last member.
    pub last: String,
    /// Members.
    pub assets: u32,
    /// Their declared bytes.
    pub bytes: u64,
    /// The planned partition it was split off, 0 for planned ones.
    pub parent: PartNo,
    /// Whether assets have been split off it.
    pub split: bool,
}

impl Partition {
    /// The planned partition it is or was split off: what batch barriers count by.
    pub fn origin(&self) -> PartNo {
        if self.parent == 0 { self.part } else { self.parent }
    }
}

/// Counters of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepRow {
    /// Its number.
    pub step: StepNo,
    /// Units, as far as planned.
    pub total: u64,
    /// Ended well.
    pub succeeded: u64,
    /// Ended badly.
    pub dead: u64,
    /// Will not run.
    pub cancelled: u64,
    /// Rows that are ready, leased or retrying.
    pub live: u64,
    /// Of those, retrying.
    pub retrying: u64,
    /// Computed units up to this partition have been handed out.
    pub cursor: PartNo,
    /// Microseconds of execution, summed.
    pub busy_us: u64,
    /// Executions reported.
    pub executions: u64,
}

impl StepRow {
    /// Takes a change in. More cannot end than there are: a counter that would go below zero stays at zero and is counted.
    pub(crate) fn add(&mut self, delta: StepDelta) {
        let fields = [
            (&mut self.total, delta.total),
            (&mut self.succeeded, delta.succeeded),
            (&mut self.dead, delta.dead),
            (&mut self.cancelled, delta.cancelled),
            (&mut self.live, delta.live),
            (&mut self.retrying, delta.retrying),
            (&mut self.busy_us, delta.busy_us),
            (&mut self.executions, delta.executions),
        ];
        for (count, change) in fields {
            let sum = count.checked_add_signed(change);
            cost::counts(sum.is_some(), || format!("a counter of step {} would go below 0", self.step.0));
            *count = count.saturating_add_signed(change);
        }
    }
}

/// A change of a step's counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StepDelta {
    /// See [`StepRow::total`].
    pub total: i64,
    /// See [`StepRow::succeeded`].
    pub succeeded: i64,
    /// See [`StepRow::dead`].
    pub dead: i64,
    /// See [`StepRow::cancelled`].
    pub cancelled: i64,
    /// See [`StepRow::live`].
    pub live: i64,
    /// See [`StepRow::retrying`].
    pub retrying: i64,
    /// See [`StepRow::busy_us`].
    pub busy_us: i64,
    /// See [`StepRow::executions`].
    pub executions: i64,
}

impl StepDelta {
    /// The change one unit makes by going from one state (`None`: no row) to another.
    pub fn transition(from: Option<UnitState>, to: UnitState) -> StepDelta {
        let mut delta = StepDelta::default();
        if let Some(from) = from {
            delta.count(from, -1);
        }
        delta.count(to, 1);
        delta
    }

    fn count(&mut self, state: UnitState, n: i64) {
        match state {
            UnitState::Planned => {}
            UnitState::Ready | UnitState::Leased => self.live += n,
            UnitState::Retrying => {
                self.live += n;
                self.retrying += n;
            }
            UnitState::Succeeded => self.succeeded += n,
            UnitState::Dead => self.dead += n,
            UnitState::Cancelled => self.cancelled += n,
        }
    }

    /// Whether some counter becomes less.
    pub(crate) fn is_less(&self) -> bool {
        let counts = [self.total, self.succeeded, self.dead, self.cancelled, self.live, self.retrying];
        counts.into_iter().any(|change| change < 0)
    }

    /// Adds another change to this one.
    pub fn add(&mut self, other: StepDelta) {
        self.total += other.total;
        self.succeeded += other.succeeded;
        self.dead += other.dead;
        self.cancelled += other.cancelled;
        self.live += other.live;
        self.retrying += other.retrying;
        self.busy_us = self.busy_us.saturating_add(other.busy_us);
        self.executions += other.executions;
    }
}

/// A unit with a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnitRow {
    /// Where it is.
    pub state: UnitState,
    /// Its fencing token: of its current execution when leased, of its last otherwise.
    pub epoch: u32,
    /// Attempts that failed.
    pub attempt: u32,
    /// When its pause ends, while retrying.
    pub due_at: Option<Timestamp>,
    /// Microseconds of its last execution.
    pub duration_us: u64,
}

/// Why an asset failed in a step.
#[derive(Debug, Clone, PartialEq)]
pub struct FailureRow {
    /// The unit.
    pub unit: UnitId,
    /// State of that unit.
    pub state: UnitState,
    /// The asset; empty when the unit failed as a whole.
    pub asset: String,
    /// Title of the asset.
    pub title: String,
    /// Role of the asset; empty when the unit failed as a whole.
    pub role: String,
    /// Why.
    pub failure: Failure,
}

/// State of a barrier instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum BarrierState {
    /// Counting.
    Waiting,
    /// Open.
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
        [BarrierState::Waiting, BarrierState::Released, BarrierState::Held].into_iter().find(|s| s.as_str() == text)
    }
}

/// Members added to a barrier instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BarrierGrowth {
    /// Title, batch number or empty for the job.
    pub key: String,
    /// Members added.
    pub members: u64,
    /// Of those, members that have failed already: rows that cannot be used.
    pub failed: u64,
    /// Lowest partition among them.
    pub first: PartNo,
    /// Highest partition among them; below the lowest when there is none.
    pub last: PartNo,
}

/// The range of partitions over two ranges, of which either may be empty.
pub(super) fn span(a: (PartNo, PartNo), b: (PartNo, PartNo)) -> (PartNo, PartNo) {
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
    /// Members.
    pub total: u64,
    /// Members that succeeded.
    pub succeeded: u64,
    /// Members that failed.
    pub failed: u64,
    /// State.
    pub state: BarrierState,
    /// Planned partitions up to this one have been told that it opened.
    pub spread: PartNo,
    /// When it opened.
    pub released_at: Option<Timestamp>,
}

impl BarrierRow {
    /// Its counts as the barrier rule takes them.
    pub fn tally(&self, sealed: bool) -> Tally {
        Tally { total: self.total, succeeded: self.succeeded, failed: self.failed, sealed }
    }
}

/// How many instances of a barrier step are in each state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BarrierCounts {
    /// All instances.
    pub total: u64,
    /// Open ones.
    pub released: u64,
    /// Those that cannot open by themselves.
    pub held: u64,
    /// Open ones whose partitions have not all been told.
    pub spreading: u64,
}

/// An asset as the catalogue knows it.
#[derive(Debug, Clone, PartialEq)]
pub struct CatalogueRow {
    /// The asset as its last source declared it.
    pub asset: Asset,
    /// What steps learned.
    pub fact: AssetFact,
    /// When that was.
    pub updated_at: Timestamp,
}

/// Who leads a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leader {
    /// Number of the term.
    pub generation: i64,
    /// The incarnation that holds the lease, as it named itself.
    pub holder: String,
}
