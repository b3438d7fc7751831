//! Explains why a unit or a barrier waits (WAIT-1).
mod rows;

use crate::graph::barrier_key;
use crate::query::pending_tasks::{self, PendingTasks};
use crate::query::{wait_details, wait_reason};
use crate::reconcile::settlement::RESTORING;
use crate::rows::unit_row;
use crate::store::{
    BarrierRow, BarrierState, CutState, JobRow, JobState, Phase, StoreResult, TaskRow, Tx,
};
use crate::workflows::Workflows;
use protocol::id::{PartNo, StepNo, UnitId};
use protocol::rules::schedule::wait_reason::{WaitFacts, WaitReason, reason};
use protocol::rules::unit::transition::UnitState;
use protocol::time::Timestamp;
use protocol::workflow::{Action, Step, Workflow};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Members named at most.
const NAMED_MAX: u32 = 20;

/// What a unit waits for, and what ends the wait.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct UnitExplanation {
    /// State of the unit; `unknown` when the workflow has no such step.
    pub state: String,
    /// Reason code of the wait.
    #[schema(value_type = String)]
    pub reason: WaitReason,
    /// The reason as a sentence, with what will change it.
    pub message: String,
    /// Time at which the wait began, when it is known.
    pub since: Option<String>,
    /// The event or command that ends the wait.
    pub next: String,
    /// Time at which the wait ends, when it is known.
    pub changes_at: Option<String>,
    /// Workers that were lost while they ran the unit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost_with: Vec<String>,
}

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
    /// Members that are missing: step and partition's first asset, with their state.
    pub missing: Vec<String>,
    /// Tasks that members wait for: what, from whom, until when.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<String>,
}

/// Explains one unit.
pub fn unit(
    tx: &mut dyn Tx,
    workflows: &Workflows,
    job: &JobRow,
    step: StepNo,
    part: PartNo,
    now: Timestamp,
) -> StoreResult<UnitExplanation> {
    let mut explanation = unit_alone(tx, workflows, job, step, part, now)?;
    rows::add(tx, workflows, job, (step, part), &mut explanation)?;
    Ok(explanation)
}

fn unit_alone(
    tx: &mut dyn Tx,
    workflows: &Workflows,
    job: &JobRow,
    step: StepNo,
    part: PartNo,
    now: Timestamp,
) -> StoreResult<UnitExplanation> {
    let workflow = workflows.of(tx, job.no)?;
    let row = unit_row(tx, UnitId::new(job.no, step, part))?;
    let Some(declared) = workflow.step(step) else {
        return Ok(no_such_step());
    };
    let state = match row {
        Some(row) => row.state,
        None => state_without_row(tx, job, (step, declared), part)?,
    };
    let mut facts = WaitFacts {
        state: Some(state),
        paused: job.state == JobState::Paused,
        cancelled: matches!(job.state, JobState::Cancelling | JobState::Cancelled),
        scanned: job.phase != Phase::Scanning,
        planned: part <= job.parts,
        due_at: row.and_then(|r| r.due_at),
        ..WaitFacts::default()
    };
    let withheld = tx
        .withheld(job.no)?
        .into_iter()
        .find(|row| row.step == step);
    facts.withheld = withheld.map(|row| row.reason);
    if let Some(kind) = declared.kind().filter(|_| state == UnitState::Ready) {
        facts.slots = wait_details::slots(tx, kind, now)?;
    }
    let mut named = String::new();
    for need in &declared.needs {
        look_at_need(tx, &workflow, job, *need, part, &mut facts, &mut named)?;
    }
    if let Some(note) = restoring(tx, UnitId::new(job.no, step, part), state)? {
        facts.restoring = true;
        named = note;
    }
    if state == UnitState::Leased {
        let cut = tx.cut(UnitId::new(job.no, step, part))?;
        facts.slices_open = cut.is_some_and(|cut| cut.state == CutState::Open);
    }
    let tasks = PendingTasks::of(job.no, &workflow).tasks(tx, part)?;
    (facts.task_open, facts.approval) = (
        !tasks.is_empty(),
        matches!(declared.action, Action::Approval { .. }),
    );
    let why = reason(&facts);
    let mut message =
        ended(tx, job, (step, part), state)?.unwrap_or_else(|| wait_reason::message(why, &named));
    let about: Vec<&TaskRow> = tasks
        .iter()
        .filter(|task| concerns(task, state, why, step))
        .collect();
    for task in &about {
        message = format!("{message}; {}", pending_tasks::line(task));
    }
    let withheld = withheld.filter(|row| row.reason == why);
    if let Some(row) = withheld {
        message = format!("{message} (since {})", row.since);
    }
    let changes_at = facts.due_at.or(withheld.as_ref().and_then(|row| row.until));
    let waits_since = match &withheld {
        Some(row) => Some(row.since),
        None => wait_details::since(tx, job, why)?,
    };
    let losses = tx.losses(&[UnitId::new(job.no, step, part)])?;
    Ok(UnitExplanation {
        state: state.as_str().to_owned(),
        reason: why,
        message,
        since: waits_since.map(|t| t.to_string()),
        next: about.first().map_or_else(
            || next(state, why, &job.id),
            |task| pending_tasks::next(task),
        ),
        changes_at: changes_at.map(|t| t.to_string()),
        lost_with: losses.into_iter().map(|loss| loss.worker).collect(),
    })
}

