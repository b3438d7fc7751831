//! Carries a unit's transition through the workflow: counters, units that become ready or will never run, barriers.
//! Everything happens in the transaction that makes the transition, and counts transitions, never messages (BAR-1).
use super::rework::approvals;
use crate::store::cost::page as share_of;
use crate::store::{BarrierRow, BarrierState, Partition, StepDelta, StoreResult, Tx, UnitRow};
use protocol::id::{JobNo, PartNo, StepNo};
use protocol::invariant;
use protocol::invariant::BAR_1;
use protocol::model::barrier::Scope;
use protocol::rules::barrier::{BarrierDecision, BarrierPolicy, evaluate};
use protocol::rules::unit::transition::UnitState;
use protocol::time::Timestamp;
use protocol::workflow::file::OnFailure;
use protocol::workflow::{Action, Workflow};
use std::collections::BTreeMap;

/// Planned partitions told of an open barrier in one go.
const SPREAD_PARTS: u32 = 2_000;
/// Assets of such partitions, where somebody is asked about each of them.
const SPREAD_ASSETS: u32 = 4_000;

/// One job's graph inside one transaction.
pub struct Graph<'a> {
    /// The transaction.
    pub tx: &'a mut dyn Tx,
    /// The job.
    pub job: JobNo,
    /// What it runs.
    pub workflow: &'a Workflow,
    /// Whether every partition is cut.
    pub sealed: bool,
    /// The moment.
    pub now: Timestamp,
}

/// A unit going from one state to another.
#[derive(Debug, Clone, Copy)]
pub struct Change {
    /// Its partition.
    pub part: PartNo,
    /// The state of its row before; `None` when it had none.
    pub from: Option<UnitState>,
    /// Its row after.
    pub to: UnitRow,
    /// Microseconds of execution to add to the step's account; `None` when nothing was executed.
    pub executed_us: Option<u64>,
}

