//! Tasks: decisions that people must take, the units that wait for them, and their histories.
#[cfg(any(test, feature = "testing"))]
pub(crate) mod conformance;
mod dialect;
mod list;
mod memory;
mod postgres;
mod row;
mod sql;
mod sqlite;

use crate::error::StoreResult;
use protocol::id::{JobNo, UnitId};
use protocol::rules::review::task::{TaskKind, TaskState};
use protocol::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// A decision that a person must take or has taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskRow {
    /// Its number; 0 until it is stored.
    pub no: i64,
    /// QC or approval.
    pub kind: TaskKind,
    /// State of the task.
    pub state: TaskState,
    /// The subject of the decision. At most one task of a kind is pending about it.
    pub subject: String,
    /// The unit that waits for the decision.
    pub unit: UnitId,
    /// The asset; the first one where the unit has several.
    pub asset: String,
    /// Title of the asset.
    pub title: String,
    /// The supplier that the library names.
    pub supplier: Option<String>,
    /// Name of the delivery spec; for an approval, the role that decides.
    pub policy: String,
    /// Digest of the delivery spec; empty for approvals.
    pub digest: String,
    /// Hash of the bytes; empty where it is unknown.
    pub hash: String,
    /// Ids of the blocking checks.
    pub checks: Vec<String>,
    /// Findings as JSON.
    pub findings: Option<String>,
    /// The problem, or the question.
    pub message: String,
    /// Number of deliveries so far.
    pub round: u32,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// When it should be decided.
    pub due_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

/// An event in the history of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskEventRow {
    /// Number of the task.
    pub task: i64,
    /// When it happened.
    pub at: Timestamp,
    /// Who caused it.
    pub actor: String,
    /// `opened`, `renewed`, `redelivered`, `approve`, `reject`, `waive` or `closed`.
    pub event: String,
    /// The reason that was given.
    pub reason: String,
    /// Hash of the bytes at that time.
    pub hash: String,
}

/// A selection of tasks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskFilter {
    /// Only pending ones.
    pub pending: bool,
    /// Only of this kind.
    pub kind: Option<TaskKind>,
    /// Only in this state.
    pub state: Option<TaskState>,
    /// Only tasks that a unit of this job waits or waited for.
    pub job: Option<JobNo>,
    /// Only about this asset.
    pub asset: Option<String>,
    /// Only about this title.
    pub title: Option<String>,
    /// With numbers above this one.
    pub after: i64,
    /// Number of tasks at most.
    pub limit: u32,
}

/// Reads and writes of tasks.
pub trait TaskTx {
    /// Adds a task; returns its number.
    fn insert_task(&mut self, task: &TaskRow) -> StoreResult<i64>;
    /// Adds tasks, each with the unit that waits for it; returns their numbers.
    fn open_tasks(&mut self, tasks: &[TaskRow]) -> StoreResult<Vec<i64>>;
    /// Ends tasks: writes their state and when they ended.
    fn end_tasks(&mut self, tasks: &[TaskRow], state: TaskState, now: Timestamp)
    -> StoreResult<()>;
    /// Adds events to the histories of tasks.
    fn insert_task_events(&mut self, events: &[TaskEventRow]) -> StoreResult<()>;
    /// One task by its number.
    fn task(&mut self, no: i64) -> StoreResult<Option<TaskRow>>;
    /// Writes a task.
    fn update_task(&mut self, task: &TaskRow) -> StoreResult<()>;
    /// Pending tasks of a kind about these subjects, by number.
    fn pending_tasks(&mut self, kind: TaskKind, subjects: &[String]) -> StoreResult<Vec<TaskRow>>;
    /// Tasks by number. A task is pending while its state is, see [`TaskState::is_pending`].
    fn tasks(&mut self, filter: &TaskFilter) -> StoreResult<Vec<TaskRow>>;
    /// Numbers of pending tasks by kind, and of those that are overdue at `now`.
    fn task_counts(&mut self, now: Timestamp) -> StoreResult<Vec<(TaskKind, u64, u64)>>;
    /// Records that a unit waits for a task; a repeated record is ignored.
    fn add_task_unit(&mut self, task: i64, unit: UnitId) -> StoreResult<()>;
    /// Units that wait or waited for a task, in order.
    fn task_units(&mut self, task: i64) -> StoreResult<Vec<UnitId>>;
    /// Those of these units that wait for a pending task, each with the task, by unit and task.
    fn waiting_units(&mut self, units: &[UnitId]) -> StoreResult<Vec<(UnitId, i64)>>;
    /// Adds an event to the history of a task.
    fn insert_task_event(&mut self, event: &TaskEventRow) -> StoreResult<()>;
    /// Replaces the pictures of a task, as JSON, or removes them.
    fn put_task_pictures(&mut self, task: i64, pictures: Option<&str>) -> StoreResult<()>;
    /// Writes pictures of tasks that have none yet.
    fn insert_task_pictures(&mut self, pictures: &[(i64, &str)]) -> StoreResult<()>;
    /// The pictures of a task as JSON.
    fn task_pictures(&mut self, task: i64) -> StoreResult<Option<String>>;
    /// The history of a task, in order.
    fn task_events(&mut self, task: i64) -> StoreResult<Vec<TaskEventRow>>;
}

/// Tasks in memory.
#[derive(Debug, Clone, Default)]
pub(crate) struct Table {
    tasks: BTreeMap<i64, TaskRow>,
    events: BTreeMap<i64, Vec<TaskEventRow>>,
    units: BTreeSet<(i64, UnitId)>,
    pictures: BTreeMap<i64, String>,
}

impl Table {
    /// Whether a unit of this job waits for a pending task.
    pub(crate) fn has_pending(&self, job: JobNo) -> bool {
        let pending = |task: &i64| {
            self.tasks
                .get(task)
                .is_some_and(|row| row.ended_at.is_none())
        };
        self.units
            .iter()
            .any(|(task, unit)| unit.job == job && pending(task))
    }
}
