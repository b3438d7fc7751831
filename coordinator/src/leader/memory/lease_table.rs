//! What is out and who lives, in memory: rebuilt from the cursor, the rows and the next heartbeats after a restart.
use crate::dispatch::endpoints::{Endpoints, Sign, of_unit};
use crate::dispatch::fleet::WorkerSeen;
use crate::dispatch::load::{Experience, KindLoad, Leaving, Load, Running};
use crate::dispatch::publisher::scan_unit;
use crate::leader::memory::stray::Strays;
use crate::reconcile::rescuer::LostWith;
use foldhash::HashMap as IdMap;
use protocol::failure::{ErrorClass, Failure};
use protocol::id::{JobNo, Kind, StepNo, UnitId, WorkerId};
use protocol::rules::schedule::cost::bucket;
use protocol::rules::schedule::endpoint::EndpointLimit;
use protocol::rules::unit::lease::{Lease, LeaseDecision, LeaseLimits, decide, heard_until, plausible_slots};
use protocol::time::Timestamp;
use protocol::wire::report::{Heartbeat, Outcome, UnitResult};
use protocol::wire::unit::Unit;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Window of kinds whose units end faster than a round of publishing: units a slot, and at most.
const LIGHT_DEPTH: u32 = 8;
const LIGHT_MAX: u32 = 4_096;
/// How often long executions are looked for, how long they have run at least, and how many are named.
const LONG_EVERY: Duration = Duration::from_secs(1);
const LONG_MIN: Duration = Duration::from_secs(1);
const LONG_NAMED: usize = 256;

/// An execution whose worker has fallen silent, or that nobody took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lapsed {
    /// The unit.
    pub unit: UnitId,
    /// The epoch it is out under.
    pub epoch: u32,
    /// The worker it was lost with, when it was.
    pub with: Option<LostWith>,
    /// Whether the transport had it and has it no more, while no worker holds it.
    pub vanished: bool,
}

/// One execution that is out.
#[derive(Debug)]
struct Out {
    lease: Lease,
    kind: Kind,
    size: u8,
    endpoints: Endpoints,
    running_since: Option<Timestamp>,
}

/// Units that are out, and workers.
#[derive(Debug, Default)]
pub struct Leases {
    out: IdMap<UnitId, Out>,
    /// First executions of units that have a speculative copy, which is in `out`.
    older: IdMap<UnitId, Out>,
    limits: Arc<[EndpointLimit]>,
    busy: Vec<u32>,
    out_by_kind: BTreeMap<Kind, u32>,
    out_by_step: BTreeMap<(JobNo, StepNo), u32>,
    experience: Experience,
    obsolete: Vec<(UnitId, u32)>,
    long_at: Timestamp,
    workers: BTreeMap<WorkerId, WorkerSeen>,
    readable_since: Timestamp,
    /// Up to when reports have been read; `None` where that is not kept, and silence is judged as of now.
    heard_until: Option<Timestamp>,
    /// Until when this process stood still, or its clock was set ahead: what was published before is no older than that.
    stood_still_until: Timestamp,
    /// The last unit that was looked for.
    looked_to: Option<UnitId>,
    /// Units that run alone, with the epoch and the worker.
    alone: IdMap<UnitId, (u32, WorkerId)>,
    /// When the live workers had no slot to spare, by kind.
    full_at: BTreeMap<Kind, Timestamp>,
    strays: Strays,
}

impl Leases {
    /// Reports are readable from this moment on (LEASE-1).
    pub fn readable_from(&mut self, now: Timestamp) {
        self.readable_since = now;
    }

    /// A batch of reports has been taken in whose reading began at `read_at`; `whole` when it held all there were.
    pub fn read_up_to(&mut self, read_at: Timestamp, whole: bool) {
        self.heard_until = Some(heard_until(self.heard_until.unwrap_or(read_at), read_at, whole));
    }

    /// The moment as of which silence is judged: not later than the last reading (LEASE-1).
    pub fn as_heard(&self, now: Timestamp) -> Timestamp {
        self.heard_until.map_or(now, |heard| heard.min(now))
    }

