//! What is out and who lives, in memory: rebuilt from the cursor, the rows and the next heartbeats after a restart.
use protocol::id::{Kind, UnitId, WorkerId};
use protocol::rules::admission::{Window, room};
use protocol::rules::lease::{Lease, LeaseDecision, LeaseLimits, judge};
use protocol::time::Timestamp;
use protocol::wire::report::Heartbeat;
use protocol::wire::unit::Unit;
use std::collections::{BTreeMap, HashMap};

/// Window of kinds whose units end faster than a round of publishing: units a slot, and at most.
const LIGHT_DEPTH: u32 = 8;
const LIGHT_MAX: u32 = 4_096;

/// A worker as its last heartbeat showed it.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkerSeen {
    /// Slots by kind: total and free.
    pub slots: Vec<(Kind, u32, u32)>,
    /// When it was heard of last.
    pub heard_at: Timestamp,
    /// Whether it takes no more work.
    pub draining: bool,
    /// Units it holds.
    pub held: usize,
    /// Bytes it has moved.
    pub bytes: u64,
    /// Executions it holds of units that are out, under whatever epoch, by kind.
    pub busy: BTreeMap<Kind, u32>,
}

/// Units that are out, and workers.
#[derive(Debug, Default)]
pub struct Leases {
    out: HashMap<UnitId, (Lease, Kind)>,
    out_by_kind: BTreeMap<Kind, u32>,
    workers: BTreeMap<WorkerId, WorkerSeen>,
    readable_since: Timestamp,
    /// The last unit that was looked for.
    looked_to: Option<UnitId>,
    /// When the live workers had no slot to spare, by kind.
    full_at: BTreeMap<Kind, Timestamp>,
}

impl Leases {
    /// Reports are readable from this moment on (LEASE-1).
    pub fn readable_from(&mut self, now: Timestamp) {
        self.readable_since = now;
    }

    /// Notes units as handed out.
    pub fn published(&mut self, units: &[Unit], now: Timestamp) {
        for unit in units {
            let lease = Lease { epoch: unit.epoch, published_at: now, held: None };
            if self.out.insert(unit.id, (lease, unit.kind)).is_none() {
                *self.out_by_kind.entry(unit.kind).or_default() += 1;
            }
        }
    }

    /// Takes over what an earlier coordinator had handed out: unheard of from now on, it lapses like anything else.
    pub fn adopt(&mut self, out: &[(UnitId, u32, Kind)], now: Timestamp) {
        for (unit, epoch, kind) in out {
            let lease = Lease { epoch: *epoch, published_at: now, held: None };
            if self.out.insert(*unit, (lease, *kind)).is_none() {
                *self.out_by_kind.entry(*kind).or_default() += 1;
            }
        }
    }

    /// Notes that an execution is over, whatever became of it.
    pub fn ended(&mut self, unit: UnitId, epoch: u32) {
        let current = self.out.get(&unit).is_some_and(|(lease, _)| lease.epoch == epoch);
        if current && let Some((_, kind)) = self.out.remove(&unit) {
            let count = self.out_by_kind.entry(kind).or_default();
            *count = count.saturating_sub(1);
        }
    }

    /// Whether a unit is out.
    pub fn is_out(&self, unit: UnitId) -> bool {
        self.out.contains_key(&unit)
    }

    /// Units that are out, by kind.
    pub fn out(&self, kind: Kind) -> u32 {
        self.out_by_kind.get(&kind).copied().unwrap_or(0)
    }

    /// Takes a sign of life.
    pub fn heard(&mut self, beat: &Heartbeat, now: Timestamp) {
        let mut busy = BTreeMap::new();
        for (unit, epoch) in &beat.held {
            let Some((lease, kind)) = self.out.get_mut(unit) else { continue };
            *busy.entry(*kind).or_default() += 1;
            if lease.epoch == *epoch {
                lease.held = Some((beat.worker.clone(), now));
            }
        }
        let seen = WorkerSeen {
            slots: beat.slots.clone(),
            heard_at: now,
            draining: beat.draining,
            held: beat.held.len(),
            bytes: beat.bytes,
            busy,
        };
        self.workers.insert(beat.worker.clone(), seen);
    }

    /// Executions whose worker has fallen silent; workers silent for long are forgotten.
    pub fn lapsed(&mut self, limits: &LeaseLimits, now: Timestamp) -> Vec<(UnitId, u32)> {
        let since = self.readable_since;
        self.workers.retain(|_, seen| now.since(seen.heard_at.max(since)) <= limits.silence_max * 4);
        self.note_full(limits, now);
        // While every slot is taken, a unit nobody has claimed waits its turn: that is no sign that it was lost. Taken
        // back all the same, it would go to the end of the stream again and again and never run.
        let evidence = |lease: &Lease, kind: &Kind| match lease.held {
            Some(_) => since,
            None => self.full_at.get(kind).map_or(since, |full| since.max(*full)),
        };
        let mut lapsed: Vec<(UnitId, u32)> = self
            .out
            .iter()
            .filter(|(_, (lease, kind))| judge(lease, limits, evidence(lease, kind), now) == LeaseDecision::TakeBack)
            .map(|(unit, (lease, _))| (*unit, lease.epoch))
            .collect();
        lapsed.sort_unstable();
        lapsed
    }

