//! Tasks of rework and approval.
use super::{Target, answered, pages};
use crate::error::CliResult;
use crate::submit::now;
use coordinator::error::outcome;
use coordinator::review::{self, DecisionOutcome, TaskPicture, TaskRequest, TaskView, TasksFilter};
use coordinator::workflows::Workflows;
use protocol::rules::review::task::Decision;

impl Target {
    /// Tasks by number.
    pub(crate) fn tasks(&mut self, filter: TasksFilter, limit: u32) -> CliResult<Vec<TaskView>> {
        pages(
            limit,
            |limit, after| {
                let after = after.and_then(|no| no.parse().ok()).unwrap_or(filter.after);
                let filter = TasksFilter { after, limit, ..filter.clone() };
                match self {
                    Target::Local(db) => answered(db.read(|tx| outcome(review::tasks(tx, &filter, now())))),
                    Target::Remote(remote) => remote.get(&["tasks"], &filter),
                }
            },
            |task| task.task.to_string(),
        )
    }

    /// One task with its findings and its history.
    pub(crate) fn task(&mut self, no: i64) -> CliResult<TaskView> {
        match self {
            Target::Local(db) => answered(db.read(|tx| outcome(review::task(tx, no, now())))),
            Target::Remote(remote) => remote.get(&["tasks", &no.to_string()], &()),
        }
    }

    /// Pictures of a pending task.
    pub(crate) fn task_pictures(&mut self, no: i64) -> CliResult<Vec<TaskPicture>> {
        match self {
            Target::Local(db) => answered(db.read(|tx| outcome(review::task_pictures(tx, no)))),
            Target::Remote(remote) => remote.get(&["tasks", &no.to_string(), "pictures"], &()),
        }
    }

    /// Takes a decision.
    pub(crate) fn settle_task(
        &mut self,
        no: i64,
        decision: Decision,
        request: &TaskRequest,
    ) -> CliResult<DecisionOutcome> {
        let db = match self {
            Target::Remote(remote) => {
                return remote.post(&["tasks", &no.to_string(), decision.as_str()], request);
            }
            Target::Local(db) => db,
        };
        answered(db.write(|tx| outcome(review::decide_task(tx, &Workflows::default(), no, decision, request, now()))))
    }
}
