//! What operators ask for: pause, resume, cancel, retry. Each is one transaction and says what it did.
use super::Workflows;
use super::graph::{Change, Graph};
use crate::store::{JobRow, JobState, Phase, StepDelta, StoreResult, Tx, UnitRow};
use protocol::id::{JobNo, PartNo, StepNo, UnitId};
use protocol::rules::lifecycle::UnitState;
use protocol::time::Timestamp;
use protocol::workflow::file::OnFailure;
use protocol::workflow::{Action, Workflow};

/// Why a request was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such job.
    NotFound,
    /// The job's state does not allow it.
    Conflict(String),
}

/// The answer to a request.
pub type Answer<T> = Result<T, Refusal>;

fn find(tx: &mut dyn Tx, id: &str) -> StoreResult<Answer<JobRow>> {
    Ok(tx.job_by_id(id)?.ok_or(Refusal::NotFound))
}

/// Hands out no more units of a job; those out go on.
pub fn pause(tx: &mut dyn Tx, id: &str) -> StoreResult<Answer<JobState>> {
    change_state(tx, id, JobState::Running, JobState::Paused)
}

/// Hands out units again.
pub fn resume(tx: &mut dyn Tx, id: &str) -> StoreResult<Answer<JobState>> {
    change_state(tx, id, JobState::Paused, JobState::Running)
}

fn change_state(tx: &mut dyn Tx, id: &str, from: JobState, to: JobState) -> StoreResult<Answer<JobState>> {
    let mut job = match find(tx, id)? {
        Ok(job) => job,
        Err(refusal) => return Ok(Err(refusal)),
    };
    if job.state == from {
        job.state = to;
        tx.update_job(&job)?;
    } else if job.state != to {
        let (is, from) = (job.state.as_str(), from.as_str());
        return Ok(Err(Refusal::Conflict(format!("job {id} is {is}, not {from}"))));
    }
    Ok(Ok(job.state))
}

/// Cancels a job: nothing more is handed out, units out are called back, what has ended stays.
pub fn cancel(tx: &mut dyn Tx, id: &str) -> StoreResult<Answer<JobState>> {
    let mut job = match find(tx, id)? {
        Ok(job) => job,
        Err(refusal) => return Ok(Err(refusal)),
    };
    if job.state.has_ended() && job.state != JobState::Cancelled {
        return Ok(Err(Refusal::Conflict(format!("job {id} is {} already", job.state.as_str()))));
    }
    if !job.state.has_ended() {
        job.state = JobState::Cancelling;
        tx.update_job(&job)?;
    }
    Ok(Ok(job.state))
}

/// Which dead units a retry is for. Empty fields match everything.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Name of the step.
    pub step: Option<String>,
    /// Reason code of the failure.
    pub reason: Option<String>,
    /// Asset ids.
    pub assets: Vec<String>,
}

/// Brings dead units back, and what was cancelled because of them. With `dry_run` it only says which.
pub fn retry(
    tx: &mut dyn Tx,
    workflows: &Workflows,
    id: &str,
    selection: &Selection,
    dry_run: bool,
    now: Timestamp,
) -> StoreResult<Answer<Vec<UnitId>>> {
    let mut job = match find(tx, id)? {
        Ok(job) => job,
        Err(refusal) => return Ok(Err(refusal)),
    };
    if matches!(job.state, JobState::Cancelled | JobState::Cancelling | JobState::Failed) {
        return Ok(Err(Refusal::Conflict(format!("job {id} is {}: submit it again", job.state.as_str()))));
    }
    let workflow = workflows.of(tx, job.no)?;
    let mut chosen: Vec<UnitId> = Vec::new();
    for row in tx.failures(job.no, u32::MAX)? {
        let step_id = workflow.step(row.unit.step).map(|s| s.id.as_str());
        let fits = row.state == UnitState::Dead
            && selection.step.as_deref().is_none_or(|step| Some(step) == step_id)
            && selection.reason.as_deref().is_none_or(|reason| reason == row.failure.reason)
            && (selection.assets.is_empty() || selection.assets.contains(&row.asset));
        if fits && chosen.last() != Some(&row.unit) {
            chosen.push(row.unit);
        }
    }
    if dry_run || chosen.is_empty() {
        return Ok(Ok(chosen));
    }
    if job.state.has_ended() {
        job.state = JobState::Running;
        job.ended_at = None;
        tx.update_job(&job)?;
    }
    for unit in &chosen {
        let sealed = job.phase == Phase::Sealed;
        redrive(&mut Graph { tx, job: job.no, workflow: &workflow, sealed, now }, *unit)?;
    }
    reopen_seals(tx, job.no, &workflow)?;
    Ok(Ok(chosen))
}

