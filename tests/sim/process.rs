//! The coordinator as a process: what `coordinator::runtime` does around transactions, one event at a time.
use crate::faults::Plant;
use crate::world::{Event, World};
use coordinator::engine::{Engine, Turn, scan_unit};
use coordinator::leases::{Lapsed, Leases};
use coordinator::service::graph::Graph;
use coordinator::service::rescuer::{LostWith, Taken};
use coordinator::service::{collector, recovery, rescuer};
use coordinator::store::{JobTx, OperationTx, Phase, SpeculationState, StoreError, UnitTx};
use coordinator::wards::Wards;
use protocol::failure::ErrorClass;
use protocol::id::{JobNo, StepNo, UnitId};
use protocol::rules::lifecycle::UnitState;
use protocol::rules::poison::PoisonLimits;
use protocol::time::Timestamp;
use protocol::wire::control::Control;
use protocol::wire::report::{Outcome, Report, ScanPage};
use protocol::workflow::Action;
use std::collections::BTreeSet;
use std::time::Duration;

const TURN_EVERY: Duration = Duration::from_millis(2_000);
const RESCUE_EVERY: Duration = Duration::from_secs(1);
const RETRY_STORE: Duration = Duration::from_millis(250);

/// What a coordinator keeps in memory: gone when it dies.
#[derive(Debug, Default)]
pub(crate) struct Process {
    pub engine: Engine,
    pub leases: Leases,
    pub wards: Wards,
    turn_at: Option<Timestamp>,
    collecting: bool,
}

impl World {
    /// Starts a coordinator over what the store holds.
    pub(crate) fn coordinator_up(&mut self) {
        if self.process.is_some() {
            return;
        }
        self.incarnation += 1;
        let mut process = Process::default();
        process.leases.readable_from(self.now);
        let jobs = self.store.memory.jobs(true, u32::MAX).expect("memory answers");
        for job in jobs {
            let workflows = process.engine.workflows.clone();
            if !self.scenario.embedded {
                let memory = &mut self.store.memory;
                let out = recovery::outstanding(memory, &workflows, job.no).expect("memory answers");
                process.leases.adopt(&out, self.now);
                continue;
            }
            loop {
                let page = self.store.write(&mut self.rng, |tx| recovery::recover(tx, &workflows, job.no));
                self.check(false);
                match page {
                    Ok(0) => break,
                    Ok(_) => {}
                    // A process that cannot recover ends, and is started again.
                    Err(_) => return self.at(RETRY_STORE, Event::CoordinatorUp),
                }
            }
        }
        self.note(|| "coordinator up".into());
        self.process = Some(process);
        let incarnation = self.incarnation;
        self.at(RESCUE_EVERY, Event::Rescue(incarnation));
        self.at(RESCUE_EVERY, Event::Tend(incarnation));
        self.wake(Duration::ZERO);
        self.collect_soon();
    }

    /// Ends the coordinator; in an embedded run everything else dies with it.
    pub(crate) fn coordinator_down(&mut self, why: &str) {
        if self.process.take().is_none() {
            return;
        }
        self.stats.coordinator_deaths += 1;
        self.note(|| format!("coordinator down: {why}"));
        if self.scenario.embedded {
            for worker in 0..self.workers.len() {
                self.worker_down(worker);
            }
            self.inbox.clear();
            self.queues.clear();
        }
        let pause = Duration::from_millis(self.rng.u64(50..8_000));
        self.at(pause, Event::CoordinatorUp);
    }

    /// Takes a turn after `wait`, or earlier when one is due earlier.
    pub(crate) fn wake(&mut self, wait: Duration) {
        let (at, incarnation) = (self.now.after(wait.max(Duration::from_millis(1))), self.incarnation);
        let Some(process) = &mut self.process else { return };
        if process.turn_at.is_none_or(|due| at < due) {
            process.turn_at = Some(at);
            self.push(at, Event::Turn(incarnation));
        }
    }

