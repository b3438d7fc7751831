//! Barriers: counts of their members, evaluation, and the release of the partitions behind them.
use super::key::barrier_key;
use super::paths::behind_barrier;
use super::{ApprovalChanges, Graph};
use crate::store::cost::{is_full, page as share_of};
use crate::store::{BarrierRow, BarrierState, StoreResult};
use protocol::id::{PartNo, StepNo};
use protocol::invariant;
use protocol::invariant::Invariant;
use protocol::model::barrier::Scope;
use protocol::rules::barrier::{BarrierDecision, BarrierPolicy, evaluate};
use protocol::workflow::Action;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// Planned partitions that one page of a release reaches.
pub const RELEASE_PARTS: u32 = 2_000;
/// Assets of such a page, where each of them may need an approval.
const RELEASE_ASSETS: u32 = 4_000;
/// Largest distance in partitions of two ranges that share a query.
const NEAR: PartNo = 64;

impl Graph<'_> {
    /// Counts members of a barrier that have ended.
    pub(super) fn count_members(
        &mut self,
        barrier: StepNo,
        passed: &[PartNo],
        failed: &[PartNo],
    ) -> StoreResult<()> {
        let mut by_key: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        let workflow = self.workflow;
        let whole_job = matches!(
            workflow.step(barrier).map(|s| &s.action),
            Some(Action::Barrier {
                scope: Scope::Job,
                ..
            })
        );
        if whole_job {
            by_key.insert(String::new(), (passed.len() as u64, failed.len() as u64));
        } else {
            for partition in self.tx.partitions(self.job, passed)? {
                by_key
                    .entry(barrier_key(workflow, barrier, &partition))
                    .or_default()
                    .0 += 1;
            }
            for partition in self.tx.partitions(self.job, failed)? {
                by_key
                    .entry(barrier_key(workflow, barrier, &partition))
                    .or_default()
                    .1 += 1;
            }
        }
        for (key, (succeeded, failed)) in by_key {
            self.add_to_counts(barrier, &key, succeeded as i64, failed as i64)?;
        }
        Ok(())
    }

    /// Adds ended members to the counts of an instance and evaluates it.
    pub fn count(
        &mut self,
        barrier: StepNo,
        key: &str,
        succeeded: i64,
        failed: i64,
    ) -> StoreResult<ApprovalChanges> {
        self.add_to_counts(barrier, key, succeeded, failed)?;
        self.open_released()?;
        Ok(self.take_approvals())
    }

    pub(super) fn add_to_counts(
        &mut self,
        barrier: StepNo,
        key: &str,
        succeeded: i64,
        failed: i64,
    ) -> StoreResult<()> {
        let Some(mut row) = self.tx.barrier(self.job, barrier, key)? else {
            return Ok(());
        };
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
        let before = self.decide(&mut row);
        self.tx.put_barrier(self.job, &row)?;
        self.follow_decision(before, row)
    }

    /// Evaluates instances by the barrier rule, one after the other, and carries the decisions out. Returns the key of the
    /// last instance that was evaluated: a transaction that is full leaves the others to the next one.
    pub fn evaluate_barriers(
        &mut self,
        rows: Vec<BarrierRow>,
    ) -> StoreResult<(Option<String>, ApprovalChanges)> {
        let mut last = None;
        for mut row in rows {
            last = Some(row.key.clone());
            let before = self.decide(&mut row);
            if row.state != before {
                self.tx.put_barrier(self.job, &row)?;
                self.follow_decision(before, row)?;
            }
            if is_full() {
                break;
            }
        }
        self.open_released()?;
        Ok((last, self.take_approvals()))
    }

    /// Lets the barrier rule decide about an instance. Returns the state before; a released instance stays released.
    fn decide(&self, row: &mut BarrierRow) -> BarrierState {
        let before = row.state;
        let Some(policy) = self
            .policy(row.step)
            .filter(|_| before != BarrierState::Released)
        else {
            return before;
        };
        row.state = match evaluate(&policy, row.tally(self.sealed), self.now) {
            BarrierDecision::Wait { .. } => BarrierState::Waiting,
            BarrierDecision::Hold { .. } => BarrierState::Held,
            BarrierDecision::Release => BarrierState::Released,
        };
        if row.state == BarrierState::Released {
            row.released_at = Some(self.now);
            row.spread = row.first - 1;
        }
        before
    }

    fn follow_decision(&mut self, before: BarrierState, row: BarrierRow) -> StoreResult<()> {
        let (step, state, key) = (row.step, row.state, (row.step, row.key.clone()));
        // The counts of an instance may change again before its partitions are opened.
        if state == BarrierState::Released && (state != before || self.released.contains_key(&key))
        {
            self.released.insert(key, row);
        }
        if state == before {
            Ok(())
        } else {
            self.count_in_outer_barrier(step, before, state)
        }
    }

    /// The policy of a barrier step.
    pub fn policy(&self, barrier: StepNo) -> Option<BarrierPolicy> {
        match self.workflow.step(barrier).map(|s| &s.action) {
            Some(Action::Barrier { policy, .. }) => Some(*policy),
            _ => None,
        }
    }

    /// A barrier over barriers counts each instance it holds as one member.
    fn count_in_outer_barrier(
        &mut self,
        barrier: StepNo,
        from: BarrierState,
        to: BarrierState,
    ) -> StoreResult<()> {
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

    /// Fans the releases of instances of a barrier out to the next page of partitions.
    pub fn fan_out_releases(&mut self, rows: Vec<BarrierRow>) -> StoreResult<ApprovalChanges> {
        self.released = rows
            .into_iter()
            .map(|row| ((row.step, row.key.clone()), row))
            .collect();
        self.open_released()?;
        Ok(self.take_approvals())
    }

    /// Opens the partitions of released instances, those of many instances together. In a sealed job the first page is
    /// opened, less in a full transaction: the sequencer opens the others, page by page.
    pub(super) fn open_released(&mut self) -> StoreResult<()> {
        while !self.released.is_empty() {
            let mut pages: BTreeMap<StepNo, Vec<RangeInclusive<PartNo>>> = BTreeMap::new();
            let mut room = Room {
                parts: share_of(RELEASE_PARTS).into(),
                assets: share_of(RELEASE_ASSETS).into(),
            };
            for mut row in std::mem::take(&mut self.released).into_values() {
                // Every transaction opens one instance at least, so that it makes progress.
                if self.sealed && !pages.is_empty() && (is_full() || room.is_taken()) {
                    continue;
                }
                let until = self.page_end(&row, &mut room)?;
                pages
                    .entry(row.step)
                    .or_default()
                    .push(row.spread + 1..=until);
                room.parts -= until - row.spread;
                row.spread = until;
                self.tx.put_barrier(self.job, &row)?;
            }
            for (barrier, ranges) in pages {
                let parts = self.with_children(ranges)?;
                self.open_for(barrier, &parts)?;
            }
        }
        Ok(())
    }

    /// The planned partitions of these ranges and those that were split from them. Ranges close to each other share a
    /// query: titles that end together are neighbours.
    fn with_children(
        &mut self,
        mut ranges: Vec<RangeInclusive<PartNo>>,
    ) -> StoreResult<Vec<PartNo>> {
        // An instance whose assets were all rejected has no partition.
        ranges.retain(|range| !range.is_empty());
        ranges.sort_unstable_by_key(|range| *range.start());
        let mut parts: Vec<PartNo> = ranges.iter().cloned().flatten().collect();
        for group in ranges.chunk_by(|a, b| b.start() - a.end() <= NEAR) {
            let [first, .., last] = group else {
                parts.extend(
                    self.tx
                        .children(self.job, *group[0].start(), *group[0].end())?,
                );
                continue;
            };
            let children = self.tx.children(self.job, *first.start(), *last.end())?;
            let partitions = self.tx.partitions(self.job, &children)?;
            let released = partitions.iter().filter(|child| {
                let at = group.partition_point(|range| *range.end() < child.origin());
                group
                    .get(at)
                    .is_some_and(|range| range.contains(&child.origin()))
            });
            parts.extend(released.map(|child| child.part));
        }
        Ok(parts)
    }

    /// The last partition of a page. Where an approval is behind the barrier each asset is looked up, so assets bound the
    /// page as well; a page has one partition at least, however large it is.
    fn page_end(&mut self, row: &BarrierRow, room: &mut Room) -> StoreResult<PartNo> {
        let until = row.last.min(row.spread + room.parts.max(1));
        let workflow = self.workflow;
        let approval = |no: &StepNo| {
            matches!(
                workflow.step(*no).map(|s| &s.action),
                Some(Action::Approval { .. })
            )
        };
        if !behind_barrier(workflow, row.step).iter().any(approval) {
            return Ok(until);
        }
        let parts: Vec<PartNo> = (row.spread + 1..=until).collect();
        let mut last = row.spread;
        for partition in self.tx.partitions(self.job, &parts)? {
            if i64::from(partition.assets) > room.assets && last > row.spread {
                break;
            }
            room.assets -= i64::from(partition.assets);
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

/// Partitions that a transaction may still open, and their assets where each of them may need an approval.
struct Room {
    parts: i64,
    assets: i64,
}

impl Room {
    fn is_taken(&self) -> bool {
        self.parts <= 0 || self.assets <= 0
    }
}
