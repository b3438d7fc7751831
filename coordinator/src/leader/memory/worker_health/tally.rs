//! Recent outcomes of workers, in running sums. An outcome changes the few sums it concerns when it arrives, so a check of a
//! thousand workers reads a thousand sums, whatever the number of outcomes behind them.
use protocol::id::{Execution, JobNo, StepNo, UnitId, WorkerId};
use protocol::rules::worker::quarantine::{QuarantineLimits, WorkerFacts, does_well};
use protocol::time::Timestamp;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

/// Steps of which successes are remembered at most. Above this, those in which nothing failed are forgotten.
const STEPS_MAX: usize = 1_024;

/// How much is remembered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Outcomes of a worker.
    pub window: u32,
    /// Failed units, of all workers.
    pub units: usize,
    /// For how long a failed unit is remembered.
    pub kept: Duration,
}

/// One failed execution that is remembered.
#[derive(Debug, Clone, Copy)]
struct Failed {
    serial: u64,
    epoch: u32,
    full: bool,
}

/// A unit that failed: in which workers, and whether it succeeded in another one since.
#[derive(Debug, Default)]
struct Unit {
    since: u64,
    failed_in: BTreeMap<WorkerId, Failed>,
    made_up: bool,
}

/// A step of a job.
type StepOfJob = (JobNo, StepNo);

fn step_of(unit: UnitId) -> StepOfJob {
    (unit.job, unit.step)
}

/// Executions in a step, of all workers.
#[derive(Debug, Clone, Copy, Default)]
struct Step {
    /// Successful executions, counted up to the window of one worker: older ones say nothing about the step of today.
    succeeded: u32,
    /// Failed executions that are remembered.
    failed: u32,
}

/// A failure in a worker's window, and how many successes followed it.
#[derive(Debug)]
struct Slip {
    unit: UnitId,
    serial: u64,
    successes: u32,
}

/// The last outcomes of a worker. Successes are counted, not listed: a worker in which nothing fails costs a few words.
#[derive(Debug, Default)]
struct Recent {
    facts: WorkerFacts,
    /// Units for which this worker and another one had no disk space.
    shared: u32,
    /// Outcomes in the window.
    outcomes: u32,
    /// Successes before the first failure.
    before: u32,
    slips: VecDeque<Slip>,
    /// Units that failed in this worker and in no other, by step.
    alone: BTreeMap<StepOfJob, u32>,
}

/// The sums, and what they are the sums of.
#[derive(Debug)]
pub(super) struct Tally {
    bounds: Bounds,
    workers: BTreeMap<WorkerId, Recent>,
    units: HashMap<UnitId, Unit>,
    steps: HashMap<StepOfJob, Step>,
    /// Failed units, oldest first.
    order: VecDeque<(Timestamp, UnitId, u64)>,
    serial: u64,
    #[cfg(test)]
    pub looks: std::cell::Cell<u64>,
}

impl Tally {
    pub(super) fn new(bounds: Bounds) -> Tally {
        Tally {
            bounds,
            workers: BTreeMap::new(),
            units: HashMap::new(),
            steps: HashMap::new(),
            order: VecDeque::new(),
            serial: 0,
            #[cfg(test)]
            looks: std::cell::Cell::new(0),
        }
    }

    fn looked(&self) {
        #[cfg(test)]
        self.looks.set(self.looks.get() + 1);
    }

    /// Whether any failure is remembered.
    pub(super) fn has_failures(&self) -> bool {
        !self.units.is_empty()
    }

    /// Notes a success. Returns whether it refutes an earlier failure.
    pub(super) fn succeeded(&mut self, worker: &WorkerId, unit: UnitId) -> bool {
        let recent = self.recent(worker);
        recent.facts.succeeded += 1;
        recent.outcomes += 1;
        match recent.slips.back_mut() {
            Some(slip) => slip.successes += 1,
            None => recent.before += 1,
        }
        self.trim(worker);
        self.succeeded_in(step_of(unit));
        if self.units.is_empty() {
            return false;
        }
        self.looked();
        let refutes = self
            .units
            .get(&unit)
            .is_some_and(|of| !of.made_up && !of.failed_in.contains_key(worker));
        if refutes {
            self.change(unit, |of| of.made_up = true);
        }
        refutes
    }

