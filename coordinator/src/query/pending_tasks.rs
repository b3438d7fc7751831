//! Pending tasks that units of a job wait for, and their one-line texts.
use crate::store::{StoreResult, TaskRow, Tx};
use protocol::id::{JobNo, PartNo};
use protocol::rules::review::task::TaskKind;
use std::collections::BTreeMap;

/// Waiting units looked at for one explanation.
const UNITS_MAX: u32 = 10_000;

/// Pending tasks by the partition that waits for them.
#[derive(Debug, Default)]
pub struct PendingTasks {
    by_part: BTreeMap<PartNo, Vec<i64>>,
    read: BTreeMap<i64, Option<TaskRow>>,
}

impl PendingTasks {
    /// Reads the pending tasks of a job.
    pub fn of(tx: &mut dyn Tx, job: JobNo) -> StoreResult<PendingTasks> {
        let mut awaited = PendingTasks::default();
        for (unit, task) in tx.waiting_units(job, UNITS_MAX)? {
            awaited.by_part.entry(unit.part).or_default().push(task);
        }
        Ok(awaited)
    }

    /// The tasks that a partition waits for.
    pub fn tasks(&mut self, tx: &mut dyn Tx, part: PartNo) -> StoreResult<Vec<TaskRow>> {
        let mut tasks = Vec::new();
        for no in self.by_part.get(&part).into_iter().flatten() {
            let row = match self.read.get(no) {
                Some(row) => row.clone(),
                None => {
                    let row = tx.task(*no)?;
                    self.read.insert(*no, row.clone());
                    row
                }
            };
            tasks.extend(row);
        }
        Ok(tasks)
    }
}

/// A task in one line: what is waited for, from whom, until when.
pub fn line(task: &TaskRow) -> String {
    let due = task
        .due_at
        .map(|due| format!(", due {due}"))
        .unwrap_or_default();
    match task.kind {
        TaskKind::Approval => format!(
            "task {}: approval by {} of {}{due}",
            task.no, task.policy, task.asset
        ),
        TaskKind::Rework => {
            let by = task
                .supplier
                .as_ref()
                .map(|name| format!(" by {name}"))
                .unwrap_or_default();
            let checks = if task.checks.is_empty() {
                String::new()
            } else {
                format!(" ({})", task.checks.join(", "))
            };
            format!(
                "task {}: rework of {}{by}{checks}, round {}{due}",
                task.no, task.asset, task.round
            )
        }
    }
}

/// The commands that end the wait for a task.
pub fn next(task: &TaskRow) -> String {
    match task.kind {
        TaskKind::Approval => format!(
            "showrunner task approve {0}, or reject it: showrunner task get {0}",
            task.no
        ),
        TaskKind::Rework => {
            format!(
                "a new delivery of {}, or: showrunner task waive {1}; showrunner task get {1}",
                task.asset, task.no
            )
        }
    }
}
