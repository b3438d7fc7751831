//! Pending tasks that units of a job wait for, and their one-line texts.
use crate::store::{StoreResult, TaskRow, Tx};
use protocol::id::{JobNo, PartNo, StepNo, UnitId};
use protocol::rules::review::task::TaskKind;
use protocol::workflow::Workflow;
use std::collections::BTreeMap;

/// Pending tasks by the partition that waits for them, looked up for the partitions that are asked about.
#[derive(Debug)]
pub struct PendingTasks {
    job: JobNo,
    steps: Vec<StepNo>,
    by_part: BTreeMap<PartNo, Vec<i64>>,
    read: BTreeMap<i64, Option<TaskRow>>,
}

impl PendingTasks {
    /// Tasks of a job, none of them read yet.
    pub fn of(job: JobNo, workflow: &Workflow) -> PendingTasks {
        let steps = workflow.numbered().map(|(no, _)| no).collect();
        PendingTasks {
            job,
            steps,
            by_part: BTreeMap::new(),
            read: BTreeMap::new(),
        }
    }

    /// Looks up what units of these partitions wait for, all of them together.
    pub fn look_up(&mut self, tx: &mut dyn Tx, parts: &[PartNo]) -> StoreResult<()> {
        let unknown: Vec<PartNo> = parts
            .iter()
            .copied()
            .filter(|part| !self.by_part.contains_key(part))
            .collect();
        let of_part = |part: &PartNo| {
            let (job, part) = (self.job, *part);
            self.steps
                .iter()
                .map(move |step| UnitId::new(job, *step, part))
        };
        let units: Vec<UnitId> = unknown.iter().flat_map(of_part).collect();
        let waiting = tx.waiting_units(&units)?;
        self.by_part
            .extend(unknown.into_iter().map(|part| (part, Vec::new())));
        for (unit, task) in waiting {
            self.by_part.entry(unit.part).or_default().push(task);
        }
        Ok(())
    }

    /// The tasks that a partition waits for.
    pub fn tasks(&mut self, tx: &mut dyn Tx, part: PartNo) -> StoreResult<Vec<TaskRow>> {
        self.look_up(tx, &[part])?;
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
