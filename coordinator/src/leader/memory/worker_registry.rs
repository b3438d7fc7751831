//! Workers as their heartbeats show them.
use crate::dispatch::fleet::WorkerSeen;
use crate::dispatch::load::Leaving;
use protocol::id::{Kind, WorkerId};
use protocol::rules::unit::lease::{LeaseLimits, plausible_slots};
use protocol::time::Timestamp;
use protocol::wire::report::Heartbeat;
use std::collections::BTreeMap;

/// Workers that were heard of lately.
#[derive(Debug, Default)]
pub(super) struct WorkerRegistry {
    workers: BTreeMap<WorkerId, WorkerSeen>,
    /// When the live workers had no slot to spare, by kind.
    full_at: BTreeMap<Kind, Timestamp>,
}

impl WorkerRegistry {
    /// Every worker that was heard of lately.
    pub(super) fn all(&self) -> &BTreeMap<WorkerId, WorkerSeen> {
        &self.workers
    }

    /// Takes a heartbeat in. `busy` counts the executions that the worker holds of units that are out, by kind.
    pub(super) fn heard(&mut self, beat: &Heartbeat, busy: BTreeMap<Kind, u32>, now: Timestamp) {
        let seen = WorkerSeen {
            slots: plausible_slots(&beat.slots),
            heard_at: now,
            draining: beat.draining,
            held: beat.held.len(),
            bytes: beat.bytes,
            leaves_at: beat.leaves_at,
            busy,
        };
        self.workers.insert(beat.worker.clone(), seen);
    }

    /// Forgets workers that have been silent for four times the limit. No silence before `since` counts.
    pub(super) fn forget_silent(&mut self, limits: &LeaseLimits, since: Timestamp, now: Timestamp) {
        self.workers
            .retain(|_, seen| now.since(seen.heard_at.max(since)) <= limits.silence_max * 4);
    }

    /// Whether a worker has died: it is silent and was not leaving. No silence before `since` counts.
    pub(super) fn is_dead(
        &self,
        worker: &WorkerId,
        limits: &LeaseLimits,
        since: Timestamp,
        now: Timestamp,
    ) -> bool {
        self.workers.get(worker).is_none_or(|seen| {
            !seen.draining && now.since(seen.heard_at.max(since)) > limits.silence_max
        })
    }

    /// Workers that are not silent. No silence before `since` counts.
    pub(super) fn alive(
        &self,
        limits: &LeaseLimits,
        since: Timestamp,
        now: Timestamp,
    ) -> Vec<WorkerId> {
        let heard = self
            .workers
            .iter()
            .filter(|(_, seen)| now.since(seen.heard_at.max(since)) <= limits.silence_max);
        heard.map(|(worker, _)| worker.clone()).collect()
    }

    /// Whether a worker takes no more work, or is gone.
    pub(super) fn is_draining(&self, worker: &WorkerId) -> bool {
        self.workers.get(worker).is_none_or(|seen| seen.draining)
    }

    /// Notes that a worker takes no more work, until its next heartbeat says otherwise.
    pub(super) fn drains(&mut self, worker: &WorkerId) {
        self.workers
            .entry(worker.clone())
            .and_modify(|seen| seen.draining = true);
    }

    /// Notes the kinds of which every slot of the live workers is taken.
    pub(super) fn note_full(&mut self, limits: &LeaseLimits, now: Timestamp) {
        for kind in Kind::ALL {
            let live = || {
                self.workers
                    .values()
                    .filter(|seen| now.since(seen.heard_at) <= limits.silence_max)
            };
            let slots: u32 = live()
                .flat_map(|seen| &seen.slots)
                .filter(|of| of.kind == kind)
                .map(|of| of.total)
                .sum();
            let busy: u32 = live().filter_map(|seen| seen.busy.get(&kind)).sum();
            if busy >= slots {
                self.full_at.insert(kind, now);
            }
        }
    }

    /// When every slot of a kind was taken last.
    pub(super) fn full_at(&self, kind: Kind) -> Option<Timestamp> {
        self.full_at.get(&kind).copied()
    }

    /// Slots of all workers that take work and stay.
    pub(super) fn slots(&self, kind: Kind) -> u32 {
        let live = self
            .workers
            .values()
            .filter(|seen| !seen.draining && seen.leaves_at.is_none());
        live.flat_map(|seen| &seen.slots)
            .filter(|of| of.kind == kind)
            .map(|of| of.total)
            .sum()
    }

    /// Workers that take work of a kind.
    pub(super) fn taking(&self, kind: Kind) -> u32 {
        let has = |seen: &&WorkerSeen| {
            !seen.draining && seen.slots.iter().any(|of| of.kind == kind && of.total > 0)
        };
        self.workers.values().filter(has).count() as u32
    }

    /// Slots that go away at a known time.
    pub(super) fn leaving(&self) -> Vec<Leaving> {
        let live = self.workers.values().filter(|seen| !seen.draining);
        let slots = |seen: &WorkerSeen| seen.slots.iter().map(|of| (of.kind, of.total)).collect();
        live.filter_map(|seen| {
            Some(Leaving {
                at: seen.leaves_at?,
                slots: slots(seen),
            })
        })
        .collect()
    }
}
