//! Jobs and their workflows.
#[cfg(any(test, feature = "testing"))]
pub(crate) mod conformance;
mod memory;
mod postgres;
pub(crate) mod sql;
mod sqlite;

use crate::error::StoreResult;
use parking_lot::Mutex;
use protocol::id::{JobNo, PartNo};
use protocol::model::priority::Priority;
use protocol::model::scan_cursor::ScanCursor;
use protocol::time::Timestamp;
use protocol::workflow::Workflow;
use std::collections::{BTreeMap, BTreeSet};

/// A job to be added.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// Public id of the job.
    pub id: String,
    /// The compiled workflow.
    pub workflow: Workflow,
    /// Digest of the job file and the files it refers to. `run` resumes an interrupted job of the same digest.
    pub digest: String,
    /// When it was submitted.
    pub submitted_at: Timestamp,
    /// Digest of the idempotency key of the submission, where there was one.
    pub submission: Option<String>,
}

/// State of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobState {
    /// Units are dispatched and executed.
    Running,
    /// No new units are dispatched.
    Paused,
    /// Cancelled on request; leased units are being revoked.
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
    /// Every state of a job.
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

    /// Whether the job has ended.
    pub fn has_ended(self) -> bool {
        !matches!(
            self,
            JobState::Running | JobState::Paused | JobState::Cancelling
        )
    }
}

/// Progress of a job's library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The library is being listed.
    Scanning,
    /// The library is listed; partitions are being planned.
    Planning,
    /// Every partition is planned; only splits add units.
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
        [Phase::Scanning, Phase::Planning, Phase::Sealed]
            .into_iter()
            .find(|p| p.as_str() == text)
    }
}

/// A job without its workflow.
#[derive(Debug, Clone, PartialEq)]
pub struct JobRow {
    /// Number of the job in this database.
    pub no: JobNo,
    /// Public id of the job.
    pub id: String,
    /// Name from the job file.
    pub name: String,
    /// Digest of what was submitted.
    pub digest: String,
    /// State of the job.
    pub state: JobState,
    /// Progress of its library.
    pub phase: Phase,
    /// Priority class; an operator may change it while the job runs.
    pub priority: Priority,
    /// The tenant that the work belongs to.
    pub tenant: String,
    /// Deadline; an operator may change it while the job runs.
    pub deadline: Option<Timestamp>,
    /// When it was submitted.
    pub submitted_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Number and start of the next scan page.
    pub scan: ScanCursor,
    /// The last listed key of a bucket.
    pub scan_after: Option<String>,
    /// Epoch of the scan unit; 0 before it was first published.
    pub scan_epoch: u32,
    /// Failed attempts of the scan.
    pub scan_attempt: u32,
    /// The last planned asset, in canonical order (title, id).
    pub plan_after: Option<(String, String)>,
    /// Number of listed assets.
    pub assets: u64,
    /// Declared bytes of the listed assets.
    pub bytes_declared: u64,
    /// Bytes of media that steps have read or moved.
    pub bytes: u64,
    /// Number of QC judgements of assets.
    pub judged: u64,
    /// Number of judgements that decoded media, because no complete fact sheet of the bytes was known.
    pub decoded: u64,
    /// Results of its transfers.
    pub carried: Carried,
    /// Number of library rows that cannot be used.
    pub row_errors: u64,
    /// Highest partition number in use, including children of splits.
    pub parts: PartNo,
    /// Highest planned partition number.
    pub parts_planned: PartNo,
    /// Why the job failed as a whole, where it did.
    pub message: Option<String>,
}

/// Results of the transfers of a job; an asset counts once for each transfer. Copies count with the attempt that made them,
/// landed assets with the attempt that ended their unit. The difference was at the destination before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Carried {
    /// Number of copied assets.
    pub copied: u64,
    /// Bytes of the copied assets.
    pub copied_bytes: u64,
    /// Number of assets with a verified copy at the destination.
    pub landed: u64,
    /// Bytes of the landed assets.
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

/// Jobs and their workflows.
pub trait JobTx {
    /// Adds a job with its steps at zero; returns its number.
    fn insert_job(&mut self, job: &NewJob) -> StoreResult<JobNo>;
    /// One job by its number.
    fn job(&mut self, no: JobNo) -> StoreResult<Option<JobRow>>;
    /// One job by its public id.
    fn job_by_id(&mut self, id: &str) -> StoreResult<Option<JobRow>>;
    /// One job by its submission.
    fn job_of_submission(&mut self, submission: &str) -> StoreResult<Option<JobRow>>;
    /// Jobs, newest first; only open ones when `open`. An unreadable row is omitted and logged once.
    fn jobs(&mut self, open: bool, limit: u32) -> StoreResult<Vec<JobRow>>;
    /// Writes a job without its workflow.
    fn update_job(&mut self, job: &JobRow) -> StoreResult<()>;
    /// The workflow of a job.
    fn workflow(&mut self, no: JobNo) -> StoreResult<Workflow>;
}

/// The rows of jobs that this version can read. Other rows stay in the database and do not stop other jobs.
pub(crate) fn readable<E: std::fmt::Display>(rows: Vec<(i64, Result<JobRow, E>)>) -> Vec<JobRow> {
    static NAMED: Mutex<BTreeSet<i64>> = Mutex::new(BTreeSet::new());
    let mut readable = Vec::with_capacity(rows.len());
    for (no, row) in rows {
        match row {
            Ok(row) => readable.push(row),
            Err(why) if NAMED.lock().insert(no) => {
                tracing::error!(job.no = no, %why, "the row of a job cannot be read by this version; the job is skipped");
            }
            Err(_) => {}
        }
    }
    readable
}

/// Jobs in memory.
#[derive(Debug, Clone, Default)]
pub(crate) struct Table {
    pub(crate) jobs: BTreeMap<JobNo, (JobRow, Workflow)>,
    pub(crate) submissions: BTreeMap<String, JobNo>,
}
