//! Barriers: counts of their members, evaluation, and the release of the partitions behind them.
use super::key::barrier_key;
use super::paths::behind_barrier;
use super::{ApprovalChanges, Graph};
use crate::store::cost::page as share_of;
use crate::store::{BarrierRow, BarrierState, StoreResult};
use protocol::id::{PartNo, StepNo};
use protocol::invariant;
use protocol::invariant::Invariant;
use protocol::model::barrier::Scope;
use protocol::rules::barrier::{BarrierDecision, BarrierPolicy, evaluate};
use protocol::workflow::Action;
use std::collections::BTreeMap;

/// Planned partitions that one page of a release reaches.
const RELEASE_PARTS: u32 = 2_000;
/// Assets of such a page, where each of them may need an approval.
const RELEASE_ASSETS: u32 = 4_000;

impl Graph<'_> {
    /// Counts members of a barrier that have ended.
    pub(super) fn count_members(&mut self, barrier: StepNo, passed: &[PartNo], failed: &[PartNo]) -> StoreResult<()> {
        let mut by_key: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        let workflow = self.workflow;
        let whole_job =
            matches!(workflow.step(barrier).map(|s| &s.action), Some(Action::Barrier { scope: Scope::Job, .. }));
        if whole_job {
            by_key.insert(String::new(), (passed.len() as u64, failed.len() as u64));
        } else {
            for partition in self.tx.partitions(self.job, passed)? {
                by_key.entry(barrier_key(workflow, barrier, &partition)).or_default().0 += 1;
            }
            for partition in self.tx.partitions(self.job, failed)? {
                by_key.entry(barrier_key(workflow, barrier, &partition)).or_default().1 += 1;
            }
        }
        for (key, (succeeded, failed)) in by_key {
            self.add_to_counts(barrier, &key, succeeded as i64, failed as i64)?;
        }
        Ok(())
    }

    /// Adds ended members to the counts of an instance and evaluates it.
    pub fn count(&mut self, barrier: StepNo, key: &str, succeeded: i64, failed: i64) -> StoreResult<ApprovalChanges> {
        self.add_to_counts(barrier, key, succeeded, failed)?;
        Ok(self.take_approvals())
    }

    pub(super) fn add_to_counts(&mut self, barrier: StepNo, key: &str, succeeded: i64, failed: i64) -> StoreResult<()> {
        let Some(mut row) = self.tx.barrier(self.job, barrier, key)? else { return Ok(()) };
        row.succeeded = row.succeeded.saturating_add_signed(succeeded);
        row.failed = row.failed.saturating_add_signed(failed);
        let within = row.succeeded + row.failed <= row.total;
        if !invariant!(
            Invariant::Bar1,
            within,
            "barrier {key:?}: {} of {} ended",
            row.succeeded + row.failed,
            row.total
        ) {
            tracing::error!(barrier.key = %key, "BAR-1: more members ended than exist");
        }
        self.tx.put_barrier(self.job, &row)?;
        self.judge(row)
    }

    /// Evaluates an instance by the barrier rule and carries the decision out.
    pub fn evaluate_barrier(&mut self, row: BarrierRow) -> StoreResult<ApprovalChanges> {
        self.judge(row)?;
        Ok(self.take_approvals())
    }

    fn judge(&mut self, mut row: BarrierRow) -> StoreResult<()> {
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
        self.count_in_outer_barrier(row.step, before, row.state)?;
        if row.state == BarrierState::Released {
            self.release_page(row)?;
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
    fn count_in_outer_barrier(&mut self, barrier: StepNo, from: BarrierState, to: BarrierState) -> StoreResult<()> {
        let weight = |state: BarrierState| match state {
            BarrierState::Waiting => (0, 0),
            BarrierState::Released => (1, 0),
            BarrierState::Held => (0, 1),
        };
        let (before, after) = (weight(from), weight(to));
        let workflow = self.workflow;
        for (outer, step) in workflow.dependents(barrier) {
            if matches!(step.action, Action::Barrier { .. }) {
                self.add_to_counts(outer, "", after.0 - before.0, after.1 - before.1)?;
            }
        }
        Ok(())
    }

    /// Fans the release of a barrier out to the next page of partitions.
    pub fn fan_out_release(&mut self, row: BarrierRow) -> StoreResult<ApprovalChanges> {
        self.release_page(row)?;
        Ok(self.take_approvals())
    }

    fn release_page(&mut self, mut row: BarrierRow) -> StoreResult<()> {
        let until = self.page_end(&row)?;
        let mut parts: Vec<PartNo> = (row.spread + 1..=until).collect();
        parts.extend(self.tx.children(self.job, row.spread + 1, until)?);
        row.spread = until;
        self.tx.put_barrier(self.job, &row)?;
        self.open_for(row.step, &parts)
    }

    /// The last partition of a page. Where an approval is behind the barrier each asset is looked up, so assets bound the
    /// page as well; a page has one partition at least, however large it is.
    fn page_end(&mut self, row: &BarrierRow) -> StoreResult<PartNo> {
        let until = row.last.min(row.spread + PartNo::from(share_of(RELEASE_PARTS)));
        let workflow = self.workflow;
        let approval = |no: &StepNo| matches!(workflow.step(*no).map(|s| &s.action), Some(Action::Approval { .. }));
        if !behind_barrier(workflow, row.step).iter().any(approval) {
            return Ok(until);
        }
        let parts: Vec<PartNo> = (row.spread + 1..=until).collect();
        let (mut last, mut assets) = (row.spread, 0);
        for partition in self.tx.partitions(self.job, &parts)? {
            assets += partition.assets;
            if assets > share_of(RELEASE_ASSETS) && last > row.spread {
                break;
            }
            last = partition.part;
        }
        Ok(last)
    }

    /// Makes units of these partitions ready behind an open barrier, also through barriers that it completes.
    fn open_for(&mut self, barrier: StepNo, parts: &[PartNo]) -> StoreResult<()> {
        let workflow = self.workflow;
        for no in behind_barrier(workflow, barrier) {
            self.make_ready(no, parts)?;
        }
        Ok(())
    }
}