    /// This process stood still until now, or its clock was set ahead: no silence and no age from before proves anything.
    pub fn stood_still(&mut self, now: Timestamp) {
        self.readable_from(now);
        self.stood_still_until = now;
    }

    /// The endpoints to count by.
    pub fn limit(&mut self, limits: Arc<[EndpointLimit]>) {
        self.busy = vec![0; limits.len()];
        self.limits = limits;
    }

    /// Notes units as handed out. A unit that is out already has a second execution from now on.
    pub fn published(&mut self, units: &[Unit], now: Timestamp) {
        for unit in units {
            let bytes = unit.assets.iter().filter_map(|asset| asset.bytes).fold(0, u64::saturating_add);
            let out = Out {
                lease: Lease { epoch: unit.epoch, published_at: now, held: None },
                kind: unit.kind,
                size: bucket(bytes, unit.assets.len() as u32),
                endpoints: of_unit(&self.limits, unit),
                running_since: None,
            };
            self.count(unit.id, out.kind, &out.endpoints, true);
            let before = self.out.insert(unit.id, out);
            let replaced = match before {
                Some(before) if before.lease.epoch < unit.epoch => self.older.insert(unit.id, before),
                before => before,
            };
            if let Some(gone) = replaced {
                self.count(unit.id, gone.kind, &gone.endpoints, false);
            }
        }
    }

    /// Takes over what an earlier coordinator had handed out: unheard of from now on, it lapses like anything else.
    pub fn adopt(&mut self, out: &[Unit], now: Timestamp) {
        self.published(out, now);
    }

    fn count(&mut self, unit: UnitId, kind: Kind, endpoints: &[u16], up: bool) {
        let add = |n: &mut u32| *n = if up { *n + 1 } else { n.saturating_sub(1) };
        add(self.out_by_kind.entry(kind).or_default());
        let step = self.out_by_step.entry((unit.job, unit.step)).or_default();
        add(step);
        if *step == 0 {
            self.out_by_step.remove(&(unit.job, unit.step));
        }
        for at in endpoints {
            self.busy.get_mut(usize::from(*at)).into_iter().for_each(add);
        }
    }

    fn take(&mut self, unit: UnitId, epoch: u32) -> Option<Out> {
        let is = |out: Option<&Out>| out.is_some_and(|out| out.lease.epoch == epoch);
        let gone = match () {
            () if is(self.out.get(&unit)) => {
                let gone = self.out.remove(&unit);
                if let Some(older) = self.older.remove(&unit) {
                    self.out.insert(unit, older);
                }
                gone?
            }
            () if is(self.older.get(&unit)) => self.older.remove(&unit)?,
            () => return None,
        };
        if self.alone.get(&unit).is_some_and(|(of, _)| *of == epoch) {
            self.alone.remove(&unit);
        }
        self.count(unit, gone.kind, &gone.endpoints, false);
        Some(gone)
    }

    /// Notes that an execution is over, whatever became of it. Returns its kind when it was out.
    pub fn ended(&mut self, unit: UnitId, epoch: u32) -> Option<Kind> {
        self.take(unit, epoch).map(|gone| gone.kind)
    }

    /// Notes that an execution has reported its end: learns from it, and gives up any other execution of a unit it ended.
    /// Returns its kind and how long it waited for its start, when it was out.
    pub fn reported(&mut self, outcome: &Outcome, now: Timestamp) -> Option<(Kind, Duration)> {
        let out = self.take(outcome.unit, outcome.epoch)?;
        let waited = now.since(out.lease.published_at).saturating_sub(Duration::from_micros(outcome.duration_us));
        let known = (out.kind, waited);
        self.learn(out, outcome, now);
        Some(known)
    }