    /// Takes one turn of the engine and carries it out.
    pub(crate) fn turn(&mut self) {
        let now = self.now;
        let Some(process) = &mut self.process else { return };
        if process.turn_at != Some(now) {
            return;
        }
        process.turn_at = None;
        let (engine, leases) = (&mut process.engine, &mut process.leases);
        let load = leases.load(now);
        // An operator's retry may go on in this turn.
        let redriving = !self.store.memory.running_operations(1).expect("memory answers").is_empty();
        let result = self.store.write(&mut self.rng, |tx| {
            let open = tx.jobs(true, u32::MAX)?;
            let out: BTreeSet<JobNo> =
                open.iter().map(|job| job.no).filter(|no| leases.is_out(scan_unit(*no))).collect();
            engine.turn(tx, load, &out, now)
        });
        if result.is_err() && self.plant != Some(Plant::TurnNotRolledBack) {
            engine.rolled_back();
        }
        self.check(redriving);
        match result {
            Ok(turn) => self.carry_out(turn),
            Err(error) if error.class() == ErrorClass::Transient => self.wake(RETRY_STORE),
            Err(error) => self.coordinator_down(&error.to_string()),
        }
    }

    fn carry_out(&mut self, turn: Turn) {
        if !turn.units.is_empty() && self.mishap(0.01) {
            return self.coordinator_down("between claim and publish");
        }
        let now = self.now;
        let Some(process) = &mut self.process else { return };
        let mut revokes = turn.obsolete;
        for job in turn.cancelling {
            revokes.extend(process.leases.of_job(job));
        }
        revokes.sort_unstable();
        self.stats.copies += turn.units.iter().filter(|unit| process.leases.is_out(unit.id)).count() as u64;
        if self.plant != Some(Plant::LostPublicationForgotten) {
            process.leases.published(&turn.units, now);
        }
        if !revokes.is_empty() {
            self.broadcast(&Control::Revoke(revokes));
        }
        for unit in turn.units {
            self.note(|| format!("publish {} epoch {}", unit.id, unit.epoch));
            let arrived = self.publish(unit.clone());
            if arrived
                && self.plant == Some(Plant::LostPublicationForgotten)
                && let Some(process) = &mut self.process
            {
                process.leases.published(&[unit], now);
            }
        }
        let due = turn.next_due.map_or(TURN_EVERY, |due| due.since(now).min(TURN_EVERY));
        self.wake(if turn.more { Duration::ZERO } else { due });
    }

    /// Takes back what has lapsed.
    pub(crate) fn rescue(&mut self) {
        let incarnation = self.incarnation;
        let (now, limits) = (self.now, self.scenario.limits);
        let Some(process) = &mut self.process else { return };
        let lapsed = process.leases.lapsed(&limits, now);
        for Lapsed { unit, epoch, with, .. } in lapsed {
            if self.plant == Some(Plant::LeasesNeverJudged) {
                break;
            }
            let plant = self.plant;
            let Some(process) = &self.process else { return };
            // What no heartbeat showed the transport may know: who took it and did not give it back.
            let holder = self.taken_by.get(&(unit, epoch));
            let with = with.or_else(|| process.leases.lost_with(holder?, unit, epoch, &limits, now));
            let with = with.filter(|_| plant != Some(Plant::LossesForgotten)).map(|with| {
                let alone = with.alone || plant == Some(Plant::GuiltByPresence);
                LostWith { alone, ..with }
            });
            let Some(process) = &self.process else { return };
            let workflows = process.engine.workflows.clone();
            let result = self.store.write(&mut self.rng, |tx| match &with {
                Some(with) => {
                    let mut poison = PoisonLimits::default();
                    if plant == Some(Plant::GuiltByPresence) {
                        poison.workers_max = 3;
                    }
                    rescuer::take_back_lost(tx, &workflows, (unit, epoch), with, &poison, now)
                }
                None => Ok(if rescuer::take_back(tx, unit, epoch)? { Taken::Ready } else { Taken::No }),
            });
            self.check(false);
            match result {
                Ok(taken) => {
                    self.note(|| format!("lapsed {unit} epoch {epoch} with {with:?}: {taken:?}"));
                    self.stats.taken_back += u64::from(taken != Taken::No);
                    self.stats.parked += u64::from(taken == Taken::Parked);
                    if let (Taken::Suspect, Some(process)) = (taken, &mut self.process) {
                        process.engine.suspect(unit);
                    }
                    let Some(process) = &mut self.process else { return };
                    process.leases.ended(unit, epoch);
                }
                Err(error) if error.class() == ErrorClass::Transient => break,
                Err(error) => return self.coordinator_down(&error.to_string()),
            }
        }
        self.at(RESCUE_EVERY, Event::Rescue(incarnation));
    }