impl Graph<'_> {
    /// Writes changes of one step and carries them through the graph.
    pub fn apply(&mut self, step: StepNo, changes: &[Change]) -> StoreResult<()> {
        self.record(step, changes)?;
        self.carry(step, changes)
    }

    /// Writes changes of one step and its counters; nothing else hears of them yet.
    pub fn record(&mut self, step: StepNo, changes: &[Change]) -> StoreResult<()> {
        if changes.is_empty() {
            return Ok(());
        }
        let rows: Vec<(PartNo, UnitRow)> = changes.iter().map(|c| (c.part, c.to)).collect();
        self.tx.put_units(self.job, step, &rows)?;
        let mut delta = StepDelta::default();
        for change in changes {
            delta.add(StepDelta::transition(change.from, change.to.state));
            if let Some(us) = change.executed_us {
                delta.busy_us = delta.busy_us.saturating_add(i64::try_from(us).unwrap_or(i64::MAX));
                delta.executions += 1;
            }
        }
        self.tx.add_to_step(self.job, step, delta)?;
        match self.workflow.step(step) {
            Some(declared) => approvals::follow(self.tx, (self.job, step, declared), changes, self.now),
            None => Ok(()),
        }
    }

    /// Carries recorded changes of one step through the graph.
    pub fn carry(&mut self, step: StepNo, changes: &[Change]) -> StoreResult<()> {
        let in_state = |state| changes.iter().filter(move |c| c.to.state == state).map(|c| c.part);
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
        self.workflow.step(step).is_some_and(|s| s.on_failure == OnFailure::Continue)
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
                    self.tally(no, passed, failed)?;
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

    /// Makes those of `parts` ready whose every need is met and that have not been touched yet.
    fn make_ready(&mut self, step: StepNo, parts: &[PartNo]) -> StoreResult<()> {
        let workflow = self.workflow;
        let Some(target) = workflow.step(step).filter(|s| s.has_units()) else { return Ok(()) };
        if parts.is_empty() {
            return Ok(());
        }
        let rows = self.tx.units(self.job, step, parts)?;
        let asked = units_before(workflow, &target.needs);
        if asked != target.needs || asked.len() > 1 {
            self.tx.foresee(self.job, &asked, parts)?;
        }
        let mut changes = Vec::new();
        for (part, row) in parts.iter().zip(rows) {
            let untouched = row.is_none_or(|r| r.state == UnitState::Planned);
            if untouched && self.needs_met(&target.needs, *part)? {
                let epoch = row.map_or(0, |r| r.epoch);
                let to = UnitRow { state: UnitState::Ready, epoch, attempt: 0, due_at: None, duration_us: 0 };
                changes.push(Change { part: *part, from: row.map(|r| r.state), to, executed_us: None });
            }
        }
        let ready: Vec<PartNo> = changes.iter().map(|change| change.part).collect();
        let unasked = approvals::unasked(self.tx, self.job, target, &ready)?;
        for change in changes.iter_mut().filter(|change| unasked.contains(&change.part)) {
            change.to.state = UnitState::Succeeded;
        }
        self.apply(step, &changes)
    }

    /// Cancels those of `parts` that can never run because something they need failed, and whatever needs them.
    fn cancel(&mut self, step: StepNo, parts: &[PartNo]) -> StoreResult<()> {
        let workflow = self.workflow;
        if parts.is_empty() || !workflow.step(step).is_some_and(|s| s.has_units()) {
            return Ok(());
        }
        let rows = self.tx.units(self.job, step, parts)?;
        let untouched = parts.iter().zip(rows).filter(|(_, row)| row.is_none_or(|r| r.state == UnitState::Planned));
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
        self.apply(step, &changes)
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
        let Some(step) = workflow.step(need) else { return Ok(false) };
        match &step.action {
            Action::Units { .. } | Action::Approval { .. } => {
                let row = self.tx.units(self.job, need, &[part])?.pop().flatten();
                let tolerated = step.on_failure == OnFailure::Continue;
                Ok(row.is_some_and(|r| r.state == UnitState::Succeeded || (tolerated && r.state == UnitState::Dead)))
            }
            Action::Barrier { .. } => {
                let partition = self.tx.partitions(self.job, &[part])?.remove(0);
                let key = self.key(need, &partition);
                // Of a sealed job, partitions are told of an open barrier a run at a time; those not told yet wait for it.
                let untold = |b: &BarrierRow| self.sealed && (b.spread + 1..=b.last).contains(&partition.origin());
                let barrier = self.tx.barrier(self.job, need, &key)?;
                let open = barrier.is_some_and(|b| b.state == BarrierState::Released && !untold(&b));
                // What the barrier holds must have passed for this very partition: an open barrier may tolerate others.
                Ok(open && self.needs_met(&step.needs, part)?)
            }
            Action::Seal { .. } => Ok(false),
        }
    }

    /// The barrier instance a partition belongs to.
    pub fn key(&self, barrier: StepNo, partition: &Partition) -> String {
        match self.workflow.step(barrier).map(|s| &s.action) {
            Some(Action::Barrier { scope: Scope::Title, .. }) => partition.title.clone(),
            Some(Action::Barrier { scope: Scope::Batch, batch_units, .. }) => {
                batch_key(partition.origin(), *batch_units)
            }
            _ => String::new(),
        }
    }

    fn tally(&mut self, barrier: StepNo, passed: &[PartNo], failed: &[PartNo]) -> StoreResult<()> {
        let mut by_key: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        let workflow = self.workflow;
        let whole_job =
            matches!(workflow.step(barrier).map(|s| &s.action), Some(Action::Barrier { scope: Scope::Job, .. }));
        if whole_job {
            by_key.insert(String::new(), (passed.len() as u64, failed.len() as u64));
        } else {
            for partition in self.tx.partitions(self.job, passed)? {
                by_key.entry(self.key(barrier, &partition)).or_default().0 += 1;
            }
            for partition in self.tx.partitions(self.job, failed)? {
                by_key.entry(self.key(barrier, &partition)).or_default().1 += 1;
            }
        }
        for (key, (succeeded, failed)) in by_key {
            self.count(barrier, &key, succeeded as i64, failed as i64)?;
        }
        Ok(())
    }

    /// Adds to an instance's counts and lets the barrier rule look at it.
    pub fn count(&mut self, barrier: StepNo, key: &str, succeeded: i64, failed: i64) -> StoreResult<()> {
        let Some(mut row) = self.tx.barrier(self.job, barrier, key)? else { return Ok(()) };
        row.succeeded = row.succeeded.saturating_add_signed(succeeded);
        row.failed = row.failed.saturating_add_signed(failed);
        let within = row.succeeded + row.failed <= row.total;
        if !invariant!(BAR_1, within, "barrier {key:?}: {} of {} ended", row.succeeded + row.failed, row.total) {
            tracing::error!(barrier.key = %key, "BAR-1: more members ended than exist");
        }
        self.tx.put_barrier(self.job, &row)?;
        self.judge(row)
    }

    /// Lets the barrier rule look at an instance and carries out what it says.
    pub fn judge(&mut self, mut row: BarrierRow) -> StoreResult<()> {
        let before = row.state;
        if before == BarrierState::Released {
            return Ok(());
        }
        let Some(policy) = self.policy(row.step) else { return Ok(()) };
        row.state = match evaluate(&policy, row.tally(self.sealed), self.now) {
            BarrierDecision::Wait { .. } => BarrierState::Waiting,
            BarrierDecision::Hold { .. } => BarrierState::Held,
            BarrierDecision::Release => BarrierState::Released,
        };
        if row.state == before {
            return Ok(());
        }
        if row.state == BarrierState::Released {
            row.released_at = Some(self.now);
            row.spread = row.first - 1;
        }
        self.tx.put_barrier(self.job, &row)?;
        self.tell_outer(row.step, before, row.state)?;
        if row.state == BarrierState::Released {
            self.spread(row)?;
        }
        Ok(())
    }

    /// The policy of a barrier step.
    pub fn policy(&self, barrier: StepNo) -> Option<BarrierPolicy> {
        match self.workflow.step(barrier).map(|s| &s.action) {
            Some(Action::Barrier { policy, .. }) => Some(*policy),
            _ => None,
        }
    }

    /// A barrier over barriers counts each instance it holds as one member.
    fn tell_outer(&mut self, barrier: StepNo, from: BarrierState, to: BarrierState) -> StoreResult<()> {
        let weight = |state: BarrierState| match state {
            BarrierState::Waiting => (0, 0),
            BarrierState::Released => (1, 0),
            BarrierState::Held => (0, 1),
        };
        let (before, after) = (weight(from), weight(to));
        let workflow = self.workflow;
        for (outer, step) in workflow.dependents(barrier) {
            if matches!(step.action, Action::Barrier { .. }) {
                self.count(outer, "", after.0 - before.0, after.1 - before.1)?;
            }
        }
        Ok(())
    }

    /// Tells the next run of partitions that their barrier is open. Returns whether all have been told.
    pub fn spread(&mut self, mut row: BarrierRow) -> StoreResult<bool> {
        let until = self.spread_until(&row)?;
        let mut parts: Vec<PartNo> = (row.spread + 1..=until).collect();
        parts.extend(self.tx.children(self.job, row.spread + 1, until)?);
        row.spread = until;
        self.tx.put_barrier(self.job, &row)?;
        self.open_for(row.step, &parts)?;
        Ok(until >= row.last)
    }

    /// The last partition to be told in one go. Where an approval is behind the barrier each asset is looked up, so assets
    /// bound the run as well; one partition is told however large it is.
    fn spread_until(&mut self, row: &BarrierRow) -> StoreResult<PartNo> {
        let until = row.last.min(row.spread + PartNo::from(share_of(SPREAD_PARTS)));
        let workflow = self.workflow;
        let approval = |no: &StepNo| matches!(workflow.step(*no).map(|s| &s.action), Some(Action::Approval { .. }));
        if !behind_barrier(workflow, row.step).iter().any(approval) {
            return Ok(until);
        }
        let parts: Vec<PartNo> = (row.spread + 1..=until).collect();
        let (mut last, mut assets) = (row.spread, 0);
        for partition in self.tx.partitions(self.job, &parts)? {
            assets += partition.assets;
            if assets > share_of(SPREAD_ASSETS) && last > row.spread {
                break;
            }
            last = partition.part;
        }
        Ok(last)
    }

    /// Everything behind an open barrier, through barriers it completes, for these partitions.
    fn open_for(&mut self, barrier: StepNo, parts: &[PartNo]) -> StoreResult<()> {
        let workflow = self.workflow;
        for no in behind_barrier(workflow, barrier) {
            self.make_ready(no, parts)?;
        }
        Ok(())
    }
}

