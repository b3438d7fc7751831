//! In-memory lease table. Rebuilt after a restart from cursors, leased rows and heartbeats.
use crate::dispatch::endpoints::{Endpoints, of_unit};
use crate::dispatch::fleet::WorkerSeen;
use crate::dispatch::load::Experience;
use crate::dispatch::scan::scan_unit;
use crate::leader::memory::stray::Strays;
use crate::leader::memory::usage::Usage;
use crate::leader::memory::worker_registry::WorkerRegistry;
use crate::reconcile::rescuer::LostWith;
use foldhash::HashMap as IdMap;
use protocol::id::{Execution, JobNo, Kind, StepNo, UnitId, WorkerId};
use protocol::rules::schedule::cost::bucket;
use protocol::rules::schedule::endpoint::EndpointLimit;
use protocol::rules::unit::lease::{Lease, LeaseLimits, heard_until};
use protocol::time::Timestamp;
use protocol::wire::report::Outcome;
use protocol::wire::step::TaskSpec;
use protocol::wire::unit::Unit;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

mod call_back;
mod ends;
mod lapse;
mod load;
mod missing;
mod running;
#[cfg(test)]
mod tests;

/// An execution whose worker has fallen silent, or that no worker took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lapsed {
    /// The unit.
    pub unit: UnitId,
    /// The epoch it is out under.
    pub epoch: u32,
    /// The worker it was lost with, when it was.
    pub with: Option<LostWith>,
    /// Whether it is in the transport no more and no worker holds it, although none was lost: its message or its report is
    /// gone.
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
    /// When it was called back last; `None` again once heartbeats show it long after that.
    called_back_at: Option<Timestamp>,
    /// It aborts what a cancelled job has begun, and is not called back with its job.
    aborts: bool,
}

/// Units that are out, and workers.
#[derive(Debug, Default)]
pub struct Leases {
    out: IdMap<UnitId, Out>,
    /// First executions of units that have a speculative copy, which is in `out`.
    older: IdMap<UnitId, Out>,
    usage: Usage,
    experience: Experience,
    obsolete: Vec<Execution>,
    long_at: Timestamp,
    workers: WorkerRegistry,
    readable_since: Timestamp,
    /// Up to when reports have been read; `None` where that is not kept, and silence is judged as of now.
    heard_until: Option<Timestamp>,
    /// When the last reading of reports began that left none.
    all_read_at: Option<Timestamp>,
    /// Executions that the transport did not hold: when it was asked first, and whether an entry had been there.
    missing: BTreeMap<(UnitId, u32), (Timestamp, bool)>,
    /// Until when this process stood still, or its clock was set ahead: what was published before is no older than that.
    stood_still_until: Timestamp,
    /// The last unit that was looked for.
    looked_to: Option<UnitId>,
    /// Units that run alone, with the epoch and the worker.
    alone: IdMap<UnitId, (u32, WorkerId)>,
    strays: Strays,
}

impl Leases {
    /// Reports are readable from this moment on (LEASE-1).
    pub fn readable_from(&mut self, now: Timestamp) {
        self.readable_since = now;
    }

    /// A batch of reports has been taken in whose reading began at `read_at`; `whole` when it held all there were.
    pub fn read_up_to(&mut self, read_at: Timestamp, whole: bool) {
        self.heard_until = Some(heard_until(
            self.heard_until.unwrap_or(read_at),
            read_at,
            whole,
        ));
        self.all_read_at = if whole {
            Some(read_at)
        } else {
            self.all_read_at
        };
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
        self.usage.limit(limits);
    }

    /// Notes units as handed out. A unit that is out already has a second execution from now on.
    pub fn published(&mut self, units: &[Unit], now: Timestamp) {
        for unit in units {
            let bytes = unit
                .assets
                .iter()
                .filter_map(|asset| asset.bytes)
                .fold(0, u64::saturating_add);
            let out = Out {
                lease: Lease {
                    epoch: unit.epoch,
                    published_at: now,
                    held: None,
                },
                kind: unit.kind,
                size: bucket(bytes, unit.assets.len() as u32),
                endpoints: of_unit(self.usage.limits(), unit),
                running_since: None,
                called_back_at: None,
                aborts: matches!(unit.task.as_ref(), TaskSpec::CompleteUploads(task) if task.discard),
            };
            self.usage.count(unit.id, out.kind, &out.endpoints, true);
            let before = self.out.insert(unit.id, out);
            let replaced = match before {
                Some(before) if before.lease.epoch < unit.epoch => {
                    self.older.insert(unit.id, before)
                }
                before => before,
            };
            if let Some(gone) = replaced {
                self.usage.count(unit.id, gone.kind, &gone.endpoints, false);
            }
        }
    }

    /// Takes over what an earlier coordinator had handed out: unheard of from now on, it lapses like anything else.
    pub fn adopt(&mut self, out: &[Unit], now: Timestamp) {
        self.published(out, now);
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
        self.usage.count(unit, gone.kind, &gone.endpoints, false);
        Some(gone)
    }

    /// Notes that an execution is over. Returns its kind when it was out.
    pub fn ended(&mut self, unit: UnitId, epoch: u32) -> Option<Kind> {
        self.take(unit, epoch).map(|gone| gone.kind)
    }