    /// Collects what has arrived, before long.
    pub(crate) fn collect_soon(&mut self) {
        let wait = Duration::from_micros(self.rng.u64(100..100_000));
        self.collect_after(wait);
    }

    fn collect_after(&mut self, wait: Duration) {
        let incarnation = self.incarnation;
        let Some(process) = &mut self.process else { return };
        if !process.collecting && !self.inbox.is_empty() {
            process.collecting = true;
            self.at(wait, Event::Collect(incarnation));
        }
    }

    /// Takes a batch of reports, in order.
    pub(crate) fn collect(&mut self) {
        let Some(process) = &mut self.process else { return };
        process.collecting = false;
        let size = self.rng.usize(1..=64).min(self.inbox.len());
        let batch: Vec<Report> = self.inbox.drain(..size).collect();
        if self.mishap(0.01) {
            if self.rng.bool() {
                // They were not acknowledged yet: the next coordinator gets them again.
                batch.into_iter().rev().for_each(|report| self.inbox.push_front(report));
            }
            return self.coordinator_down("between collect and settle");
        }
        let mut outcomes: Vec<Outcome> = Vec::new();
        let mut reports = batch.into_iter();
        while let Some(report) = reports.next() {
            let written = match report {
                Report::Settled(outcome) => {
                    outcomes.push(outcome);
                    Ok(())
                }
                Report::Heartbeat(beat) => {
                    let now = self.now;
                    if let Some(process) = &mut self.process {
                        process.leases.heard(&beat, now);
                    }
                    Ok(())
                }
                Report::Alone(unit, epoch, worker) => {
                    let now = self.now;
                    if let Some(process) = &mut self.process {
                        process.leases.runs_alone(unit, epoch, &worker, now);
                    }
                    Ok(())
                }
                // Its workers neither move bytes nor list buckets nor remove anything.
                Report::Progress(_) | Report::Buried(..) => Ok(()),
                Report::Page(page) | Report::PageUpTo(page, _) => {
                    self.settle(std::mem::take(&mut outcomes)).and_then(|()| self.page(page))
                }
            };
            if let Err(unwritten) = written {
                return self.later(unwritten.into_iter().chain(reports).collect());
            }
        }
        if let Err(unwritten) = self.settle(outcomes) {
            return self.later(unwritten);
        }
        self.wake(Duration::ZERO);
        self.collect_soon();
    }

    fn later(&mut self, reports: Vec<Report>) {
        reports.into_iter().rev().for_each(|report| self.inbox.push_front(report));
        self.collect_after(RETRY_STORE);
    }