    fn succeeded_in(&mut self, step: StepOfJob) {
        if self.steps.len() >= STEPS_MAX && !self.steps.contains_key(&step) {
            self.steps.retain(|_, step| step.failed > 0);
        }
        let sum = self.steps.entry(step).or_default();
        sum.succeeded = sum.succeeded.saturating_add(1).min(self.bounds.window);
    }

    /// Notes a failure.
    pub(super) fn failed(
        &mut self,
        worker: &WorkerId,
        unit: UnitId,
        epoch: u32,
        full: bool,
        now: Timestamp,
    ) {
        self.serial += 1;
        let serial = self.serial;
        let recent = self.recent(worker);
        recent.outcomes += 1;
        recent.slips.push_back(Slip {
            unit,
            serial,
            successes: 0,
        });
        if let Entry::Vacant(free) = self.units.entry(unit) {
            free.insert(Unit {
                since: serial,
                ..Unit::default()
            });
            self.order.push_back((now, unit, serial));
        }
        self.change(unit, |of| {
            of.failed_in.insert(
                worker.clone(),
                Failed {
                    serial,
                    epoch,
                    full,
                },
            );
        });
        self.trim(worker);
        self.forget_old(now);
    }

    /// Forgets units that failed too long ago, and the oldest of too many.
    pub(super) fn forget_old(&mut self, now: Timestamp) {
        while let Some((at, unit, since)) = self.order.front().copied() {
            if self.order.len() <= self.bounds.units && now.since(at) < self.bounds.kept {
                return;
            }
            self.order.pop_front();
            if self.units.get(&unit).is_some_and(|of| of.since == since) {
                self.change(unit, |of| of.failed_in.clear());
            }
        }
    }

    /// Forgets a worker, with what failed in it.
    pub(super) fn forget(&mut self, worker: &WorkerId) {
        let Some(recent) = self.workers.get_mut(worker) else {
            return;
        };
        for slip in std::mem::take(&mut recent.slips) {
            self.drop_failure(worker, &slip);
        }
        self.workers.remove(worker);
    }

    /// Forgets the workers that are not among those.
    pub(super) fn keep(&mut self, is_known: impl Fn(&WorkerId) -> bool) {
        let gone: Vec<WorkerId> = self
            .workers
            .keys()
            .filter(|worker| !is_known(worker))
            .cloned()
            .collect();
        gone.iter().for_each(|worker| self.forget(worker));
    }

    /// The sums of a worker, but for the units that failed in it alone.
    pub(super) fn facts(&self, worker: &WorkerId) -> WorkerFacts {
        self.looked();
        self.workers
            .get(worker)
            .map(|recent| recent.facts)
            .unwrap_or_default()
    }

    /// Units that failed in a worker and in no other, of steps in which the others do well.
    pub(super) fn alone(&self, worker: &WorkerId, limits: &QuarantineLimits) -> u32 {
        let Some(recent) = self.workers.get(worker) else {
            return 0;
        };
        let others_do_well = |step: &StepOfJob, own: u32| {
            self.looked();
            let sum = self.steps.get(step).copied().unwrap_or_default();
            does_well(sum.succeeded, sum.failed.saturating_sub(own), limits)
        };
        let counted = recent
            .alone
            .iter()
            .filter(|(step, own)| others_do_well(step, **own));
        counted.fold(0, |sum, (_, own)| sum.saturating_add(*own))
    }

    /// Whether another worker had no disk space for a unit for which this one had none either.
    pub(super) fn shares_full(&self, worker: &WorkerId) -> bool {
        self.workers
            .get(worker)
            .is_some_and(|recent| recent.shared > 0)
    }

