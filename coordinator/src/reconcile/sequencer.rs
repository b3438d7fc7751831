//! Transitions that no single report triggers: timers of barriers, pages of a release, seals, and the end of a job. It runs in
//! every turn, so that a lost wake-up costs a moment, never a hang.
use crate::graph::{Change, Graph, RELEASE_PARTS};
use crate::review::approvals::{sync_step, sync_tasks};
use crate::rows::{job_row, unit_row};
use crate::store::cost::page as share_of;
use crate::store::{
    BarrierRow, BarrierState, JobRow, JobState, OperationState, Phase, StepDelta, StepRow,
    StoreResult, Tx, UnitRow,
};
use crate::workflows::Workflows;
use protocol::id::{JobNo, PartNo, StepNo, UnitId};
use protocol::rules::unit::transition::UnitState;
use protocol::time::Timestamp;
use protocol::workflow::{Action, Workflow};

/// Barrier instances looked at in one transaction.
const PAGE_BARRIERS: u32 = 1_000;
/// Latest operations of a job looked at before it ends.
const OPERATIONS_PAGE: u32 = 32;

/// Position of a sweep over the barriers of a job.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sweep {
    /// The barrier step and instance looked at last.
    after: Option<(StepNo, String)>,
    /// The sealed job has been swept to the end.
    done: bool,
    /// When a barrier opens by time alone.
    pub next_timer: Option<Timestamp>,
}

/// Advances one job by one step. Returns whether there may be more to do at once.
pub fn advance(
    tx: &mut dyn Tx,
    workflows: &Workflows,
    job: JobNo,
    sweep: &mut Sweep,
    now: Timestamp,
) -> StoreResult<bool> {
    let row = job_row(tx, job)?;
    if row.state.has_ended() {
        return Ok(false);
    }
    if row.state == JobState::Cancelling {
        return cancel_rows(tx, workflows, job, now);
    }
    if row.phase != Phase::Sealed {
        return Ok(false);
    }
    let workflow = workflows.of(tx, job)?;
    if sweep.next_timer.is_some_and(|due| due <= now) {
        *sweep = Sweep::default();
    }
    if !sweep.done {
        let mut graph = Graph::new(tx, job, &workflow, true, now);
        sweep_page(&mut graph, sweep)?;
        return Ok(true);
    }
    if spread_page(tx, &workflow, job, now)? {
        return Ok(true);
    }
    let counters = tx.steps(job)?;
    make_seals(tx, &workflow, &row, &counters)?;
    finish(tx, &workflow, job, sweep, now)?;
    Ok(false)
}

fn sweep_page(graph: &mut Graph<'_>, sweep: &mut Sweep) -> StoreResult<()> {
    let workflow = graph.workflow;
    let barriers: Vec<StepNo> = workflow
        .numbered()
        .filter(|(_, s)| matches!(s.action, Action::Barrier { .. }))
        .map(|(no, _)| no)
        .collect();
    let (step, after) = match &sweep.after {
        Some((step, key)) => (Some(*step), Some(key.clone())),
        None => (barriers.first().copied(), None),
    };
    let Some(step) = step else {
        sweep.done = true;
        return Ok(());
    };
    let instances = share_of(PAGE_BARRIERS);
    // A held instance is looked at too: time alone can open it.
    let page = graph
        .tx
        .barriers(graph.job, step, None, after.as_deref(), instances)?;
    let last = page.last().map(|row| row.key.clone());
    let full = page.len() == instances as usize;
    for row in &page {
        note_timer(graph, row, sweep);
    }
    let (reached, approvals) = graph.evaluate_barriers(page)?;
    sync_tasks(graph, &approvals)?;
    if reached != last {
        sweep.after = reached.map(|key| (step, key));
        return Ok(());
    }
    sweep.after = match last.filter(|_| full) {
        Some(key) => Some((step, key)),
        None => match barriers.iter().find(|no| **no > step) {
            Some(next) => Some((*next, String::new())),
            None => {
                sweep.done = true;
                None
            }
        },
    };
    // The empty key is a job's own instance, which `after` would pass over.
    if let Some((next, key)) = &sweep.after
        && key.is_empty()
        && let Some(row) = graph.tx.barrier(graph.job, *next, "")?
    {
        note_timer(graph, &row, sweep);
        let (_, approvals) = graph.evaluate_barriers(vec![row])?;
        sync_tasks(graph, &approvals)?;
    }
    Ok(())
}