/// The message for a unit that has ended: the failure of a dead one, the success of a succeeded one.
fn ended(
    tx: &mut dyn Tx,
    job: &JobRow,
    (step, part): (StepNo, PartNo),
    state: UnitState,
) -> StoreResult<Option<String>> {
    match state {
        UnitState::Dead => why_dead(tx, job, step, part).map(Some),
        UnitState::Succeeded => Ok(Some("it has succeeded".to_owned())),
        _ => Ok(None),
    }
}

/// The event or command that changes the state of a unit that waits for no task.
fn next(state: UnitState, why: WaitReason, job: &str) -> String {
    match state {
        UnitState::Succeeded => "nothing: its work is done".to_owned(),
        _ => wait_reason::next_step(why, job),
    }
}

/// Whether a unit in this state waits for a task of its partition. What was cancelled for want of a delivery ends with the
/// same task as what failed.
fn concerns(task: &TaskRow, state: UnitState, why: WaitReason, step: StepNo) -> bool {
    matches!(state, UnitState::Cancelled | UnitState::Dead)
        || why == WaitReason::TaskOpen
        || task.unit.step == step
}

/// The explanation for a step that the workflow does not have.
fn no_such_step() -> UnitExplanation {
    UnitExplanation {
        state: "unknown".into(),
        reason: WaitReason::Planning,
        message: "there is no such step".into(),
        since: None,
        next: "the name of a step of the job".into(),
        changes_at: None,
        lost_with: Vec::new(),
    }
}

/// The message about the restore from an archive that a unit waits for; `None` when it waits for none.
fn restoring(tx: &mut dyn Tx, unit: UnitId, state: UnitState) -> StoreResult<Option<String>> {
    if state != UnitState::Retrying {
        return Ok(None);
    }
    let noted = tx.failures_of(unit)?.into_iter().next();
    Ok(noted
        .filter(|(_, note)| note.reason == RESTORING)
        .map(|(_, note)| note.message))
}

fn state_without_row(
    tx: &mut dyn Tx,
    job: &JobRow,
    (step, declared): (StepNo, &Step),
    part: PartNo,
) -> StoreResult<UnitState> {
    let computed = declared.needs.is_empty() && declared.has_units();
    let cursor = tx
        .steps(job.no)?
        .into_iter()
        .find(|c| c.step == step)
        .map(|c| c.cursor);
    Ok(match cursor {
        Some(cursor) if computed && part <= cursor => UnitState::Leased,
        _ if job.state.has_ended() => UnitState::Cancelled,
        _ if computed => UnitState::Ready,
        _ => UnitState::Planned,
    })
}