/// Steps whose units decide whether these needs are met, barriers between them or not.
fn units_before(workflow: &Workflow, needs: &[StepNo]) -> Vec<StepNo> {
    let (mut units, mut open) = (Vec::new(), needs.to_vec());
    while let Some(no) = open.pop() {
        let Some(step) = workflow.step(no) else { continue };
        match &step.action {
            Action::Units { .. } | Action::Approval { .. } if !units.contains(&no) => units.push(no),
            Action::Barrier { .. } => open.extend(&step.needs),
            _ => {}
        }
    }
    units
}

/// Unit steps behind a barrier, through barriers over it too.
fn behind_barrier(workflow: &Workflow, barrier: StepNo) -> Vec<StepNo> {
    let mut behind = Vec::new();
    let mut barriers = vec![barrier];
    while let Some(barrier) = barriers.pop() {
        for (no, step) in workflow.dependents(barrier) {
            let list = if step.has_units() { &mut behind } else { &mut barriers };
            if !list.contains(&no) {
                list.push(no);
            }
        }
    }
    behind
}

/// The batch a planned partition belongs to; padded so that text order is number order.
pub fn batch_key(part: PartNo, batch_units: u32) -> String {
    format!("{:010}", (part - 1).max(0) / i64::from(batch_units.max(1)))
}