fn note_timer(graph: &Graph<'_>, row: &BarrierRow, sweep: &mut Sweep) {
    let until = graph
        .policy(row.step)
        .and_then(|p| p.until)
        .filter(|until| *until > graph.now);
    if let Some(until) = until.filter(|_| row.state != BarrierState::Released) {
        sweep.next_timer = Some(sweep.next_timer.map_or(until, |t| t.min(until)));
    }
}

fn spread_page(
    tx: &mut dyn Tx,
    workflow: &Workflow,
    job: JobNo,
    now: Timestamp,
) -> StoreResult<bool> {
    for (no, step) in workflow.numbered() {
        let Action::Barrier { .. } = step.action else {
            continue;
        };
        let mut rows = tx.barriers_spreading(job, no, 1)?;
        let together = rows.first().map_or(0, releases_of_a_page);
        if together > 1 {
            rows = tx.barriers_spreading(job, no, share_of(together))?;
        }
        if !rows.is_empty() {
            let mut graph = Graph::new(tx, job, workflow, true, now);
            let approvals = graph.fan_out_releases(rows)?;
            sync_tasks(&mut graph, &approvals)?;
            return Ok(true);
        }
    }
    Ok(false)
}

/// Instances like this one that a page of a release reaches: more of them would be read in vain.
fn releases_of_a_page(first: &BarrierRow) -> u32 {
    let left = u32::try_from(first.last - first.spread)
        .unwrap_or(u32::MAX)
        .max(1);
    (RELEASE_PARTS / left).clamp(1, PAGE_BARRIERS)
}

/// Whether an operation may still bring back units of a job: what has ended then has not ended for good.
fn brings_back(tx: &mut dyn Tx, job: JobNo) -> StoreResult<bool> {
    Ok(tx
        .running_operations(OPERATIONS_PAGE)?
        .iter()
        .any(|operation| operation.job.is_none_or(|of| of == job)))
}

/// A seal runs once everything it closes has ended, well or badly.
fn make_seals(
    tx: &mut dyn Tx,
    workflow: &Workflow,
    job: &JobRow,
    counters: &[StepRow],
) -> StoreResult<()> {
    for (no, step) in workflow.numbered() {
        let Action::Seal { of, .. } = &step.action else {
            continue;
        };
        let counter = |no: StepNo| counters.iter().find(|c| c.step == no);
        let (Some(own), Some(closed)) = (counter(no), counter(*of)) else {
            continue;
        };
        let all_ended = closed.succeeded + closed.dead + closed.cancelled == closed.total;
        if own.total > 0 || !all_ended || closed.succeeded == 0 || brings_back(tx, job.no)? {
            continue;
        }
        // A seal that is made again after a retry keeps its history of epochs.
        let epoch = unit_row(tx, UnitId::new(job.no, no, 0))?.map_or(0, |row| row.epoch);
        let row = UnitRow {
            state: UnitState::Ready,
            epoch,
            attempt: 0,
            due_at: None,
            duration_us: 0,
        };
        tx.put_units(job.no, no, &[(0, row)])?;
        tx.add_to_step(
            job.no,
            no,
            StepDelta {
                total: 1,
                live: 1,
                ..StepDelta::default()
            },
        )?;
    }
    Ok(())
}