    /// Workers of which that is so.
    pub(super) fn sharing_full(&self) -> impl Iterator<Item = &WorkerId> {
        self.workers
            .iter()
            .filter(|(_, recent)| recent.shared > 0)
            .map(|(worker, _)| worker)
    }

    /// Executions that failed in a worker, the last of each unit.
    pub(super) fn failures(&self, worker: &WorkerId) -> Vec<Execution> {
        let slips = self
            .workers
            .get(worker)
            .into_iter()
            .flat_map(|recent| &recent.slips);
        let mut failed: Vec<Execution> = slips
            .filter_map(|slip| {
                self.looked();
                let failed = self.units.get(&slip.unit)?.failed_in.get(worker)?;
                (failed.serial == slip.serial).then_some(slip.unit.execution(failed.epoch))
            })
            .collect();
        failed.sort_unstable();
        failed
    }

    fn recent(&mut self, worker: &WorkerId) -> &mut Recent {
        self.looked();
        self.workers.entry(worker.clone()).or_default()
    }

    /// Drops what no longer fits into the window of a worker.
    fn trim(&mut self, worker: &WorkerId) {
        while let Some(recent) = self
            .workers
            .get_mut(worker)
            .filter(|recent| recent.outcomes > self.bounds.window)
        {
            recent.outcomes -= 1;
            if recent.before > 0 {
                recent.before -= 1;
                recent.facts.succeeded -= 1;
            } else if let Some(slip) = recent.slips.pop_front() {
                recent.before = slip.successes;
                self.drop_failure(worker, &slip);
            }
        }
    }

    /// Drops a failure, unless the unit has failed in the same worker again since.
    fn drop_failure(&mut self, worker: &WorkerId, slip: &Slip) {
        let of = self
            .units
            .get(&slip.unit)
            .and_then(|unit| unit.failed_in.get(worker));
        if of.is_some_and(|failed| failed.serial == slip.serial) {
            self.change(slip.unit, |unit| {
                unit.failed_in.remove(worker);
            });
        }
    }

    /// Changes a unit, and the sums of the few workers it failed in.
    fn change(&mut self, id: UnitId, change: impl FnOnce(&mut Unit)) {
        self.looked();
        let Some(unit) = self.units.get_mut(&id) else {
            return;
        };
        let step = step_of(id);
        let in_step = self.steps.entry(step).or_default();
        in_step.failed = in_step.failed.saturating_sub(executions(unit));
        count(&mut self.workers, step, unit, |sum, n| {
            sum.saturating_sub(n)
        });
        change(unit);
        count(&mut self.workers, step, unit, u32::saturating_add);
        in_step.failed = in_step.failed.saturating_add(executions(unit));
        if in_step.failed == 0 && in_step.succeeded == 0 {
            self.steps.remove(&step);
        }
        if unit.failed_in.is_empty() {
            self.units.remove(&id);
        }
    }
}

fn executions(unit: &Unit) -> u32 {
    u32::try_from(unit.failed_in.len()).unwrap_or(u32::MAX)
}

