//! Redrives dead or cancelled units and plans the dependents again that were cancelled with them.
use super::causes::uncount_dead;
use super::key::barrier_key;
use super::paths::{dependents, source_of};
use super::{ApprovalChanges, Change, Graph};
use crate::rows::unit_row;
use crate::store::{JobRow, JobState, Phase, StepDelta, StoreResult, Tx, UnitRow};
use protocol::failure::Failure;
use protocol::id::{JobNo, PartNo, StepNo, UnitId};
use protocol::rules::unit::transition::UnitState;
use protocol::time::Timestamp;
use protocol::workflow::on_failure::OnFailure;
use protocol::workflow::{Action, Workflow};

/// Which units of a partition are redriven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RedriveScope {
    /// The unit itself, and the dependents that were cancelled with it.
    Unit,
    /// Every step from the one that reads the library's own file: the file has changed.
    FromSource,
}

/// The result of redriving units of a job.
#[derive(Debug, Default)]
pub struct Redriven {
    /// Units that were redriven; the others had changed meanwhile.
    pub units: u64,
    /// Transitions of approval units.
    pub approvals: ApprovalChanges,
}

/// Redrives units of one job, each given with its failures, and opens the job again when it had ended.
pub fn redrive_units(
    tx: &mut dyn Tx,
    workflow: &Workflow,
    job: &mut JobRow,
    units: &[(UnitId, Vec<(String, Failure)>)],
    scope: RedriveScope,
    now: Timestamp,
) -> StoreResult<Redriven> {
    let mut redriven = Redriven::default();
    if units.is_empty() {
        return Ok(redriven);
    }
    if job.state.has_ended() {
        job.state = JobState::Running;
        job.ended_at = None;
        tx.update_job(job)?;
    }
    let sealed = job.phase == Phase::Sealed;
    let ids: Vec<UnitId> = units.iter().map(|(unit, _)| *unit).collect();
    // A person has looked at them: their recorded losses no longer count as suspicion.
    tx.forget_losses(&ids)?;
    for (unit, failures) in units {
        if matches!(
            workflow.step(unit.step).map(|step| &step.action),
            Some(Action::Seal { .. })
        ) {
            redriven.units += u64::from(reopen_seal(tx, job.no, unit.step, now)?);
            continue;
        }
        let mut graph = Graph::new(tx, job.no, workflow, sealed, now);
        let source = source_of(workflow, unit.step);
        let changed = match scope {
            RedriveScope::FromSource if source != unit.step => {
                replan_from(&mut graph, *unit, source)?
            }
            RedriveScope::FromSource | RedriveScope::Unit => redrive_unit(&mut graph, *unit)?,
        };
        redriven.approvals.extend(graph.take_approvals());
        if changed {
            uncount_dead(tx, *unit, failures, now)?;
            redriven.units += 1;
        }
    }
    if redriven.units > 0 {
        for (no, _) in workflow
            .numbered()
            .filter(|(_, step)| matches!(step.action, Action::Seal { .. }))
        {
            reopen_seal(tx, job.no, no, now)?;
        }
    }
    Ok(redriven)
}

/// Plans a seal again, never makes it ready: a retry may add files, and the sequencer makes the seal when every unit that it
/// closes has ended. A seal that is leased is taken back, so that its end does not count. Returns whether it changed.
fn reopen_seal(tx: &mut dyn Tx, job: JobNo, step: StepNo, now: Timestamp) -> StoreResult<bool> {
    let row = unit_row(tx, UnitId::new(job, step, 0))?;
    let Some(row) = row.filter(|row| row.state != UnitState::Planned) else {
        return Ok(false);
    };
    let unit = UnitId::new(job, step, 0);
    if row.state == UnitState::Dead {
        let failures = tx.failures_of(unit)?;
        uncount_dead(tx, unit, &failures, now)?;
    }
    if matches!(row.state, UnitState::Dead | UnitState::Retrying) {
        tx.put_failures(unit, &[])?;
    }
    let planned = UnitRow {
        state: UnitState::Planned,
        attempt: 0,
        due_at: None,
        ..row
    };
    tx.put_units(job, step, &[(0, planned)])?;
    // A seal counts in its step only while it is made.
    tx.add_to_step(
        job,
        step,
        StepDelta {
            total: -1,
            ..StepDelta::transition(Some(row.state), UnitState::Planned)
        },
    )?;
    Ok(true)
}

