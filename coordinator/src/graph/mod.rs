//! Carries a unit's transition through the workflow: counters, dependents that become ready or are cancelled, barriers.
//! Everything happens in the transaction that makes the transition, and counts transitions, never messages (BAR-1).
//!
//! The graph knows the store and nothing above it. Changes of approval units are returned as [`ApprovalChanges`]: the caller
//! hands them to the review, which opens and closes the tasks of people.
mod auto_approval;
mod barrier;
pub mod causes;
mod key;
mod paths;
pub mod redrive;

pub use barrier::RELEASE_PARTS;
pub use key::{barrier_key, batch_key};

use crate::rows::unit_row;
use crate::store::{BarrierRow, BarrierState, StepDelta, StoreResult, Tx, UnitRow};
use auto_approval::auto_approved;
use paths::{behind_barrier, units_before};
use protocol::id::{JobNo, PartNo, StepNo, UnitId};
use protocol::rules::unit::transition::UnitState;
use protocol::time::Timestamp;
use protocol::workflow::on_failure::OnFailure;
use protocol::workflow::{Action, Workflow};
use std::collections::BTreeMap;

/// One job's graph inside one transaction.
pub struct Graph<'a> {
    /// The transaction that makes the transitions.
    pub tx: &'a mut dyn Tx,
    /// Number of the job whose units change state.
    pub job: JobNo,
    /// The workflow of the job.
    pub workflow: &'a Workflow,
    /// Whether every partition of the job is planned.
    pub sealed: bool,
    /// The time of the transitions.
    pub now: Timestamp,
    approvals: ApprovalChanges,
    /// Instances whose release has reached no partition yet, as they are written.
    released: BTreeMap<(StepNo, String), BarrierRow>,
}

/// A transition of one unit.
#[derive(Debug, Clone, Copy)]
pub struct Change {
    /// The partition of the unit.
    pub part: PartNo,
    /// The state of its row before; `None` when it had none.
    pub from: Option<UnitState>,
    /// Its row after.
    pub to: UnitRow,
    /// Microseconds of execution to add to the step's account; `None` when nothing was executed.
    pub executed_us: Option<u64>,
}

/// Transitions of approval units, in the order in which they were made. Dropping them would leave a unit without the task
/// that asks for its approval.
#[must_use = "the review opens and closes tasks by these"]
#[derive(Debug, Default)]
pub struct ApprovalChanges(Vec<(StepNo, Vec<Change>)>);

impl ApprovalChanges {
    /// The transitions by step; a step may come several times.
    pub fn steps(&self) -> impl Iterator<Item = (StepNo, &[Change])> {
        self.0
            .iter()
            .map(|(step, changes)| (*step, changes.as_slice()))
    }

    /// Appends later transitions.
    pub fn extend(&mut self, later: ApprovalChanges) {
        self.0.extend(later.0);
    }
}

