//! Counts over runs: a pass in which nothing happened proves nothing.
use crate::effects::Effects;
use crate::faults::FaultyStore;
use crate::model::JobView;
use coordinator::reconcile::settlement::Settled;
use coordinator::store::{BarrierState, JobState};
use protocol::id::JobNo;
use std::collections::BTreeMap;

/// What happened in one run, or in many.
#[derive(Debug, Default, Clone)]
pub(crate) struct Stats {
    /// Units published.
    pub published: u64,
    /// Reports lost.
    pub lost: u64,
    /// Units that have ended well.
    pub succeeded: u64,
    /// Units of all jobs.
    pub units: u64,
    /// Reports that changed their unit.
    pub accepted: u64,
    /// Reports that changed nothing.
    pub rejected: u64,
    /// Units tried again.
    pub retried: u64,
    /// Leases that lapsed.
    pub taken_back: u64,
    /// Units handed out a second time while they ran.
    pub copies: u64,
    /// Reports of one of two executions that ended without a result.
    pub withdrawn: u64,
    /// Partitions split off.
    pub splits: u64,
    /// Barriers opened.
    pub released: u64,
    /// Barriers held.
    pub held: u64,
    /// Units brought back by operators.
    pub redriven: u64,
    /// Commits that found their effect already there.
    pub effects_refused: u64,
    /// Transactions that failed.
    pub store_errors: u64,
    /// Transactions in all.
    pub transactions: u64,
    /// Coordinators that died.
    pub coordinator_deaths: u64,
    /// Workers that died.
    pub worker_deaths: u64,
    /// Units parked because they kill workers.
    pub parked: u64,
    /// Workers put aside.
    pub quarantined: u64,
    /// Scans of which pages were lost.
    pub torn: u64,
    /// Scans handed out again without a page more.
    pub fruitless: u64,
    /// Jobs by how they ended: succeeded, with failures, cancelled, failed.
    pub jobs: [u64; 4],
}

impl Stats {
    /// Adds what a batch of reports did.
    pub(crate) fn settled(&mut self, settled: &Settled) {
        self.accepted += settled.accepted;
        self.rejected += settled.rejected;
        self.withdrawn += settled.withdrawn;
        self.retried += settled.retried;
    }

    /// Counts what a transaction did to barriers and partitions.
    pub(crate) fn watch(&mut self, before: Option<&JobView>, view: &JobView) {
        for (id, row) in &view.barriers {
            let was = before.and_then(|b| b.barriers.get(id)).map(|b| b.state);
            let turned = |state| row.state == state && was != Some(state);
            self.released += u64::from(turned(BarrierState::Released));
            self.held += u64::from(turned(BarrierState::Held));
        }
        let children = |v: &JobView| v.parts.values().filter(|p| p.parent > 0).count() as u64;
        self.splits += children(view) - before.map_or(0, children);
    }

    /// Counts what is left at the end.
    pub(crate) fn finish(
        &mut self,
        views: &BTreeMap<JobNo, JobView>,
        effects: &Effects,
        store: &FaultyStore,
    ) {
        self.effects_refused = effects.refused;
        self.store_errors = store.errors;
        self.transactions = store.commits + store.errors;
        for view in views.values() {
            self.units += view.steps.iter().map(|s| s.total).sum::<u64>();
            self.succeeded += view.steps.iter().map(|s| s.succeeded).sum::<u64>();
            let way = match view.row.state {
                JobState::Succeeded => 0,
                JobState::FinishedWithFailures => 1,
                JobState::Cancelled => 2,
                _ => 3,
            };
            self.jobs[way] += 1;
        }
    }

    /// Adds another run.
    pub(crate) fn add(&mut self, other: &Stats) {
        let pairs = [
            (&mut self.published, other.published),
            (&mut self.lost, other.lost),
            (&mut self.succeeded, other.succeeded),
            (&mut self.units, other.units),
            (&mut self.accepted, other.accepted),
            (&mut self.rejected, other.rejected),
            (&mut self.retried, other.retried),
            (&mut self.taken_back, other.taken_back),
            (&mut self.copies, other.copies),
            (&mut self.withdrawn, other.withdrawn),
            (&mut self.splits, other.splits),
            (&mut self.released, other.released),
            (&mut self.held, other.held),
            (&mut self.redriven, other.redriven),
            (&mut self.effects_refused, other.effects_refused),
            (&mut self.store_errors, other.store_errors),
            (&mut self.transactions, other.transactions),
            (&mut self.coordinator_deaths, other.coordinator_deaths),
            (&mut self.worker_deaths, other.worker_deaths),
            (&mut self.parked, other.parked),
            (&mut self.quarantined, other.quarantined),
            (&mut self.torn, other.torn),
            (&mut self.fruitless, other.fruitless),
        ];
        pairs.into_iter().for_each(|(sum, n)| *sum += n);
        self.jobs
            .iter_mut()
            .zip(other.jobs)
            .for_each(|(sum, n)| *sum += n);
    }
}
