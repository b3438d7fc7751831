//! Facts about the wait of a unit, from which the rule names the reason.
use crate::graph::barrier_key;
use crate::query::pending_tasks::PendingTasks;
use crate::query::wait_details;
use crate::reconcile::settlement::RESTORING;
use crate::rows::unit_row;
use crate::store::{
    BarrierState, JobRow, JobState, MultipartState, Phase, StoreResult, TaskRow, Tx, WithheldRow,
};
use protocol::id::{PartNo, StepNo, UnitId};
use protocol::rules::schedule::wait_reason::WaitFacts;
use protocol::rules::unit::transition::UnitState;
use protocol::time::Timestamp;
use protocol::workflow::{Action, Step, Workflow};

/// What is known about the wait of a unit.
pub(super) struct UnitWait {
    pub(super) state: UnitState,
    /// Facts that the rule judges.
    pub(super) facts: WaitFacts,
    /// The step, barrier or archive that the unit waits for; empty when there is none.
    pub(super) named: String,
    /// Why the scheduler dispatches no units of the step.
    pub(super) withheld: Option<WithheldRow>,
    /// Open tasks of the partition.
    pub(super) tasks: Vec<TaskRow>,
}

impl UnitWait {
    /// Reads the facts about a unit of a declared step.
    pub(super) fn read(
        tx: &mut dyn Tx,
        workflow: &Workflow,
        job: &JobRow,
        (unit, declared): (UnitId, &Step),
        now: Timestamp,
    ) -> StoreResult<UnitWait> {
        let row = unit_row(tx, unit)?;
        let state = match row {
            Some(row) => row.state,
            None => state_without_row(tx, job, (unit, declared))?,
        };
        let withheld = tx.withheld(job.no)?;
        let mut wait = UnitWait {
            state,
            facts: WaitFacts {
                state: Some(state),
                paused: job.state == JobState::Paused,
                cancelled: matches!(job.state, JobState::Cancelling | JobState::Cancelled),
                scanned: job.phase != Phase::Scanning,
                planned: unit.part <= job.parts,
                due_at: row.and_then(|r| r.due_at),
                approval: matches!(declared.action, Action::Approval { .. }),
                ..WaitFacts::default()
            },
            named: String::new(),
            withheld: withheld.into_iter().find(|row| row.step == unit.step),
            tasks: PendingTasks::of(job.no, workflow).tasks(tx, unit.part)?,
        };
        wait.facts.withheld = wait.withheld.as_ref().map(|row| row.reason);
        wait.facts.task_open = !wait.tasks.is_empty();
        if let Some(kind) = declared.kind().filter(|_| state == UnitState::Ready) {
            wait.facts.slots = wait_details::slots(tx, kind, now)?;
        }
        for need in &declared.needs {
            wait.look_at_need(tx, workflow, job, *need, unit.part)?;
        }
        if let Some(note) = restoring(tx, unit, state)? {
            wait.facts.restoring = true;
            wait.named = note;
        }
        if state == UnitState::Leased {
            let multipart = tx.multipart(unit)?;
            wait.facts.slices_open =
                multipart.is_some_and(|multipart| multipart.state == MultipartState::Open);
        }
        Ok(wait)
    }

    /// Notes whether a step or barrier that the unit needs is open, held or failed.
    fn look_at_need(
        &mut self,
        tx: &mut dyn Tx,
        workflow: &Workflow,
        job: &JobRow,
        need: StepNo,
        part: PartNo,
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
            self.facts.barrier_open |= state == BarrierState::Waiting;
            self.facts.barrier_held |= state == BarrierState::Held;
            if state != BarrierState::Released {
                self.named = format!("{} {key}", step.id);
            }
            return Ok(());
        }
        let row = unit_row(tx, UnitId::new(job.no, need, part))?.map(|r| r.state);
        match row {
            Some(UnitState::Succeeded) => {}
            Some(UnitState::Dead | UnitState::Cancelled) => {
                self.facts.step_failed = true;
                self.named.clone_from(&step.id);
            }
            _ => {
                self.facts.step_open = true;
                self.named.clone_from(&step.id);
            }
        }
        Ok(())
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

/// The state of a unit without a row, from the cursor of its step.
fn state_without_row(
    tx: &mut dyn Tx,
    job: &JobRow,
    (unit, declared): (UnitId, &Step),
) -> StoreResult<UnitState> {
    let computed = declared.needs.is_empty() && declared.has_units();
    let cursor = tx
        .steps(job.no)?
        .into_iter()
        .find(|c| c.step == unit.step)
        .map(|c| c.cursor);
    Ok(match cursor {
        Some(cursor) if computed && unit.part <= cursor => UnitState::Leased,
        _ if job.state.has_ended() => UnitState::Cancelled,
        _ if computed => UnitState::Ready,
        _ => UnitState::Planned,
    })
}