/// Makes a dead or cancelled unit ready, and plans the dependents again that were cancelled with it.
fn redrive_unit(graph: &mut Graph<'_>, unit: UnitId) -> StoreResult<bool> {
    let Some(row) = unit_row(graph.tx, unit)? else {
        return Ok(false);
    };
    if !matches!(row.state, UnitState::Dead | UnitState::Cancelled) {
        return Ok(false);
    }
    graph.tx.put_failures(unit, &[])?;
    set_state(graph, unit.step, unit.part, row, UnitState::Ready)?;
    let workflow = graph.workflow;
    for step in dependents(workflow, unit.step) {
        let row = unit_row(graph.tx, UnitId { step, ..unit })?;
        let Some(row) = row.filter(|r| r.state == UnitState::Cancelled) else {
            continue;
        };
        if blocking_step(graph, step, unit.part)?.is_none() {
            set_state(graph, step, unit.part, row, UnitState::Planned)?;
        }
    }
    Ok(true)
}

/// Whether a step of the unit's partition that would run again with another file is leased.
pub fn is_leased(graph: &mut Graph<'_>, unit: UnitId) -> StoreResult<bool> {
    let source = source_of(graph.workflow, unit.step);
    let rows = if source == unit.step {
        Vec::new()
    } else {
        rows_from(graph, unit, source)?
    };
    Ok(rows.iter().any(|(_, row)| row.state == UnitState::Leased))
}

/// Rows of a unit's partition in a step and its dependents, in order.
fn rows_from(
    graph: &mut Graph<'_>,
    unit: UnitId,
    source: StepNo,
) -> StoreResult<Vec<(StepNo, UnitRow)>> {
    let mut rows = Vec::new();
    for step in std::iter::once(source).chain(dependents(graph.workflow, source)) {
        let row = unit_row(graph.tx, UnitId { step, ..unit })?;
        rows.extend(row.map(|row| (step, row)));
    }
    Ok(rows)
}

/// Plans every step of a partition from `source` on again. Not while one of them is leased: it would end as if it had read
/// the new file.
fn replan_from(graph: &mut Graph<'_>, unit: UnitId, source: StepNo) -> StoreResult<bool> {
    let rows = rows_from(graph, unit, source)?;
    let still_dead = rows
        .iter()
        .any(|(step, row)| *step == unit.step && row.state == UnitState::Dead);
    if !still_dead || rows.iter().any(|(_, row)| row.state == UnitState::Leased) {
        return Ok(false);
    }
    // The last ones first, so that no unit becomes ready on the old file once more.
    for (step, row) in rows.into_iter().rev() {
        let of_step = UnitId { step, ..unit };
        if row.state == UnitState::Dead {
            if step != unit.step {
                let failures = graph.tx.failures_of(of_step)?;
                uncount_dead(graph.tx, of_step, &failures, graph.now)?;
            }
            graph.tx.put_failures(of_step, &[])?;
        }
        let to = if step == source {
            UnitState::Ready
        } else {
            UnitState::Planned
        };
        if row.state != to {
            set_state(graph, step, unit.part, row, to)?;
        }
    }
    Ok(true)
}

fn set_state(
    graph: &mut Graph<'_>,
    step: StepNo,
    part: PartNo,
    row: UnitRow,
    state: UnitState,
) -> StoreResult<()> {
    let to = UnitRow {
        state,
        attempt: 0,
        due_at: None,
        ..row
    };
    graph.transition(
        step,
        &[Change {
            part,
            from: Some(row.state),
            to,
            executed_us: None,
        }],
    )?;
    let tolerated = graph
        .workflow
        .step(step)
        .is_some_and(|s| s.on_failure == OnFailure::Continue);
    let (succeeded, failed) = match row.state {
        UnitState::Succeeded => (-1, 0),
        UnitState::Dead if tolerated => (-1, 0),
        UnitState::Dead | UnitState::Cancelled => (0, -1),
        UnitState::Planned | UnitState::Ready | UnitState::Leased | UnitState::Retrying => {
            return Ok(());
        }
    };
    let workflow = graph.workflow;
    for (barrier, dependent) in workflow.dependents(step) {
        if part == 0 || !matches!(dependent.action, Action::Barrier { .. }) {
            continue;
        }
        let partition = graph.tx.partitions(graph.job, &[part])?.remove(0);
        let key = barrier_key(workflow, barrier, &partition);
        // Of an open barrier too: the unit counts again when it ends again.
        graph.add_to_counts(barrier, &key, succeeded, failed)?;
    }
    Ok(())
}

/// A step that failed and without which `step` can never run for this partition.
pub fn blocking_step(
    graph: &mut Graph<'_>,
    step: StepNo,
    part: PartNo,
) -> StoreResult<Option<StepNo>> {
    let workflow = graph.workflow;
    let mut queue: Vec<StepNo> = workflow
        .step(step)
        .map(|s| s.needs.clone())
        .unwrap_or_default();
    while let Some(no) = queue.pop() {
        let Some(need) = workflow.step(no) else {
            continue;
        };
        if need.has_units() {
            let row = unit_row(graph.tx, UnitId::new(graph.job, no, part))?;
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
