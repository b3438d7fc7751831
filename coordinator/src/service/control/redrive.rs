//! Brings units back: dead or cancelled → ready, and everything behind them that was cancelled for want of them.
use super::failure::uncount_dead;
use crate::service::graph::{Change, Graph};
use crate::store::{JobRow, JobState, Phase, StepDelta, StoreResult, Tx, UnitRow};
use protocol::failure::Failure;
use protocol::id::{JobNo, PartNo, StepNo, UnitId};
use protocol::rules::unit::transition::UnitState;
use protocol::time::Timestamp;
use protocol::workflow::file::OnFailure;
use protocol::workflow::{Action, Workflow};

/// How much of what was done with an asset is done again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Again {
    /// The unit itself, and what did not run for want of it.
    Unit,
    /// Everything from the step on that reads the library's own file: the file is another one.
    FromSource,
}

/// Brings back units of one job, each with the failures it is dead of, and opens the job again when it had ended.
/// Returns how many were still as they were found.
pub(crate) fn bring_back(
    tx: &mut dyn Tx,
    workflow: &Workflow,
    job: &mut JobRow,
    units: &[(UnitId, Vec<(String, Failure)>)],
    again: Again,
    now: Timestamp,
) -> StoreResult<u64> {
    if units.is_empty() {
        return Ok(0);
    }
    if job.state.has_ended() {
        job.state = JobState::Running;
        job.ended_at = None;
        tx.update_job(job)?;
    }
    let sealed = job.phase == Phase::Sealed;
    let mut done = 0;
    let ids: Vec<UnitId> = units.iter().map(|(unit, _)| *unit).collect();
    // Somebody has looked at them: what they are suspected of is forgiven.
    tx.forget_losses(&ids)?;
    for (unit, failures) in units {
        if matches!(workflow.step(unit.step).map(|step| &step.action), Some(Action::Seal { .. })) {
            done += u64::from(plan_seal(tx, job.no, unit.step, now)?);
            continue;
        }
        let mut graph = Graph { tx, job: job.no, workflow, sealed, now };
        let source = source_of(workflow, unit.step);
        let brought = match again {
            Again::FromSource if source != unit.step => rerun(&mut graph, *unit, source)?,
            Again::FromSource | Again::Unit => redrive(&mut graph, *unit)?,
        };
        if brought {
            uncount_dead(tx, *unit, failures, now)?;
            done += 1;
        }
    }
    if done > 0 {
        for (no, _) in workflow.numbered().filter(|(_, step)| matches!(step.action, Action::Seal { .. })) {
            plan_seal(tx, job.no, no, now)?;
        }
    }
    Ok(done)
}

/// Brings a seal back as planned, never as ready: what is retried may bring new files, and the sequencer makes the seal when
/// everything that it closes has ended. One that is with a worker is taken back, so that its end does not count. Returns
/// whether there was anything to bring back.
fn plan_seal(tx: &mut dyn Tx, job: JobNo, step: StepNo, now: Timestamp) -> StoreResult<bool> {
    let row = tx.units(job, step, &[0])?.pop().flatten();
    let Some(row) = row.filter(|row| row.state != UnitState::Planned) else { return Ok(false) };
    let unit = UnitId { job, step, part: 0 };
    if row.state == UnitState::Dead {
        let failures = tx.failures_of(unit)?;
        uncount_dead(tx, unit, &failures, now)?;
    }
    if matches!(row.state, UnitState::Dead | UnitState::Retrying) {
        tx.put_failures(unit, &[])?;
    }
    let planned = UnitRow { state: UnitState::Planned, attempt: 0, due_at: None, ..row };
    tx.put_units(job, step, &[(0, planned)])?;
    // A seal counts in its step only while it is made.
    tx.add_to_step(job, step, StepDelta { total: -1, ..StepDelta::transition(Some(row.state), UnitState::Planned) })?;
    Ok(true)
}

/// Dead or cancelled → ready, and everything behind it that was cancelled for want of it → planned.
fn redrive(graph: &mut Graph<'_>, unit: UnitId) -> StoreResult<bool> {
    let Some(row) = graph.tx.units(unit.job, unit.step, &[unit.part])?.pop().flatten() else { return Ok(false) };
    if !matches!(row.state, UnitState::Dead | UnitState::Cancelled) {
        return Ok(false);
    }
    graph.tx.put_failures(unit, &[])?;
    revive(graph, unit.step, unit.part, row, UnitState::Ready)?;
    let workflow = graph.workflow;
    for step in behind(workflow, unit.step) {
        let row = graph.tx.units(unit.job, step, &[unit.part])?.pop().flatten();
        let Some(row) = row.filter(|r| r.state == UnitState::Cancelled) else { continue };
        if blocking(graph, step, unit.part)?.is_none() {
            revive(graph, step, unit.part, row, UnitState::Planned)?;
        }
    }
    Ok(true)
}

