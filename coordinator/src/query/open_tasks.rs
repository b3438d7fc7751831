//! Pending tasks of a job: decisions of people that its units wait for.
use crate::query::pending_tasks;
use crate::store::{StoreResult, TaskFilter, TaskRow, Tx};
use protocol::id::JobNo;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Tasks named at most.
const NAMED_MAX: u32 = 20;

/// A pending task that units of a job wait for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OpenTask {
    /// Number of the task, as commands take it.
    pub task: i64,
    /// `rework` or `approval`.
    pub kind: String,
    /// Id of the asset that the task is about.
    pub asset: String,
    /// Id of the title that the asset belongs to.
    pub title: String,
    /// The task in one line: the decision or delivery, who makes it, and when it is due.
    pub message: String,
    /// Time at which it was opened, RFC 3339 in UTC.
    pub since: String,
    /// Time at which it is due, RFC 3339 in UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_at: Option<String>,
    /// The command, or the delivery, that ends the wait.
    pub next: String,
}

/// The first pending tasks of a job.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OpenTasks {
    /// The tasks by number.
    pub tasks: Vec<OpenTask>,
    /// Whether the job has further pending tasks.
    pub more: bool,
}

/// Reads the first pending tasks that units of a job wait for.
pub fn open_tasks(tx: &mut dyn Tx, job: JobNo) -> StoreResult<OpenTasks> {
    let mut rows = tx.tasks(&TaskFilter {
        pending: true,
        job: Some(job),
        limit: NAMED_MAX + 1,
        ..TaskFilter::default()
    })?;
    let more = rows.len() > NAMED_MAX as usize;
    rows.truncate(NAMED_MAX as usize);
    Ok(OpenTasks {
        tasks: rows.into_iter().map(open_task).collect(),
        more,
    })
}

fn open_task(row: TaskRow) -> OpenTask {
    OpenTask {
        message: pending_tasks::line(&row),
        next: pending_tasks::next(&row),
        task: row.no,
        kind: row.kind.as_str().to_owned(),
        asset: row.asset,
        title: row.title,
        since: row.opened_at.to_string(),
        due_at: row.due_at.map(|at| at.to_string()),
    }
}