    /// Settles; reports that wait for a store that cannot be written come back as the error.
    fn settle(&mut self, mut outcomes: Vec<Outcome>) -> Result<(), Vec<Report>> {
        let now = self.now;
        if outcomes.is_empty() || self.process.is_none() {
            return Ok(());
        }
        if self.plant == Some(Plant::FenceRemoved) {
            outcomes.iter_mut().for_each(|outcome| outcome.epoch = self.current_epoch(outcome.unit));
        }
        let kept = outcomes.clone();
        let Some(process) = &mut self.process else { return Ok(()) };
        process.wards.note(&kept, now);
        let workflows = process.engine.workflows.clone();
        let mut jitter = self.rng.fork();
        let forget = self.plant == Some(Plant::AdoptionNotRecorded);
        let result = self.store.write(&mut self.rng, |tx| {
            let settled = collector::settle(tx, &workflows, outcomes, now, &mut || jitter.f64())?;
            for outcome in kept.iter().filter(|_| forget) {
                let copy = tx.speculation(outcome.unit)?;
                if copy.is_some_and(|copy| copy.state == SpeculationState::Adopted) {
                    tx.put_speculation(outcome.unit, None)?;
                }
            }
            Ok(settled)
        });
        match result {
            Ok(settled) => {
                for outcome in &kept {
                    self.note(|| format!("settle {} epoch {}: {:?}", outcome.unit, outcome.epoch, outcome.result));
                }
                let Some(process) = &mut self.process else { return Ok(()) };
                for outcome in &kept {
                    process.leases.reported(outcome, now);
                }
                if let Some((job, at)) = settled.scan_retry {
                    process.engine.scan_due(job, at);
                }
                self.stats.settled(&settled);
                self.check(false);
                if self.plant == Some(Plant::BarrierCountsMessages) {
                    self.count_again(&kept);
                }
                Ok(())
            }
            Err(error) => self.unwritten(&error, kept.into_iter().map(Report::Settled).collect()),
        }
    }

    fn page(&mut self, page: ScanPage) -> Result<(), Vec<Report>> {
        let Some(process) = &mut self.process else { return Ok(()) };
        let workflows = process.engine.workflows.clone();
        let result = self.store.write(&mut self.rng, |tx| collector::page(tx, &workflows, &page, None));
        self.check(false);
        match result {
            Ok(taken) => {
                self.note(|| format!("page {} of {} epoch {}: {taken}", page.page, page.unit, page.epoch));
                Ok(())
            }
            Err(error) => self.unwritten(&error, vec![Report::Page(page)]),
        }
    }

    /// What certainly was not written is tried again; the rest is dropped and comes back as a lapsed lease.
    fn unwritten(&mut self, error: &StoreError, reports: Vec<Report>) -> Result<(), Vec<Report>> {
        self.check(false);
        self.note(|| format!("reports not stored: {error}"));
        if error.class() == ErrorClass::Transient { Err(reports) } else { Ok(()) }
    }

    fn current_epoch(&mut self, unit: UnitId) -> u32 {
        if unit.step == StepNo::SCAN {
            let job = self.store.memory.job(unit.job).expect("memory answers");
            return job.map_or(0, |job| job.scan_epoch);
        }
        let row = self.store.memory.units(unit.job, unit.step, &[unit.part]).expect("memory answers").pop().flatten();
        row.map_or(1, |row| row.epoch)
    }

    /// The planted bug: every success that arrives again counts again.
    fn count_again(&mut self, outcomes: &[Outcome]) {
        for outcome in outcomes {
            let again = !self.seen.insert((outcome.unit, outcome.epoch));
            let Some(view) = self.views.get(&outcome.unit.job).filter(|_| again) else { continue };
            if view.state(outcome.unit.step, outcome.unit.part) != Some(UnitState::Succeeded) || outcome.unit.part == 0
            {
                continue;
            }
            let (workflow, sealed) = (view.workflow.clone(), view.row.phase == Phase::Sealed);
            let partition = view.parts[&outcome.unit.part].clone();
            let (job, now) = (outcome.unit.job, self.now);
            for (barrier, step) in workflow.dependents(outcome.unit.step) {
                if !matches!(step.action, Action::Barrier { .. }) {
                    continue;
                }
                let counted = self.store.memory.write(|tx| {
                    let mut graph = Graph { tx, job, workflow: &workflow, sealed, now };
                    let key = graph.key(barrier, &partition);
                    graph.count(barrier, &key, 1, 0)
                });
                counted.expect("memory answers");
                self.check(false);
            }
        }
    }
}