    fn learn(&mut self, out: Out, outcome: &Outcome, now: Timestamp) {
        let failures = match &outcome.result {
            UnitResult::Finished { failures, .. } => failures.as_slice(),
            UnitResult::Cut(_) | UnitResult::Sliced(_) => &[],
            UnitResult::Failed(failure) => {
                self.experience.sign(&out.endpoints, sign([failure]));
                return;
            }
            _ => return,
        };
        self.experience.sign(&out.endpoints, sign(failures.iter().map(|(_, failure)| failure)));
        // What several workers share says nothing of how long one takes.
        if failures.is_empty() && matches!(outcome.result, UnitResult::Finished { .. }) {
            // A worker's clock may be wrong; that it cannot have run before it was published is certain.
            let most = u64::try_from(now.since(out.lease.published_at).as_micros()).unwrap_or(u64::MAX);
            self.experience.took(out.kind, out.size, outcome.duration_us.min(most));
        }
        while let Some(other) = self.out.get(&outcome.unit).map(|other| other.lease.epoch) {
            self.take(outcome.unit, other);
            self.obsolete.push((outcome.unit, other));
        }
    }

    /// An execution has reported its end, which is not stored yet: its worker had it, and the transport need not hold it.
    /// False when another worker than the one that reports it is known to hold it: the end is not believed, and nothing is
    /// noted.
    pub fn ends(&mut self, outcome: &Outcome, now: Timestamp) -> bool {
        for list in [&mut self.out, &mut self.older] {
            let Some(out) = list.get_mut(&outcome.unit).filter(|out| out.lease.epoch == outcome.epoch) else {
                continue;
            };
            return match &mut out.lease.held {
                Some((worker, heard_at)) if *worker == outcome.worker => {
                    *heard_at = now;
                    true
                }
                Some(_) => false,
                held @ None => {
                    *held = Some((outcome.worker.clone(), now));
                    true
                }
            };
        }
        true
    }

    /// Whether a unit is out.
    pub fn is_out(&self, unit: UnitId) -> bool {
        self.out.contains_key(&unit)
    }

    /// Scans that are out, with their epochs, as if these executions were over.
    pub fn scans_without(&self, ended: &[Outcome]) -> BTreeSet<(JobNo, u32)> {
        let jobs = self.out_by_step.keys().filter(|(_, step)| *step == StepNo::SCAN).map(|(job, _)| *job);
        let executions = jobs.flat_map(|job| {
            let unit = scan_unit(job);
            let lists = [&self.out, &self.older];
            lists.into_iter().filter_map(move |list| Some((unit, list.get(&unit)?.lease.epoch)))
        });
        let over = |unit: UnitId, epoch: u32| ended.iter().any(|end| end.unit == unit && end.epoch == epoch);
        executions.filter(|(unit, epoch)| !over(*unit, *epoch)).map(|(unit, epoch)| (unit.job, epoch)).collect()
    }

    /// Units that are out, by step.
    pub fn out_by_step(&self) -> &BTreeMap<(JobNo, StepNo), u32> {
        &self.out_by_step
    }

    /// Every execution that is out.
    pub fn all_out(&self) -> BTreeSet<(UnitId, u32)> {
        self.out.iter().chain(&self.older).map(|(unit, out)| (*unit, out.lease.epoch)).collect()
    }

    /// Whether this is the latest execution of its unit and still out.
    pub fn is_latest(&self, unit: UnitId, epoch: u32) -> bool {
        self.out.get(&unit).is_some_and(|out| out.lease.epoch == epoch)
    }

    /// Units that are out, by kind.
    pub fn out(&self, kind: Kind) -> u32 {
        self.out_by_kind.get(&kind).copied().unwrap_or(0)
    }