fn count(
    workers: &mut BTreeMap<WorkerId, Recent>,
    of: StepOfJob,
    unit: &Unit,
    step: fn(u32, u32) -> u32,
) {
    let shared = unit.failed_in.values().filter(|failed| failed.full).count() > 1;
    let alone = unit.failed_in.len() == 1;
    for (worker, failed) in &unit.failed_in {
        let Some(recent) = workers.get_mut(worker) else {
            continue;
        };
        if alone {
            let units = recent.alone.entry(of).or_default();
            *units = step(*units, 1);
            if *units == 0 {
                recent.alone.remove(&of);
            }
        }
        let facts = &mut recent.facts;
        facts.failed = step(facts.failed, 1);
        facts.refuted = step(facts.refuted, u32::from(unit.made_up));
        facts.full = step(facts.full, u32::from(failed.full));
        recent.shared = step(recent.shared, u32::from(failed.full && shared));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    const BOUNDS: Bounds = Bounds {
        window: 6,
        units: 5,
        kept: Duration::from_micros(40),
    };

    fn unit(part: i64) -> UnitId {
        UnitId::new(JobNo(1), StepNo(0), part)
    }

    fn worker(no: u8) -> WorkerId {
        WorkerId(format!("w{no}"))
    }

    /// What happens to a worker.
    #[derive(Debug, Clone, Copy)]
    enum Event {
        Succeeded(u8, i64),
        Failed(u8, i64, bool),
        Forgotten(u8),
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            4 => (0u8..4, 0i64..9).prop_map(|(worker, unit)| Event::Succeeded(worker, unit)),
            4 => (0u8..4, 0i64..9, any::<bool>()).prop_map(|(worker, unit, full)| Event::Failed(worker, unit, full)),
            1 => (0u8..4).prop_map(Event::Forgotten),
        ]
    }

    /// The same in lists that are counted anew at every look.
    #[derive(Debug, Default)]
    struct Lists {
        outcomes: BTreeMap<u8, Vec<Option<(i64, usize)>>>,
        /// Failures that are remembered: worker, unit, when, and whether it had no space.
        failed: Vec<(u8, i64, usize, bool)>,
        made_up: BTreeSet<i64>,
        order: Vec<(usize, i64)>,
    }

    impl Lists {
        fn take(&mut self, event: Event, no: usize) {
            match event {
                Event::Succeeded(worker, unit) => {
                    self.outcomes.entry(worker).or_default().push(None);
                    self.tidy();
                    let of = |failed: &&(u8, i64, usize, bool)| failed.1 == unit;
                    if self.failed.iter().any(|f| of(&f))
                        && !self.failed.iter().filter(of).any(|f| f.0 == worker)
                    {
                        self.made_up.insert(unit);
                    }
                }
                Event::Failed(worker, unit, full) => {
                    self.outcomes
                        .entry(worker)
                        .or_default()
                        .push(Some((unit, no)));
                    if !self.failed.iter().any(|f| f.1 == unit) {
                        self.order.push((no, unit));
                        self.made_up.remove(&unit);
                    }
                    self.failed.retain(|f| (f.0, f.1) != (worker, unit));
                    self.failed.push((worker, unit, no, full));
                    self.tidy();
                    while let Some((since, old)) = self.order.first().copied() {
                        if self.order.len() <= BOUNDS.units && no - since < 40 {
                            break;
                        }
                        self.order.remove(0);
                        if !self.order.iter().any(|(_, other)| *other == old) {
                            self.failed.retain(|f| f.1 != old);
                        }
                    }
                }
                Event::Forgotten(worker) => {
                    self.outcomes.remove(&worker);
                    self.tidy();
                }
            }
            let failed = &self.failed;
            self.made_up
                .retain(|unit| failed.iter().any(|f| f.1 == *unit));
        }

        /// A failure that left its worker's window is no longer remembered.
        fn tidy(&mut self) {
            for outcomes in self.outcomes.values_mut() {
                let extra = outcomes.len().saturating_sub(BOUNDS.window as usize);
                outcomes.drain(..extra);
            }
            let outcomes = &self.outcomes;
            self.failed.retain(|f| {
                outcomes
                    .get(&f.0)
                    .is_some_and(|all| all.contains(&Some((f.1, f.2))))
            });
        }

        fn facts(&self, worker: u8) -> (WorkerFacts, bool) {
            let own = || self.failed.iter().filter(|f| f.0 == worker);
            let shared = own().filter(|f| f.3).any(|f| {
                self.failed
                    .iter()
                    .any(|g| g.0 != worker && g.1 == f.1 && g.3)
            });
            let succeeded = self
                .outcomes
                .get(&worker)
                .map_or(0, |all| all.iter().filter(|o| o.is_none()).count());
            let facts = WorkerFacts {
                failed: own().count() as u32,
                alone: 0,
                refuted: own().filter(|f| self.made_up.contains(&f.1)).count() as u32,
                full: own().filter(|f| f.3).count() as u32,
                succeeded: succeeded as u32,
            };
            (facts, shared)
        }
    }

    proptest! {
        /// Whatever happened in whatever order, every running sum is what a recount of everything gives.
        #[test]
        fn running_sums_equal_a_recount(events in prop::collection::vec(event(), 0..120)) {
            let (mut tally, mut lists) = (Tally::new(BOUNDS), Lists::default());
            for (no, event) in events.into_iter().enumerate() {
                match event {
                    Event::Succeeded(by, part) => drop(tally.succeeded(&worker(by), unit(part))),
                    Event::Failed(by, part, full) => tally.failed(&worker(by), unit(part), no as u32, full, Timestamp(no as i64)),
                    Event::Forgotten(by) => tally.forget(&worker(by)),
                }
                lists.take(event, no);
                for by in 0..4 {
                    let sums = (tally.facts(&worker(by)), tally.shares_full(&worker(by)));
                    prop_assert_eq!(sums, lists.facts(by), "of w{} after {:?}, no. {}", by, event, no);
                    let mut failures: Vec<_> =
                        lists.failed.iter().filter(|f| f.0 == by).map(|f| Execution { unit: unit(f.1), epoch: f.2 as u32 }).collect();
                    failures.sort_unstable();
                    prop_assert_eq!(tally.failures(&worker(by)), failures);
                    let units = |of: u8| lists.failed.iter().filter(move |f| f.0 == of).map(|f| f.1);
                    let elsewhere: BTreeSet<i64> = (0..4).filter(|of| *of != by).flat_map(units).collect();
                    let alone = units(by).filter(|unit| !elsewhere.contains(unit)).count() as u32;
                    let recent = tally.workers.get(&worker(by));
                    prop_assert_eq!(recent.map_or(0, |recent| recent.alone.values().sum()), alone);
                    let in_step = tally.steps.get(&step_of(unit(0))).map_or(0, |sum| sum.failed);
                    prop_assert_eq!(in_step, lists.failed.len() as u32);
                }
                prop_assert!(tally.order.len() <= BOUNDS.units);
            }
        }
    }

    #[test]
    fn a_failure_is_forgotten_by_time() {
        let mut tally = Tally::new(BOUNDS);
        tally.failed(&worker(1), unit(1), 1, false, Timestamp(0));
        tally.forget_old(Timestamp(39));
        assert!(tally.has_failures());
        tally.forget_old(Timestamp(40));
        assert!(!tally.has_failures() && tally.facts(&worker(1)).failed == 0);
    }

    #[test]
    fn workers_that_are_gone_take_their_memory_along() {
        let mut tally = Tally::new(BOUNDS);
        for no in 0..200 {
            tally.failed(&worker(no), unit(1), 1, false, Timestamp(0));
        }
        tally.keep(|of| *of == worker(7));
        assert_eq!(
            (tally.workers.len(), tally.units[&unit(1)].failed_in.len()),
            (1, 1)
        );
        tally.keep(|_| false);
        assert!(tally.workers.is_empty() && tally.units.is_empty() && tally.steps.is_empty());
    }

    #[test]
    fn steps_without_failures_are_forgotten_above_the_bound() {
        let mut tally = Tally::new(BOUNDS);
        let of_step = |step| UnitId {
            step: StepNo(step),
            ..unit(1)
        };
        tally.failed(&worker(1), of_step(0), 1, false, Timestamp(0));
        for step in 0..5_000 {
            tally.succeeded(&worker(2), of_step(step));
        }
        assert!(
            tally.steps.len() <= STEPS_MAX && tally.steps.contains_key(&(JobNo(1), StepNo(0))),
            "{}",
            tally.steps.len()
        );
        for _ in 0..50 {
            tally.succeeded(&worker(2), of_step(0));
        }
        assert_eq!(tally.steps[&(JobNo(1), StepNo(0))].succeeded, BOUNDS.window);
    }
}
