//! What a barrier that is not open waits for, and what ends the wait.
use crate::query::explain::{NAMED_MAX, rows};
use crate::query::pending_tasks::{self, PendingTasks};
use crate::query::wait_reason;
use crate::store::{BarrierRow, BarrierState, JobRow, StoreResult, TaskRow, Tx};
use crate::workflows::Workflows;
use protocol::id::{PartNo, StepNo};
use protocol::rules::schedule::wait_reason::WaitReason;
use protocol::rules::unit::transition::UnitState;
use protocol::time::Timestamp;
use protocol::wire::report::RowError;
use protocol::workflow::{Action, Step, Workflow};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A barrier that is not open.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct BarrierExplanation {
    /// The barrier step.
    pub barrier: String,
    /// Title, batch or empty for the job.
    pub key: String,
    /// `waiting` or `held`.
    pub state: String,
    /// What it waits for, as a sentence.
    pub message: String,
    /// Time at which its policy releases it, when the policy has one.
    pub changes_at: Option<String>,
    /// The event or command that ends the wait.
    pub next: String,
    /// Members that are missing: step and partition's first asset, with their state; the first 20.
    pub missing: Vec<String>,
    /// Missing members that `missing` leaves out.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub missing_more: u64,
    /// Tasks that members wait for: what, from whom, until when.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<String>,
}

/// Explains the barriers of a job that are not open.
pub fn barriers(
    tx: &mut dyn Tx,
    workflows: &Workflows,
    job: &JobRow,
) -> StoreResult<Vec<BarrierExplanation>> {
    let workflow = workflows.of(tx, job.no)?;
    let (mut list, mut awaited) = (Vec::new(), PendingTasks::of(job.no, &workflow));
    for (no, step) in workflow.numbered() {
        let Action::Barrier { .. } = step.action else {
            continue;
        };
        for state in [BarrierState::Held, BarrierState::Waiting] {
            for row in tx.barriers(job.no, no, Some(state), None, NAMED_MAX)? {
                list.push(explain(
                    tx,
                    &workflow,
                    job,
                    (step, state, &row),
                    &mut awaited,
                )?);
            }
        }
    }
    Ok(list)
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// Counts the barriers of a job that are not open.
pub fn barriers_open(tx: &mut dyn Tx, workflows: &Workflows, job: &JobRow) -> StoreResult<u64> {
    let workflow = workflows.of(tx, job.no)?;
    let mut open = 0;
    for (no, step) in workflow.numbered() {
        if let Action::Barrier { .. } = step.action {
            let counts = tx.barrier_counts(job.no, no)?;
            open += counts.total.saturating_sub(counts.released);
        }
    }
    Ok(open)
}

/// Explains one barrier instance that is held or waiting.
fn explain(
    tx: &mut dyn Tx,
    workflow: &Workflow,
    job: &JobRow,
    (step, state, row): (&Step, BarrierState, &BarrierRow),
    awaited: &mut PendingTasks,
) -> StoreResult<BarrierExplanation> {
    let (mut missing, tasks) = missing(tx, workflow, job, &step.needs, row, awaited)?;
    let rejected = rows::of_barrier(tx, workflow, job, row)?;
    missing.splice(
        0..0,
        rejected
            .iter()
            .map(|rejected| rows::line(workflow, rejected)),
    );
    missing.truncate(NAMED_MAX as usize);
    let next = match state {
        _ if !tasks.is_empty() => tasks
            .iter()
            .map(pending_tasks::next)
            .collect::<Vec<_>>()
            .join("; "),
        _ if !rejected.is_empty() => rows::next(workflow, &rejected),
        BarrierState::Held => wait_reason::next_step(WaitReason::BarrierHeld, &job.id),
        _ => "the end of the members that are missing".to_owned(),
    };
    Ok(BarrierExplanation {
        barrier: step.id.clone(),
        key: row.key.clone(),
        state: state.as_str().to_owned(),
        message: message(state, row, &rejected),
        missing_more: row
            .total
            .saturating_sub(row.succeeded)
            .saturating_sub(missing.len() as u64),
        changes_at: until(&step.action).map(|t| t.to_string()),
        next,
        missing,
        tasks: tasks.iter().map(pending_tasks::line).collect(),
    })
}

/// The members of a barrier that are missing, as a sentence.
fn message(state: BarrierState, row: &BarrierRow, rejected: &[RowError]) -> String {
    let outstanding = row.total.saturating_sub(row.succeeded + row.failed);
    let message = match state {
        BarrierState::Held => format!(
            "{} of {} members failed: retry them, or decide their tasks",
            row.failed, row.total
        ),
        _ => format!("{outstanding} of {} members have not ended", row.total),
    };
    match rejected.len() {
        0 => message,
        _ => format!("{message}; some are rows of the library that cannot be used"),
    }
}

fn until(action: &Action) -> Option<Timestamp> {
    match action {
        Action::Barrier { policy, .. } => policy.until,
        Action::Units { .. } | Action::Approval { .. } | Action::Seal { .. } => None,
    }
}

/// Members of a barrier that have not succeeded, at most [`NAMED_MAX`], and the tasks they wait for.
fn missing(
    tx: &mut dyn Tx,
    workflow: &Workflow,
    job: &JobRow,
    needs: &[StepNo],
    barrier: &BarrierRow,
    awaited: &mut PendingTasks,
) -> StoreResult<(Vec<String>, Vec<TaskRow>)> {
    let first = barrier.first;
    let last = barrier.last.min(first + i64::from(NAMED_MAX) * 4);
    let mut parts: Vec<PartNo> = (first..=last).filter(|p| *p > 0).collect();
    parts.extend(tx.children(job.no, first, last)?);
    let partitions = tx.partitions(job.no, &parts)?;
    let (mut named, mut tasks): (Vec<String>, Vec<TaskRow>) = (Vec::new(), Vec::new());
    for need in needs {
        let Some(step) = workflow.step(*need).filter(|s| s.has_units()) else {
            continue;
        };
        let rows = tx.units(job.no, *need, &parts)?;
        awaited.look_up(tx, &parts)?;
        for (partition, row) in partitions.iter().zip(rows) {
            let state = row.map_or(UnitState::Planned, |r| r.state);
            if state != UnitState::Succeeded && named.len() < NAMED_MAX as usize {
                named.push(format!("{} {}: {state}", step.id, partition.first));
                for task in awaited.tasks(tx, partition.part)? {
                    if !tasks.iter().any(|known| known.no == task.no) {
                        tasks.push(task);
                    }
                }
            }
        }
    }
    Ok((named, tasks))
}