    /// Takes a sign of life.
    pub fn heard(&mut self, beat: &Heartbeat, now: Timestamp) {
        let mut busy = BTreeMap::new();
        for (unit, epoch) in &beat.held {
            let of_epoch = |list: &IdMap<UnitId, Out>| list.get(unit).is_some_and(|out| out.lease.epoch == *epoch);
            if ![&self.out, &self.older].into_iter().any(of_epoch) && self.strays.note(*unit, *epoch, now) {
                self.obsolete.push((*unit, *epoch));
            }
            let Some(out) = self.out.get(unit) else { continue };
            *busy.entry(out.kind).or_default() += 1;
            let list = if out.lease.epoch == *epoch { &mut self.out } else { &mut self.older };
            let held = list.get_mut(unit).filter(|out| out.lease.epoch == *epoch);
            if let Some(out) = held {
                out.lease.held = Some((beat.worker.clone(), now));
                out.running_since.get_or_insert(now);
            }
        }
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

    /// Executions whose worker has fallen silent; workers silent for long are forgotten.
    pub fn lapsed(&mut self, limits: &LeaseLimits, now: Timestamp) -> Vec<Lapsed> {
        self.strays.forget(now);
        let now = self.as_heard(now);
        let since = self.readable_since;
        self.workers.retain(|_, seen| now.since(seen.heard_at.max(since)) <= limits.silence_max * 4);
        self.note_full(limits, now);
        // While every slot is taken, a unit nobody has claimed waits its turn: that is no sign that it was lost. Taken
        // back all the same, it would go to the end of the stream again and again and never run.
        let evidence = |lease: &Lease, kind: &Kind| match lease.held {
            Some(_) => since,
            None => self.full_at.get(kind).map_or(since, |full| since.max(*full)),
        };
        let mut lapsed: Vec<Lapsed> = self
            .all()
            .filter(|(_, out)| {
                decide(&out.lease, limits, evidence(&out.lease, &out.kind), now) == LeaseDecision::Reclaim
            })
            .map(|(unit, out)| {
                let (unit, epoch) = (*unit, out.lease.epoch);
                let holder = out.lease.held.as_ref();
                let with = holder.and_then(|(worker, _)| self.lost_with(worker, unit, epoch, limits, now));
                Lapsed { unit, epoch, with, vanished: false }
            })
            .collect();
        lapsed.sort_unstable_by_key(|lapsed| (lapsed.unit, lapsed.epoch));
        lapsed
    }

    /// The worker that an execution was lost with: one that has fallen silent. A worker that lives, or was leaving, has
    /// not been killed.
    pub fn lost_with(
        &self,
        worker: &WorkerId,
        unit: UnitId,
        epoch: u32,
        limits: &LeaseLimits,
        now: Timestamp,
    ) -> Option<LostWith> {
        let now = self.as_heard(now);
        let dead = self.workers.get(worker).is_none_or(|seen| {
            !seen.draining && now.since(seen.heard_at.max(self.readable_since)) > limits.silence_max
        });
        let alone = self.alone.get(&unit).is_some_and(|(of, by)| *of == epoch && by == worker);
        dead.then(|| LostWith { worker: worker.0.clone(), alone })
    }

    /// Notes that a unit runs alone in its worker.
    pub fn runs_alone(&mut self, unit: UnitId, epoch: u32, worker: &WorkerId, now: Timestamp) {
        let Some(out) = self.out.get_mut(&unit).filter(|out| out.lease.epoch == epoch) else { return };
        out.lease.held = Some((worker.clone(), now));
        out.running_since.get_or_insert(now);
        self.alone.insert(unit, (epoch, worker.clone()));
    }

    /// Workers that were heard of within the time after which they count as silent.
    pub fn alive(&self, limits: &LeaseLimits, now: Timestamp) -> Vec<WorkerId> {
        let (since, now) = (self.readable_since, self.as_heard(now));
        let heard = self.workers.iter().filter(|(_, seen)| now.since(seen.heard_at.max(since)) <= limits.silence_max);
        heard.map(|(worker, _)| worker.clone()).collect()
    }

    /// Executions published before `before` that no worker has shown in a heartbeat, at most `limit`.
    pub fn unclaimed(&mut self, before: Timestamp, limit: usize) -> Vec<(UnitId, u32)> {
        let still = self.stood_still_until;
        let old = |lease: &Lease| lease.published_at.max(still) < before;
        let waiting = self.all().filter(|(_, out)| out.lease.held.is_none() && old(&out.lease));
        let mut waiting: Vec<(UnitId, u32)> = waiting.map(|(unit, out)| (*unit, out.lease.epoch)).collect();
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
    pub fn of_job(&self, job: JobNo) -> Vec<(UnitId, u32)> {
        self.all().filter(|(unit, _)| unit.job == job).map(|(unit, out)| (*unit, out.lease.epoch)).collect()
    }

    fn all(&self) -> impl Iterator<Item = (&UnitId, &Out)> {
        self.out.iter().chain(&self.older)
    }

    /// Slots of all workers that take work and stay.
    pub fn slots(&self, kind: Kind) -> u32 {
        let live = self.workers.values().filter(|seen| !seen.draining && seen.leaves_at.is_none());
        live.flat_map(|seen| &seen.slots).filter(|(k, _, _)| *k == kind).map(|(_, total, _)| total).sum()
    }

    /// What a turn needs to know, and what was learned since the last one.
    pub fn load(&mut self, now: Timestamp) -> Load {
        let kinds = Kind::ALL.into_iter().map(|kind| {
            let slots = self.slots(kind);
            let light = matches!(kind, Kind::Noop | Kind::Sync);
            let floor = if light { slots.saturating_mul(LIGHT_DEPTH).min(LIGHT_MAX) } else { 0 };
            let has = |seen: &&WorkerSeen| !seen.draining && seen.slots.iter().any(|(k, n, _)| *k == kind && *n > 0);
            let workers = self.workers.values().filter(has).count() as u32;
            (kind, KindLoad { slots, out: self.out(kind), floor, workers })
        });
        Load {
            kinds: kinds.collect(),
            steps: self.out_by_step.clone(),
            busy: self.busy.clone(),
            running: self.long_running(now),
            experience: std::mem::take(&mut self.experience),
            obsolete: std::mem::take(&mut self.obsolete),
            leaving: self.leaving(),
        }
    }

    /// The same as if these executions were over: they are being settled in the transaction of the turn.
    pub fn load_without(&mut self, ended: &[Outcome], now: Timestamp) -> Load {
        for outcome in ended.iter().filter(|outcome| outcome.result == UnitResult::Returned) {
            // Whoever gives units back takes no more of them, until its next sign of life says otherwise.
            self.workers.entry(outcome.worker.clone()).and_modify(|seen| seen.draining = true);
        }
        let mut load = self.load(now);
        let less = |n: &mut u32| *n = n.saturating_sub(1);
        for outcome in ended {
            let lists = [&self.out, &self.older];
            let mut found = lists.into_iter().filter_map(|list| list.get(&outcome.unit));
            let Some(out) = found.find(|out| out.lease.epoch == outcome.epoch) else { continue };
            load.kinds.entry(out.kind).and_modify(|kind| less(&mut kind.out));
            load.steps.entry((outcome.unit.job, outcome.unit.step)).and_modify(less);
            for at in &out.endpoints {
                load.busy.get_mut(usize::from(*at)).into_iter().for_each(less);
            }
        }
        load
    }

    fn leaving(&self) -> Vec<Leaving> {
        let live = self.workers.values().filter(|seen| !seen.draining);
        let slots = |seen: &WorkerSeen| seen.slots.iter().map(|(kind, total, _)| (*kind, *total)).collect();
        live.filter_map(|seen| Some(Leaving { at: seen.leaves_at?, slots: slots(seen) })).collect()
    }

    /// The longest executions that have no copy yet, once in a while.
    fn long_running(&mut self, now: Timestamp) -> Vec<Running> {
        if now.since(self.long_at) < LONG_EVERY {
            return Vec::new();
        }
        self.long_at = now;
        let long = self.out.iter().filter_map(|(unit, out)| {
            let since = out.running_since.filter(|since| now.since(*since) >= LONG_MIN)?;
            let single = !self.older.contains_key(unit) && unit.step != StepNo::SCAN;
            single.then_some(Running { unit: *unit, epoch: out.lease.epoch, kind: out.kind, size: out.size, since })
        });
        let mut long: Vec<Running> = long.collect();
        long.sort_unstable_by_key(|running| (running.since, running.unit));
        long.truncate(LONG_NAMED);
        long
    }

    /// Every worker heard of lately.
    pub fn workers(&self) -> &BTreeMap<WorkerId, WorkerSeen> {
        &self.workers
    }
}

/// What failures say of endpoints.
fn sign<'a>(failures: impl IntoIterator<Item = &'a Failure>) -> Sign {
    let pauses = failures.into_iter().filter_map(|failure| match failure.class {
        ErrorClass::Throttled { retry_after_ms } => Some(retry_after_ms.map(Duration::from_millis)),
        _ => None,
    });
    pauses.max().map_or(Sign::Served, Sign::Throttled)
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::wire::unit::{NoopTask, TaskSpec};

    fn published(part: i64) -> Unit {
        let task = TaskSpec::Noop(NoopTask { duration_min_us: 0, duration_max_us: 0, fail: 0.0 });
        Unit {
            id: unit(part),
            epoch: 1,
            attempt: 0,
            kind: Kind::Qc,
            task: Arc::new(task),
            assets: vec![],
            deadline: None,
        }
    }

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
            leaves_at: None,
        }
    }

    /// Unit 1 runs and unit 2 waits for the only slot, for two minutes; heartbeats say what `held` says.
    fn after_two_minutes(held: &[UnitId]) -> Vec<(UnitId, u32)> {
        let mut leases = Leases::default();
        leases.adopt(&[published(1), published(2)], at(0));
        for second in (0..=120).step_by(3) {
            leases.heard(&beat(held), at(second));
            let lapsed = leases.lapsed(&LeaseLimits::default(), at(second));
            if !lapsed.is_empty() {
                return lapsed.into_iter().map(|lapsed| (lapsed.unit, lapsed.epoch)).collect();
            }
        }
        Vec::new()
    }

    #[test]
    fn execution_that_is_out_no_more_is_called_back_when_heartbeats_go_on_showing_it() {
        let mut leases = Leases::default();
        for seconds in [0, 3] {
            leases.heard(&beat(&[unit(1)]), at(seconds));
        }
        assert_eq!(leases.load(at(3)).obsolete, []);
        leases.heard(&beat(&[unit(1)]), at(6));
        assert_eq!(leases.load(at(6)).obsolete, [(unit(1), 1)]);
    }

    /// Case 63: pages go round, whatever stands on them.
    #[test]
    fn every_unit_is_looked_for_in_turn() {
        let mut leases = Leases::default();
        let out: Vec<_> = (1..=25).map(published).collect();
        leases.adopt(&out, at(0));
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..3 {
            let page = leases.unclaimed(at(60), 10);
            assert_eq!(page.len(), 10);
            seen.extend(page);
        }
        assert_eq!(seen.len(), 25);
    }

    /// Case 11: how long a unit runs says nothing; only silence does.
    #[test]
    fn unit_that_runs_twenty_times_the_limit_of_silence_is_kept_and_lapses_with_its_worker() {
        let limits = LeaseLimits { silence_max: Duration::from_secs(5), unclaimed_max: Duration::from_secs(9) };
        let (mut leases, mut looked) = (Leases::default(), 0);
        leases.adopt(&[published(1)], at(0));
        for second in 0..=100 {
            if second % 3 == 0 {
                leases.heard(&beat(&[unit(1)]), at(second));
            }
            assert_eq!(leases.lapsed(&limits, at(second)), [], "at {second} s");
            assert_eq!(leases.unclaimed(at(second), 9), [], "it is held: nothing looks for it");
            looked += 1;
        }
        assert_eq!(looked, 101);
        assert_eq!(leases.lapsed(&limits, at(99 + 5)), []);
        let lapsed = leases.lapsed(&limits, at(99 + 6));
        assert!(matches!(&lapsed[..], [Lapsed { with: Some(with), .. }] if with.worker == "w"), "{lapsed:?}");
    }

    #[test]
    fn end_reported_by_another_worker_than_the_holder_is_told() {
        let mut leases = Leases::default();
        leases.adopt(&[published(1)], at(0));
        let end = |worker: &str, epoch| Outcome {
            unit: unit(1),
            epoch,
            worker: WorkerId(worker.into()),
            result: UnitResult::Returned,
            duration_us: 0,
        };
        let mut unheard = Leases::default();
        unheard.adopt(&[published(1)], at(0));
        assert!(unheard.ends(&end("thief", 1), at(3)), "nobody is known to hold it");
        leases.heard(&beat(&[unit(1)]), at(3));
        assert!(!leases.ends(&end("thief", 1), at(3)) && leases.ends(&end("w", 1), at(3)));
        assert!(leases.ends(&end("thief", 2), at(3)), "the epoch speaks for itself");
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