/// What is retried may bring new files: seals that have run will run again at the end.
fn reopen_seals(tx: &mut dyn Tx, job: JobNo, workflow: &Workflow) -> StoreResult<()> {
    for (no, step) in workflow.numbered() {
        if !matches!(step.action, Action::Seal { .. }) {
            continue;
        }
        let row = tx.units(job, no, &[0])?.pop().flatten();
        let Some(row) = row.filter(|r| matches!(r.state, UnitState::Succeeded | UnitState::Dead)) else { continue };
        tx.put_units(job, no, &[(0, UnitRow { state: UnitState::Planned, attempt: 0, ..row })])?;
        let mut delta = StepDelta::transition(Some(row.state), UnitState::Planned);
        delta.total = -1;
        tx.add_to_step(job, no, delta)?;
    }
    Ok(())
}

/// Dead → ready, and everything behind it that was cancelled for want of it → planned.
fn redrive(graph: &mut Graph<'_>, unit: UnitId) -> StoreResult<()> {
    let Some(row) = graph.tx.units(unit.job, unit.step, &[unit.part])?.pop().flatten() else { return Ok(()) };
    if row.state != UnitState::Dead {
        return Ok(());
    }
    graph.tx.put_failures(unit, &[])?;
    revive(graph, unit.step, unit.part, row, UnitState::Ready)?;
    let workflow = graph.workflow;
    for step in behind(workflow, unit.step) {
        let row = graph.tx.units(unit.job, step, &[unit.part])?.pop().flatten();
        let Some(row) = row.filter(|r| r.state == UnitState::Cancelled) else { continue };
        if !still_blocked(graph, step, unit.part)? {
            revive(graph, step, unit.part, row, UnitState::Planned)?;
        }
    }
    Ok(())
}

fn revive(graph: &mut Graph<'_>, step: StepNo, part: PartNo, row: UnitRow, state: UnitState) -> StoreResult<()> {
    let to = UnitRow { state, attempt: 0, due_at: None, ..row };
    graph.apply(step, &[Change { part, from: Some(row.state), to, executed_us: None }])?;
    let tolerated = graph.workflow.step(step).is_some_and(|s| s.on_failure == OnFailure::Continue);
    let counted_as_success = tolerated && row.state == UnitState::Dead;
    let workflow = graph.workflow;
    for (barrier, dependent) in workflow.dependents(step) {
        if part == 0 || !matches!(dependent.action, Action::Barrier { .. }) {
            continue;
        }
        let partition = graph.tx.partitions(graph.job, &[part])?.remove(0);
        let key = graph.key(barrier, &partition);
        // Of an open barrier too: the unit counts again when it ends again.
        let (succeeded, failed) = if counted_as_success { (-1, 0) } else { (0, -1) };
        graph.count(barrier, &key, succeeded, failed)?;
    }
    Ok(())
}

/// Unit steps reachable from `step`, through barriers too, each after everything it needs of what is reachable. Steps may
/// be declared in any order.
fn behind(workflow: &Workflow, step: StepNo) -> Vec<StepNo> {
    let mut reached = vec![step];
    // A workflow has no circles: as many rounds as steps reach everything.
    for _ in 0..workflow.steps.len() {
        let deeper = workflow.numbered().filter(|(_, s)| s.needs.iter().any(|need| reached.contains(need)));
        let fresh: Vec<StepNo> = deeper.map(|(no, _)| no).filter(|no| !reached.contains(no)).collect();
        reached.extend(fresh);
    }
    let mut ordered = vec![step];
    for _ in 0..reached.len() {
        let due = |no: &StepNo| {
            let needs = workflow.step(*no).map_or(&[][..], |s| &s.needs);
            !ordered.contains(no) && needs.iter().all(|need| !reached.contains(need) || ordered.contains(need))
        };
        let next: Vec<StepNo> = reached.iter().copied().filter(due).collect();
        ordered.extend(next);
    }
    ordered.into_iter().filter(|no| *no != step && workflow.step(*no).is_some_and(|s| s.has_units())).collect()
}

fn still_blocked(graph: &mut Graph<'_>, step: StepNo, part: PartNo) -> StoreResult<bool> {
    let workflow = graph.workflow;
    let mut queue: Vec<StepNo> = workflow.step(step).map(|s| s.needs.clone()).unwrap_or_default();
    while let Some(no) = queue.pop() {
        let Some(need) = workflow.step(no) else { continue };
        if need.has_units() {
            let row = graph.tx.units(graph.job, no, &[part])?.pop().flatten();
            let blocks = row.is_some_and(|r| {
                r.state == UnitState::Cancelled
                    || (r.state == UnitState::Dead && need.on_failure != OnFailure::Continue)
            });
            if blocks {
                return Ok(true);
            }
        } else {
            queue.extend(need.needs.iter().copied());
        }
    }
    Ok(false)
}
