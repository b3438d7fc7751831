//! What was measured of media by the hash of its bytes, what was judged, and what people must decide.
#[cfg(any(test, feature = "testing"))]
pub(super) mod conformance;
mod memory;

pub use memory::Reworked;

use super::StoreResult;
use protocol::id::{JobNo, UnitId};
use protocol::rules::review::task::{TaskKind, TaskState};
use protocol::time::Timestamp;

/// A fact sheet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SheetRow {
    /// Hash of the bytes, `xxh128:hex`.
    pub hash: String,
    /// The sheet as JSON: with its version and those of the programs that measured.
    pub sheet: String,
    /// When it was measured, or added to.
    pub measured_at: Timestamp,
}

/// What bytes were judged as, by a policy and for an asset: what an asset's source declares is judged with them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerdictRow {
    /// Hash of the bytes.
    pub hash: String,
    /// Digest of the policy.
    pub digest: String,
    /// The asset.
    pub asset: String,
    /// Name of the policy.
    pub policy: String,
    /// `pass`, `fail` or `tool_error`.
    pub verdict: String,
    /// The report as JSON.
    pub report: String,
    /// The job that judged last.
    pub job: JobNo,
    /// When.
    pub judged_at: Timestamp,
}

/// Something a person must decide, or has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskRow {
    /// Its number; 0 until it is stored.
    pub no: i64,
    /// Its sort.
    pub kind: TaskKind,
    /// Where it is.
    pub state: TaskState,
    /// What it is about: one task of a kind is pending about it at a time.
    pub subject: String,
    /// The unit that waits for it.
    pub unit: UnitId,
    /// The asset; the first one, when the unit has several.
    pub asset: String,
    /// Its title.
    pub title: String,
    /// Who delivered it, where the library says so.
    pub supplier: Option<String>,
    /// Name of the delivery spec; of an approval the role that is asked.
    pub policy: String,
    /// Digest of the delivery spec; empty for approvals.
    pub digest: String,
    /// Hash of the bytes it is about; empty where they are not known.
    pub hash: String,
    /// Ids of the checks that stand in the way.
    pub checks: Vec<String>,
    /// Findings as JSON.
    pub findings: Option<String>,
    /// What is wrong, or what is asked.
    pub message: String,
    /// Deliveries so far.
    pub round: u32,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// When it should be decided.
    pub due_at: Option<Timestamp>,
    /// When it was done with.
    pub ended_at: Option<Timestamp>,
}

/// Something that happened to a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskEventRow {
    /// The task.
    pub task: i64,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: String,
    /// `opened`, `renewed`, `redelivered`, `approve`, `reject`, `waive` or `closed`.
    pub event: String,
    /// Why.
    pub reason: String,
    /// Hash of the bytes it was about.
    pub hash: String,
}

/// Which tasks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskFilter {
    /// Only pending ones.
    pub pending: bool,
    /// Only of this kind.
    pub kind: Option<TaskKind>,
    /// Only in this state.
    pub state: Option<TaskState>,
    /// Only those that a unit of this job waits for, or did.
    pub job: Option<JobNo>,
    /// Only about this asset.
    pub asset: Option<String>,
    /// Only about this title.
    pub title: Option<String>,
    /// With numbers above this one.
    pub after: i64,
    /// At most so many.
    pub limit: u32,
}

/// Everything of this part.
pub trait ReworkTx: SheetTx + TaskTx {}

impl<T: SheetTx + TaskTx> ReworkTx for T {}

/// Fact sheets and verdicts.
pub trait SheetTx {
    /// Writes fact sheets, in place of earlier ones of the same bytes.
    fn put_sheets(&mut self, rows: &[SheetRow]) -> StoreResult<()>;
    /// Fact sheets of these bytes, as far as there are any, by hash.
    fn sheets(&mut self, hashes: &[String]) -> StoreResult<Vec<SheetRow>>;
    /// Hashes that assets are believed to have, by asset and hash: what the catalogue says, and what was judged last.
    fn believed(&mut self, assets: &[String]) -> StoreResult<Vec<(String, String)>>;
    /// Writes verdicts, in place of earlier ones of the same bytes, policy and asset.
    fn put_verdicts(&mut self, rows: &[VerdictRow]) -> StoreResult<()>;
    /// Verdicts on an asset, the latest first.
    fn verdicts(&mut self, asset: &str, limit: u32) -> StoreResult<Vec<VerdictRow>>;
}

/// Tasks.
pub trait TaskTx {
    /// Adds a task; returns its number.
    fn insert_task(&mut self, task: &TaskRow) -> StoreResult<i64>;
    /// Adds tasks, each with the unit that waits for it; returns their numbers. Where each statement is a journey, they are
    /// a few statements for all.
    fn open_tasks(&mut self, tasks: &[TaskRow]) -> StoreResult<Vec<i64>> {
        let mut numbers = Vec::with_capacity(tasks.len());
        for task in tasks {
            let no = self.insert_task(task)?;
            self.add_task_unit(no, task.unit)?;
            numbers.push(no);
        }
        Ok(numbers)
    }
    /// Ends tasks.
    fn end_tasks(&mut self, tasks: &[TaskRow], state: TaskState, now: Timestamp) -> StoreResult<()> {
        tasks.iter().try_for_each(|task| self.update_task(&TaskRow { state, ended_at: Some(now), ..task.clone() }))
    }
    /// Notes what happened to tasks.
    fn insert_task_events(&mut self, events: &[TaskEventRow]) -> StoreResult<()> {
        events.iter().try_for_each(|event| self.insert_task_event(event))
    }
    /// One task.
    fn task(&mut self, no: i64) -> StoreResult<Option<TaskRow>>;
    /// Writes a task.
    fn update_task(&mut self, task: &TaskRow) -> StoreResult<()>;
    /// Tasks of a kind that are pending about these subjects, by number.
    fn pending_tasks(&mut self, kind: TaskKind, subjects: &[String]) -> StoreResult<Vec<TaskRow>>;
    /// Tasks by number.
    fn tasks(&mut self, filter: &TaskFilter) -> StoreResult<Vec<TaskRow>>;
    /// Pending tasks by kind, and those of them that are overdue at `now`.
    fn task_counts(&mut self, now: Timestamp) -> StoreResult<Vec<(TaskKind, u64, u64)>>;
    /// Notes that a unit waits for a task; once is enough.
    fn add_task_unit(&mut self, task: i64, unit: UnitId) -> StoreResult<()>;
    /// Units that wait for a task, or did, in their order.
    fn task_units(&mut self, task: i64) -> StoreResult<Vec<UnitId>>;
    /// Units of a job with a pending task each, by unit and task.
    fn waiting_units(&mut self, job: JobNo, limit: u32) -> StoreResult<Vec<(UnitId, i64)>>;
    /// Notes what happened to a task.
    fn insert_task_event(&mut self, event: &TaskEventRow) -> StoreResult<()>;
    /// Keeps the pictures of a task, as JSON, in place of earlier ones; takes them away when there are none.
    fn put_task_pictures(&mut self, task: i64, pictures: Option<&str>) -> StoreResult<()>;
    /// The pictures of a task as JSON.
    fn task_pictures(&mut self, task: i64) -> StoreResult<Option<String>>;
    /// What happened to a task, in order.
    fn task_events(&mut self, task: i64) -> StoreResult<Vec<TaskEventRow>>;
}