impl<'a> Graph<'a> {
    /// The graph of a job; `sealed` when every partition of it is planned.
    pub fn new(
        tx: &'a mut dyn Tx,
        job: JobNo,
        workflow: &'a Workflow,
        sealed: bool,
        now: Timestamp,
    ) -> Graph<'a> {
        Graph {
            tx,
            job,
            workflow,
            sealed,
            now,
            approvals: ApprovalChanges::default(),
            released: BTreeMap::new(),
        }
    }

    /// Writes changes of one step and carries them through the graph.
    pub fn apply(&mut self, step: StepNo, changes: &[Change]) -> StoreResult<ApprovalChanges> {
        self.transition(step, changes)?;
        self.open_released()?;
        Ok(self.take_approvals())
    }

    /// Writes changes of one step and its counters. Dependents and barriers do not see them before [`Graph::carry`].
    pub fn record(&mut self, step: StepNo, changes: &[Change]) -> StoreResult<ApprovalChanges> {
        self.write(step, changes)?;
        Ok(self.take_approvals())
    }

    /// Carries recorded changes of one step through the graph.
    pub fn carry(&mut self, step: StepNo, changes: &[Change]) -> StoreResult<ApprovalChanges> {
        self.follow_up(step, changes)?;
        self.open_released()?;
        Ok(self.take_approvals())
    }

    fn take_approvals(&mut self) -> ApprovalChanges {
        std::mem::take(&mut self.approvals)
    }

    fn transition(&mut self, step: StepNo, changes: &[Change]) -> StoreResult<()> {
        self.write(step, changes)?;
        self.follow_up(step, changes)
    }

    fn write(&mut self, step: StepNo, changes: &[Change]) -> StoreResult<()> {
        if changes.is_empty() {
            return Ok(());
        }
        let rows: Vec<(PartNo, UnitRow)> = changes.iter().map(|c| (c.part, c.to)).collect();
        self.tx.put_units(self.job, step, &rows)?;
        let mut delta = StepDelta::default();
        for change in changes {
            delta.add(StepDelta::transition(change.from, change.to.state));
            if let Some(us) = change.executed_us {
                delta.busy_us = delta
                    .busy_us
                    .saturating_add(i64::try_from(us).unwrap_or(i64::MAX));
                delta.executions += 1;
            }
        }
        self.tx.add_to_step(self.job, step, delta)?;
        if matches!(
            self.workflow.step(step).map(|step| &step.action),
            Some(Action::Approval { .. })
        ) {
            self.approvals.0.push((step, changes.to_vec()));
        }
        Ok(())
    }

    fn follow_up(&mut self, step: StepNo, changes: &[Change]) -> StoreResult<()> {
        let in_state = |state| {
            changes
                .iter()
                .filter(move |c| c.to.state == state)
                .map(|c| c.part)
        };
        let mut passed: Vec<PartNo> = in_state(UnitState::Succeeded).collect();
        let mut failed: Vec<PartNo> = in_state(UnitState::Cancelled).collect();
        if self.tolerates(step) {
            passed.extend(in_state(UnitState::Dead))
        } else {
            failed.extend(in_state(UnitState::Dead))
        }
        self.propagate(step, &passed, &failed)
    }

    fn tolerates(&self, step: StepNo) -> bool {
        self.workflow
            .step(step)
            .is_some_and(|s| s.on_failure == OnFailure::Continue)
    }

    fn propagate(&mut self, step: StepNo, passed: &[PartNo], failed: &[PartNo]) -> StoreResult<()> {
        if passed.is_empty() && failed.is_empty() {
            return Ok(());
        }
        let workflow = self.workflow;
        for (no, dependent) in workflow.dependents(step) {
            match &dependent.action {
                Action::Units { .. } | Action::Approval { .. } => {
                    self.make_ready(no, passed)?;
                    self.cancel(no, failed)?;
                }
                Action::Barrier { .. } => {
                    self.count_members(no, passed, failed)?;
                    for after in behind_barrier(workflow, no) {
                        self.make_ready(after, passed)?;
                        self.cancel(after, failed)?;
                    }
                }
                Action::Seal { .. } => {}
            }
        }
        Ok(())
    }

    /// Makes those of `parts` ready that are untouched and whose needs are all met.
    fn make_ready(&mut self, step: StepNo, parts: &[PartNo]) -> StoreResult<()> {
        let workflow = self.workflow;
        let Some(target) = workflow.step(step).filter(|s| s.has_units()) else {
            return Ok(());
        };
        if parts.is_empty() {
            return Ok(());
        }
        let rows = self.tx.units(self.job, step, parts)?;
        let asked = units_before(workflow, &target.needs);
        if asked != target.needs || asked.len() > 1 {
            self.tx.prefetch(self.job, &asked, parts)?;
        }
        let mut changes = Vec::new();
        for (part, row) in parts.iter().zip(rows) {
            let untouched = row.is_none_or(|r| r.state == UnitState::Planned);
            if untouched && self.needs_met(&target.needs, *part)? {
                let epoch = row.map_or(0, |r| r.epoch);
                let to = UnitRow {
                    state: UnitState::Ready,
                    epoch,
                    attempt: 0,
                    due_at: None,
                    duration_us: 0,
                };
                changes.push(Change {
                    part: *part,
                    from: row.map(|r| r.state),
                    to,
                    executed_us: None,
                });
            }
        }
        let ready: Vec<PartNo> = changes.iter().map(|change| change.part).collect();
        let approved = auto_approved(self.tx, self.job, target, &ready)?;
        for change in changes
            .iter_mut()
            .filter(|change| approved.contains(&change.part))
        {
            change.to.state = UnitState::Succeeded;
        }
        self.transition(step, &changes)
    }

    /// Cancels those of `parts` that are untouched, because a step they need failed, and their dependents.
    fn cancel(&mut self, step: StepNo, parts: &[PartNo]) -> StoreResult<()> {
        let workflow = self.workflow;
        if parts.is_empty() || !workflow.step(step).is_some_and(|s| s.has_units()) {
            return Ok(());
        }
        let rows = self.tx.units(self.job, step, parts)?;
        let untouched = parts
            .iter()
            .zip(rows)
            .filter(|(_, row)| row.is_none_or(|r| r.state == UnitState::Planned));
        let changes: Vec<Change> = untouched
            .map(|(part, row)| Change {
                part: *part,
                from: row.map(|r| r.state),
                to: UnitRow {
                    state: UnitState::Cancelled,
                    epoch: row.map_or(0, |r| r.epoch),
                    attempt: 0,
                    due_at: None,
                    duration_us: 0,
                },
                executed_us: None,
            })
            .collect();
        self.transition(step, &changes)
    }

    fn needs_met(&mut self, needs: &[StepNo], part: PartNo) -> StoreResult<bool> {
        for need in needs {
            if !self.need_met(*need, part)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn need_met(&mut self, need: StepNo, part: PartNo) -> StoreResult<bool> {
        let workflow = self.workflow;
        let Some(step) = workflow.step(need) else {
            return Ok(false);
        };
        match &step.action {
            Action::Units { .. } | Action::Approval { .. } => {
                let row = unit_row(self.tx, UnitId::new(self.job, need, part))?;
                let tolerated = step.on_failure == OnFailure::Continue;
                Ok(row.is_some_and(|r| {
                    r.state == UnitState::Succeeded || (tolerated && r.state == UnitState::Dead)
                }))
            }
            Action::Barrier { .. } => {
                let partition = self.tx.partitions(self.job, &[part])?.remove(0);
                let key = barrier_key(workflow, need, &partition);
                // The release of a sealed job reaches its partitions a page at a time; the others still wait.
                let pending = |b: &BarrierRow| {
                    self.sealed && (b.spread + 1..=b.last).contains(&partition.origin())
                };
                let barrier = self.tx.barrier(self.job, need, &key)?;
                let open =
                    barrier.is_some_and(|b| b.state == BarrierState::Released && !pending(&b));
                // The members of this very partition must have passed: an open barrier may tolerate failures of others.
                Ok(open && self.needs_met(&step.needs, part)?)
            }
            Action::Seal { .. } => Ok(false),
        }
    }
}