/// Ends a job when nothing is out, nothing can become ready by itself, and no timer is pending.
fn finish(
    tx: &mut dyn Tx,
    workflow: &Workflow,
    job: JobNo,
    sweep: &Sweep,
    now: Timestamp,
) -> StoreResult<()> {
    let counters = tx.steps(job)?;
    if sweep.next_timer.is_some() && timer_pending(tx, workflow, job)? {
        return Ok(());
    }
    for (no, step) in workflow.numbered() {
        let Some(counter) = counters.iter().find(|c| c.step == no) else {
            continue;
        };
        let ended = counter.succeeded + counter.dead + counter.cancelled;
        let computed = step.needs.is_empty() && step.has_units();
        if counter.live > 0 || (computed && ended < counter.total) {
            return Ok(());
        }
    }
    if tx
        .operations(Some(job), OPERATIONS_PAGE)?
        .iter()
        .any(|o| o.state == OperationState::Running)
    {
        // An operator's retry has not brought everything back yet.
        return Ok(());
    }
    let mut row = job_row(tx, job)?;
    if row.state != JobState::Running {
        return Ok(());
    }
    let clean = row.row_errors == 0
        && counters.iter().all(|c| c.succeeded == c.total)
        && no_barrier_left(tx, workflow, job)?;
    row.state = if clean {
        JobState::Succeeded
    } else {
        JobState::FinishedWithFailures
    };
    row.ended_at = Some(now);
    tx.update_job(&row)
}

/// Whether time alone can still open a barrier. One that opened before its time no longer holds the job open.
fn timer_pending(tx: &mut dyn Tx, workflow: &Workflow, job: JobNo) -> StoreResult<bool> {
    for (no, step) in workflow.numbered() {
        let Action::Barrier { policy, .. } = &step.action else {
            continue;
        };
        if policy.until.is_some() {
            let counts = tx.barrier_counts(job, no)?;
            if counts.released < counts.total {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

fn no_barrier_left(tx: &mut dyn Tx, workflow: &Workflow, job: JobNo) -> StoreResult<bool> {
    for (no, step) in workflow.numbered() {
        if matches!(step.action, Action::Barrier { .. }) {
            let counts = tx.barrier_counts(job, no)?;
            if counts.released < counts.total {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// Cancels units of one step, none of them out.
fn cancel_step(
    tx: &mut dyn Tx,
    workflow: &Workflow,
    job: JobNo,
    units: &[(UnitId, UnitRow)],
    now: Timestamp,
) -> StoreResult<()> {
    let (Some(step), mut delta) = (units.first().map(|(id, _)| id.step), StepDelta::default())
    else {
        return Ok(());
    };
    let mut changes = Vec::with_capacity(units.len());
    for (id, row) in units {
        let to = UnitRow {
            state: UnitState::Cancelled,
            due_at: None,
            ..*row
        };
        changes.push(Change {
            part: id.part,
            from: Some(row.state),
            to,
            executed_us: None,
        });
        delta.add(StepDelta::transition(Some(row.state), UnitState::Cancelled));
        // A planned seal counts in its step only from here on.
        delta.total += i64::from(id.part == 0 && row.state == UnitState::Planned);
    }
    let rows: Vec<(PartNo, UnitRow)> = changes
        .iter()
        .map(|change| (change.part, change.to))
        .collect();
    tx.put_units(job, step, &rows)?;
    tx.add_to_step(job, step, delta)?;
    sync_step(tx, job, workflow, (step, &changes), now)
}

/// Cancels what is not out, a page at a time; the job ends when nothing is out any more.
fn cancel_rows(
    tx: &mut dyn Tx,
    workflows: &Workflows,
    job: JobNo,
    now: Timestamp,
) -> StoreResult<bool> {
    let workflow = workflows.of(tx, job)?;
    // What a retry brought back waits as planned for what it needs; it is not left so.
    for state in [UnitState::Ready, UnitState::Retrying, UnitState::Planned] {
        let page = tx.units_in(job, state, None, share_of(PAGE_BARRIERS))?;
        for of_step in page.chunk_by(|a, b| a.0.step == b.0.step) {
            cancel_step(tx, &workflow, job, of_step, now)?;
        }
        if !page.is_empty() {
            return Ok(true);
        }
    }
    let counters = tx.steps(job)?;
    for (no, step) in workflow.numbered() {
        let live = counters.iter().find(|c| c.step == no).map_or(0, |c| c.live);
        let computed = step.needs.is_empty() && step.has_units();
        if live > 0 || (computed && !tx.computed_out(job, no, 0, 1)?.is_empty()) {
            return Ok(false);
        }
    }
    let mut row = job_row(tx, job)?;
    row.state = JobState::Cancelled;
    row.ended_at = Some(now);
    tx.update_job(&row)?;
    Ok(false)
}