/// The step that opens the library's own file for what a step works on.
fn source_of(workflow: &Workflow, step: StepNo) -> StepNo {
    let mut no = step;
    while let Some(Action::Units { reads: Some(from), .. }) = workflow.step(no).map(|s| &s.action) {
        no = *from;
    }
    no
}

/// Whether anything of a unit's partition that would be done anew with another file is with a worker.
pub(super) fn is_out(graph: &mut Graph<'_>, unit: UnitId) -> StoreResult<bool> {
    let source = source_of(graph.workflow, unit.step);
    let rows = if source == unit.step { Vec::new() } else { rows_from(graph, unit, source)? };
    Ok(rows.iter().any(|(_, row)| row.state == UnitState::Leased))
}

/// Rows of a unit's partition in a step and everything behind it, in order.
fn rows_from(graph: &mut Graph<'_>, unit: UnitId, source: StepNo) -> StoreResult<Vec<(StepNo, UnitRow)>> {
    let mut rows = Vec::new();
    for step in std::iter::once(source).chain(behind(graph.workflow, source)) {
        let row = graph.tx.units(unit.job, step, &[unit.part])?.pop().flatten();
        rows.extend(row.map(|row| (step, row)));
    }
    Ok(rows)
}

/// Everything for a partition from `source` on is done anew. Not while anything of it is with a worker: that would end
/// as if it had seen the new file.
fn rerun(graph: &mut Graph<'_>, unit: UnitId, source: StepNo) -> StoreResult<bool> {
    let rows = rows_from(graph, unit, source)?;
    let still_dead = rows.iter().any(|(step, row)| *step == unit.step && row.state == UnitState::Dead);
    if !still_dead || rows.iter().any(|(_, row)| row.state == UnitState::Leased) {
        return Ok(false);
    }
    // The last ones first, so that nothing becomes ready on the old file once more.
    for (step, row) in rows.into_iter().rev() {
        let of_step = UnitId { step, ..unit };
        if row.state == UnitState::Dead {
            if step != unit.step {
                let failures = graph.tx.failures_of(of_step)?;
                uncount_dead(graph.tx, of_step, &failures, graph.now)?;
            }
            graph.tx.put_failures(of_step, &[])?;
        }
        let to = if step == source { UnitState::Ready } else { UnitState::Planned };
        if row.state != to {
            revive(graph, step, unit.part, row, to)?;
        }
    }
    Ok(true)
}

fn revive(graph: &mut Graph<'_>, step: StepNo, part: PartNo, row: UnitRow, state: UnitState) -> StoreResult<()> {
    let to = UnitRow { state, attempt: 0, due_at: None, ..row };
    graph.apply(step, &[Change { part, from: Some(row.state), to, executed_us: None }])?;
    let tolerated = graph.workflow.step(step).is_some_and(|s| s.on_failure == OnFailure::Continue);
    let (succeeded, failed) = match row.state {
        UnitState::Succeeded => (-1, 0),
        UnitState::Dead if tolerated => (-1, 0),
        UnitState::Dead | UnitState::Cancelled => (0, -1),
        UnitState::Planned | UnitState::Ready | UnitState::Leased | UnitState::Retrying => return Ok(()),
    };
    let workflow = graph.workflow;
    for (barrier, dependent) in workflow.dependents(step) {
        if part == 0 || !matches!(dependent.action, Action::Barrier { .. }) {
            continue;
        }
        let partition = graph.tx.partitions(graph.job, &[part])?.remove(0);
        let key = graph.key(barrier, &partition);
        // Of an open barrier too: the unit counts again when it ends again.
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

/// A step that failed and without which `step` can never run for this partition.
pub(super) fn blocking(graph: &mut Graph<'_>, step: StepNo, part: PartNo) -> StoreResult<Option<StepNo>> {
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
                return Ok(Some(no));
            }
        } else {
            queue.extend(need.needs.iter().copied());
        }
    }
    Ok(None)
}