    /// Executions published before `before` that no worker has shown in a heartbeat, at most `limit`.
    pub fn unclaimed(&mut self, before: Timestamp, limit: usize) -> Vec<(UnitId, u32)> {
        let waiting = self.out.iter().filter(|(_, (lease, _))| lease.held.is_none() && lease.published_at < before);
        let mut waiting: Vec<(UnitId, u32)> = waiting.map(|(unit, (lease, _))| (*unit, lease.epoch)).collect();
        // Where the last page ended the next begins: a page full of units that only wait must not hide a lost one.
        waiting.sort_unstable();
        let from = waiting.partition_point(|(unit, _)| self.looked_to.is_some_and(|last| *unit <= last));
        waiting.rotate_left(from);
        waiting.truncate(limit);
        self.looked_to = waiting.last().map(|(unit, _)| *unit);
        waiting
    }

    fn note_full(&mut self, limits: &LeaseLimits, now: Timestamp) {
        for kind in Kind::ALL {
            let live = || self.workers.values().filter(|seen| now.since(seen.heard_at) <= limits.silence_max);
            let slots: u32 =
                live().flat_map(|seen| &seen.slots).filter(|(k, _, _)| *k == kind).map(|(_, n, _)| n).sum();
            let busy: u32 = live().filter_map(|seen| seen.busy.get(&kind)).sum();
            if busy >= slots {
                self.full_at.insert(kind, now);
            }
        }
    }

    /// Executions of a job that are out.
    pub fn of_job(&self, job: protocol::id::JobNo) -> Vec<(UnitId, u32)> {
        self.out.iter().filter(|(unit, _)| unit.job == job).map(|(unit, (lease, _))| (*unit, lease.epoch)).collect()
    }

    /// Slots of all workers that take work.
    pub fn slots(&self, kind: Kind) -> u32 {
        let live = self.workers.values().filter(|seen| !seen.draining);
        live.flat_map(|seen| &seen.slots).filter(|(k, _, _)| *k == kind).map(|(_, total, _)| total).sum()
    }

    /// Units that may be handed out now, by kind.
    pub fn rooms(&self) -> BTreeMap<Kind, u32> {
        Kind::ALL
            .into_iter()
            .map(|kind| {
                let light = matches!(kind, Kind::Noop | Kind::Sync);
                let floor = if light { self.slots(kind).saturating_mul(LIGHT_DEPTH).min(LIGHT_MAX) } else { 0 };
                (kind, room(Window { slots: self.slots(kind), out: self.out(kind), floor }))
            })
            .collect()
    }

    /// Every worker heard of lately.
    pub fn workers(&self) -> &BTreeMap<WorkerId, WorkerSeen> {
        &self.workers
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::id::{JobNo, StepNo};

    fn unit(part: i64) -> UnitId {
        UnitId { job: JobNo(1), step: StepNo(0), part }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp(seconds * 1_000_000)
    }

    fn beat(held: &[UnitId]) -> Heartbeat {
        Heartbeat {
            worker: WorkerId("w".into()),
            held: held.iter().map(|unit| (*unit, 1)).collect(),
            slots: vec![(Kind::Qc, 1, 0)],
            draining: false,
            bytes: 0,
        }
    }

    /// Unit 1 runs and unit 2 waits for the only slot, for two minutes; heartbeats say what `held` says.
    fn after_two_minutes(held: &[UnitId]) -> Vec<(UnitId, u32)> {
        let mut leases = Leases::default();
        leases.adopt(&[(unit(1), 1, Kind::Qc), (unit(2), 1, Kind::Qc)], at(0));
        for second in (0..=120).step_by(3) {
            leases.heard(&beat(held), at(second));
            let lapsed = leases.lapsed(&LeaseLimits::default(), at(second));
            if !lapsed.is_empty() {
                return lapsed;
            }
        }
        Vec::new()
    }

    /// Case 63: pages go round, whatever stands on them.
    #[test]
    fn every_unit_is_looked_for_in_turn() {
        let mut leases = Leases::default();
        let out: Vec<_> = (1..=25).map(|part| (unit(part), 1, Kind::Noop)).collect();
        leases.adopt(&out, at(0));
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..3 {
            let page = leases.unclaimed(at(60), 10);
            assert_eq!(page.len(), 10);
            seen.extend(page);
        }
        assert_eq!(seen.len(), 25);
    }

    #[test]
    fn a_unit_that_waits_for_a_slot_is_not_lost() {
        assert_eq!(after_two_minutes(&[unit(1)]), []);
    }

    #[test]
    fn what_an_earlier_coordinator_handed_out_lapses_when_no_busy_worker_explains_it() {
        assert_eq!(after_two_minutes(&[]), [(unit(1), 1), (unit(2), 1)]);
    }
}