    /// Whether a unit is out.
    pub fn is_out(&self, unit: UnitId) -> bool {
        self.out.contains_key(&unit)
    }

    /// Scans that are out, with their epochs, as if these executions were over.
    pub fn scans_without(&self, ended: &[Outcome]) -> BTreeSet<(JobNo, u32)> {
        let jobs = self
            .usage
            .by_step()
            .keys()
            .filter(|(_, step)| *step == StepNo::SCAN)
            .map(|(job, _)| *job);
        let executions = jobs.flat_map(|job| {
            let unit = scan_unit(job);
            let lists = [&self.out, &self.older];
            lists
                .into_iter()
                .filter_map(move |list| Some((unit, list.get(&unit)?.lease.epoch)))
        });
        let over = |unit: UnitId, epoch: u32| {
            ended
                .iter()
                .any(|end| end.unit == unit && end.epoch == epoch)
        };
        executions
            .filter(|(unit, epoch)| !over(*unit, *epoch))
            .map(|(unit, epoch)| (unit.job, epoch))
            .collect()
    }

    /// Units that are out, by step.
    pub fn out_by_step(&self) -> &BTreeMap<(JobNo, StepNo), u32> {
        self.usage.by_step()
    }

    /// Every execution that is out.
    pub fn all_out(&self) -> BTreeSet<Execution> {
        self.out
            .iter()
            .chain(&self.older)
            .map(|(unit, out)| unit.execution(out.lease.epoch))
            .collect()
    }

    /// Whether an execution is out.
    pub fn holds(&self, unit: UnitId, epoch: u32) -> bool {
        [&self.out, &self.older]
            .into_iter()
            .any(|list| list.get(&unit).is_some_and(|out| out.lease.epoch == epoch))
    }

    /// Whether this is the latest execution of its unit and still out.
    pub fn is_latest(&self, unit: UnitId, epoch: u32) -> bool {
        self.out
            .get(&unit)
            .is_some_and(|out| out.lease.epoch == epoch)
    }

    /// Units that are out, by kind.
    pub fn out(&self, kind: Kind) -> u32 {
        self.usage.of_kind(kind)
    }

    /// Notes that a unit runs alone in its worker.
    pub fn runs_alone(&mut self, unit: UnitId, epoch: u32, worker: &WorkerId, now: Timestamp) {
        if !self.may_report(unit.execution(epoch), worker) {
            return;
        }
        let Some(out) = self
            .out
            .get_mut(&unit)
            .filter(|out| out.lease.epoch == epoch)
        else {
            return;
        };
        out.lease.held = Some((worker.clone(), now));
        out.running_since.get_or_insert(now);
        self.alone.insert(unit, (epoch, worker.clone()));
    }

    /// Workers that were heard of within the time after which they count as silent.
    pub fn alive(&self, limits: &LeaseLimits, now: Timestamp) -> Vec<WorkerId> {
        self.workers
            .alive(limits, self.readable_since, self.as_heard(now))
    }

    /// Live workers that take work, each with the kinds for which it has slots.
    pub fn taking_work(
        &self,
        limits: &LeaseLimits,
        now: Timestamp,
    ) -> BTreeMap<WorkerId, Vec<Kind>> {
        let kinds = |worker: &WorkerId| {
            let slots = self
                .workers()
                .get(worker)
                .into_iter()
                .flat_map(|seen| &seen.slots);
            slots.filter(|of| of.total > 0).map(|of| of.kind).collect()
        };
        let taking = self
            .alive(limits, now)
            .into_iter()
            .filter(|worker| !self.is_draining(worker));
        taking
            .map(|worker| (worker.clone(), kinds(&worker)))
            .collect()
    }

    /// Whether a worker takes no more work, or is gone.
    pub fn is_draining(&self, worker: &WorkerId) -> bool {
        self.workers.is_draining(worker)
    }

    /// Executions published before `before` that no worker has shown in a heartbeat, at most `limit`.
    pub fn unclaimed(&mut self, before: Timestamp, limit: usize) -> Vec<Execution> {
        let still = self.stood_still_until;
        let old = |lease: &Lease| lease.published_at.max(still) < before;
        let waiting = self
            .all()
            .filter(|(_, out)| out.lease.held.is_none() && old(&out.lease));
        let execution = |(unit, out): (&UnitId, &Out)| unit.execution(out.lease.epoch);
        let mut waiting: Vec<Execution> = waiting.map(execution).collect();
        // The next page begins where the last one ended: a page full of waiting units must not hide a lost one.
        waiting.sort_unstable();
        let from =
            waiting.partition_point(|one| self.looked_to.is_some_and(|last| one.unit <= last));
        waiting.rotate_left(from);
        waiting.truncate(limit);
        self.looked_to = waiting.last().map(|last| last.unit);
        waiting
    }

    fn all(&self) -> impl Iterator<Item = (&UnitId, &Out)> {
        self.out.iter().chain(&self.older)
    }

    /// Slots of all workers that take work and stay.
    pub fn slots(&self, kind: Kind) -> u32 {
        self.workers.slots(kind)
    }

    /// Every worker heard of lately.
    pub fn workers(&self) -> &BTreeMap<WorkerId, WorkerSeen> {
        self.workers.all()
    }
}