fn why_dead(tx: &mut dyn Tx, job: &JobRow, step: StepNo, part: PartNo) -> StoreResult<String> {
    let own = tx.failures_of(UnitId::new(job.no, step, part))?;
    let messages: Vec<String> = own
        .into_iter()
        .map(|(_, failure)| failure.message)
        .collect();
    Ok(format!(
        "{}; fix the cause, then: showrunner job retry {}",
        messages.join("; "),
        job.id
    ))
}

fn look_at_need(
    tx: &mut dyn Tx,
    workflow: &Workflow,
    job: &JobRow,
    need: StepNo,
    part: PartNo,
    facts: &mut WaitFacts,
    named: &mut String,
) -> StoreResult<()> {
    let Some(step) = workflow.step(need) else {
        return Ok(());
    };
    if let Action::Barrier { .. } = step.action {
        let partition = tx.partitions(job.no, &[part])?.remove(0);
        let key = barrier_key(workflow, need, &partition);
        let state = tx
            .barrier(job.no, need, &key)?
            .map_or(BarrierState::Waiting, |b| b.state);
        facts.barrier_open |= state == BarrierState::Waiting;
        facts.barrier_held |= state == BarrierState::Held;
        if state != BarrierState::Released {
            *named = format!("{} {key}", step.id);
        }
        return Ok(());
    }
    let row = unit_row(tx, UnitId::new(job.no, need, part))?.map(|r| r.state);
    match row {
        Some(UnitState::Succeeded) => {}
        Some(UnitState::Dead | UnitState::Cancelled) => {
            facts.step_failed = true;
            named.clone_from(&step.id);
        }
        _ => {
            facts.step_open = true;
            named.clone_from(&step.id);
        }
    }
    Ok(())
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
                let outstanding = row.total.saturating_sub(row.succeeded + row.failed);
                let message = match state {
                    BarrierState::Held => {
                        format!(
                            "{} of {} members failed: retry them, or decide their tasks",
                            row.failed, row.total
                        )
                    }
                    _ => format!("{outstanding} of {} members have not ended", row.total),
                };
                let (mut missing, tasks) =
                    missing(tx, &workflow, job, &step.needs, &row, &mut awaited)?;
                let rejected = rows::of_barrier(tx, &workflow, job, &row)?;
                let message = match rejected.len() {
                    0 => message,
                    _ => format!("{message}; some are rows of the library that cannot be used"),
                };
                missing.splice(
                    0..0,
                    rejected
                        .iter()
                        .map(|rejected| rows::line(&workflow, rejected)),
                );
                missing.truncate(NAMED_MAX as usize);
                list.push(BarrierExplanation {
                    barrier: step.id.clone(),
                    key: row.key.clone(),
                    state: state.as_str().to_owned(),
                    message,
                    changes_at: until(&step.action).map(|t| t.to_string()),
                    next: match state {
                        _ if !tasks.is_empty() => tasks
                            .iter()
                            .map(pending_tasks::next)
                            .collect::<Vec<_>>()
                            .join("; "),
                        _ if !rejected.is_empty() => rows::next(&workflow, &rejected),
                        BarrierState::Held => {
                            wait_reason::next_step(WaitReason::BarrierHeld, &job.id)
                        }
                        _ => "the end of the members that are missing".to_owned(),
                    },
                    missing,
                    tasks: tasks.iter().map(pending_tasks::line).collect(),
                });
            }
        }
    }
    Ok(list)
}

fn until(action: &Action) -> Option<Timestamp> {
    match action {
        Action::Barrier { policy, .. } => policy.until,
        Action::Units { .. } | Action::Approval { .. } | Action::Seal { .. } => None,
    }
}

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
