//! The coordinator as a process: what `coordinator::leader` does around the transactions of its reactor, one event at a time.
//! Decisions and memory are the reactor's own.
use crate::faults::Plant;
use crate::world::{Event, World};
use coordinator::dispatch::outstanding::Cursor;
use coordinator::graph::{Graph, barrier_key};
use coordinator::leader::engine::Turn;
use coordinator::leader::reactor::{Listed, Reactor, Work};
use coordinator::queue::Sent;
use coordinator::reconcile::recovery;
use coordinator::review::approvals::sync_tasks;
use coordinator::store::{JobTx, OperationTx, Phase, SpeculationState, StoreError, UnitTx};
use protocol::failure::ErrorClass;
use protocol::id::{StepNo, UnitId};
use protocol::rules::unit::transition::UnitState;
use protocol::time::Timestamp;
use protocol::wire::control::Control;
use protocol::wire::report::{Outcome, Report};
use protocol::workflow::Action;
use std::time::Duration;

const TURN_EVERY: Duration = Duration::from_millis(2_000);
pub(crate) const RESCUE_EVERY: Duration = Duration::from_secs(1);
const RETRY_STORE: Duration = Duration::from_millis(250);

/// What a coordinator keeps in memory: gone when it dies.
#[derive(Debug, Default)]
pub(crate) struct Process {
    pub reactor: Reactor,
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
        let process = Process::default();
        process.reactor.state.lock().leases.readable_from(self.now);
        let mut interrupted = Vec::new();
        if self.scenario.embedded {
            interrupted = self
                .store
                .memory
                .jobs(true, u32::MAX)
                .expect("memory answers");
        } else {
            self.adopt(&process.reactor);
        }
        for job in interrupted {
            let workflows = process.reactor.engine.lock().workflows.clone();
            loop {
                let page = self.store.write(&mut self.rng, |tx| {
                    recovery::recover(tx, &workflows, job.no)
                });
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

    /// Watches everything that the store says is out.
    fn adopt(&mut self, reactor: &Reactor) {
        for job in self
            .store
            .memory
            .jobs(true, u32::MAX)
            .expect("memory answers")
        {
            let mut place = Some(Cursor::Leased(None));
            while let Some(at) = place {
                let page = reactor.adopt_page(&mut self.store.memory, job.no, at);
                let (out, next) = page.expect("memory answers");
                reactor.on_adopted(&out, self.now);
                place = next;
            }
        }
    }

    /// Ends the coordinator; in an embedded run everything else dies with it.
    pub(crate) fn coordinator_down(&mut self, why: &str) {
        if self.process.take().is_none() {
            return;
        }
        self.stats.coordinator_deaths += 1;
        self.excuses += 1;
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
        let (at, incarnation) = (
            self.now.after(wait.max(Duration::from_millis(1))),
            self.incarnation,
        );
        let Some(process) = &mut self.process else {
            return;
        };
        if process.turn_at.is_none_or(|due| at < due) {
            process.turn_at = Some(at);
            self.push(at, Event::Turn(incarnation));
        }
    }

    /// Takes one turn of the engine and carries it out.
    pub(crate) fn turn(&mut self) {
        let now = self.now;
        let Some(process) = &mut self.process else {
            return;
        };
        if process.turn_at != Some(now) {
            return;
        }
        process.turn_at = None;
        let reactor = process.reactor.clone();
        let redriving = self.redriving();
        let result = self
            .store
            .write(&mut self.rng, |tx| reactor.turn(tx, &[], now));
        if result.is_err() {
            self.excuses += 1;
            if self.plant != Some(Plant::TurnNotRolledBack) {
                reactor.on_rollback();
            }
        }
        self.check(redriving);
        match result {
            Ok(turn) => {
                let turn = self.claimed(turn, None);
                self.carry_out(turn);
            }
            Err(error) if error.class() == ErrorClass::Transient => self.wake(RETRY_STORE),
            Err(error) => self.coordinator_down(&error.to_string()),
        }
    }

    /// Whether an operator's retry may go on in the next turn.
    fn redriving(&mut self) -> bool {
        !self
            .store
            .memory
            .running_operations(1)
            .expect("memory answers")
            .is_empty()
    }

    /// After the commit of a turn, and of the ends it followed.
    fn claimed(&mut self, mut turn: Turn, ended: Option<&[Outcome]>) -> Turn {
        let now = self.now;
        let Some(process) = &self.process else {
            return turn;
        };
        let reactor = process.reactor.clone();
        let copies = turn
            .units
            .iter()
            .filter(|unit| reactor.state.lock().leases.is_out(unit.id))
            .count();
        self.stats.copies += copies as u64;
        let forgotten = self.plant == Some(Plant::LostPublicationForgotten);
        let units = std::mem::take(&mut turn.units);
        let noted = Turn {
            units: if forgotten { Vec::new() } else { units.clone() },
            ..Turn::default()
        };
        match ended {
            Some(outcomes) => drop(reactor.on_ends_committed(outcomes, &noted, now)),
            None => reactor.on_turn_committed(&noted, now),
        }
        Turn { units, ..turn }
    }

    fn carry_out(&mut self, turn: Turn) {
        if !turn.units.is_empty() && self.mishap(0.01) {
            return self.coordinator_down("between claim and publish");
        }
        let now = self.now;
        let Some(process) = &mut self.process else {
            return;
        };
        let revokes = process.reactor.called_back(&turn, now);
        self.stats.fruitless += turn.fruitless.len() as u64;
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
                process.reactor.state.lock().leases.published(&[unit], now);
            }
        }
        let due = turn
            .next_due
            .map_or(TURN_EVERY, |due| due.since(now).min(TURN_EVERY));
        self.wake(if turn.more { Duration::ZERO } else { due });
    }

    /// Collects what has arrived, before long.
    pub(crate) fn collect_soon(&mut self) {
        let wait = Duration::from_micros(self.rng.u64(100..100_000));
        self.collect_after(wait);
    }

    fn collect_after(&mut self, wait: Duration) {
        let incarnation = self.incarnation;
        let Some(process) = &mut self.process else {
            return;
        };
        if !process.collecting && !self.inbox.is_empty() {
            process.collecting = true;
            self.at(wait, Event::Collect(incarnation));
        }
    }

    /// Takes a batch of reports, in order.
    pub(crate) fn collect(&mut self) {
        let Some(process) = &mut self.process else {
            return;
        };
        process.collecting = false;
        let reactor = process.reactor.clone();
        let size = self.rng.usize(1..=64).min(self.inbox.len());
        let batch: Vec<Report> = self.inbox.drain(..size).collect();
        if self.mishap(0.01) {
            if self.rng.bool() {
                // They were not acknowledged yet: the next coordinator gets them again.
                batch
                    .into_iter()
                    .rev()
                    .for_each(|report| self.inbox.push_front(report));
            }
            return self.coordinator_down("between collect and settle");
        }
        let (now, whole) = (self.now, self.inbox.is_empty());
        let batch = batch.into_iter().map(Sent::from).collect();
        let sorted = reactor.on_reports(batch, (now, whole), now);
        let mut work = sorted.work.into_iter();
        while let Some(next) = work.next() {
            let written = match next {
                Work::Settle(outcomes) => self.settle(outcomes),
                Work::Store(pages) => self.pages(pages),
                // Its workers remove nothing.
                Work::Tombstones(..) => Ok(()),
            };
            if let Err(unwritten) = written {
                return self.later(
                    unwritten
                        .into_iter()
                        .chain(work.flat_map(reports))
                        .collect(),
                );
            }
            if self.process.is_none() {
                if !self.scenario.embedded {
                    work.flat_map(reports)
                        .for_each(|report| self.inbox.push_back(report));
                }
                return;
            }
        }
        self.wake(Duration::ZERO);
        self.collect_soon();
    }

    fn later(&mut self, reports: Vec<Report>) {
        reports
            .into_iter()
            .rev()
            .for_each(|report| self.inbox.push_front(report));
        self.collect_after(RETRY_STORE);
    }

    /// Settles; reports that wait for a store that cannot be written come back as the error.
    fn settle(&mut self, mut outcomes: Vec<Outcome>) -> Result<(), Vec<Report>> {
        let now = self.now;
        if self.plant == Some(Plant::FenceRemoved) {
            outcomes
                .iter_mut()
                .for_each(|outcome| outcome.epoch = self.current_epoch(outcome.unit));
        }
        let Some(process) = &mut self.process else {
            return Ok(());
        };
        let reactor = process.reactor.clone();
        reactor.on_outcomes(&outcomes, now);
        let mut jitter = self.rng.fork();
        let forget = self.plant == Some(Plant::AdoptionNotRecorded);
        let redriving = self.redriving();
        let result = self.store.write(&mut self.rng, |tx| {
            let settled = reactor.settle(tx, &outcomes, now, &mut || jitter.f64())?;
            for outcome in outcomes.iter().filter(|_| forget) {
                let copy = tx.speculation(outcome.unit)?;
                if copy.is_some_and(|copy| copy.state == SpeculationState::Adopted) {
                    tx.put_speculation(outcome.unit, None)?;
                }
            }
            Ok(settled)
        });
        match result {
            Ok((settled, turn)) => {
                for outcome in &outcomes {
                    self.note(|| {
                        format!(
                            "settle {} epoch {}: {:?}",
                            outcome.unit, outcome.epoch, outcome.result
                        )
                    });
                }
                let turn = self.claimed(turn, Some(&outcomes));
                if self.plant == Some(Plant::EndsIgnoreTheirEpoch) {
                    for scan in outcomes
                        .iter()
                        .map(|end| end.unit)
                        .filter(|unit| unit.step == StepNo::SCAN)
                    {
                        let epoch = self.current_epoch(scan);
                        reactor.state.lock().leases.ended(scan, epoch);
                    }
                }
                self.stats.settled(&settled);
                self.check(redriving);
                if self.plant == Some(Plant::BarrierCountsMessages) {
                    self.count_again(&outcomes);
                }
                self.carry_out(turn);
                Ok(())
            }
            Err(error) => {
                if self.plant != Some(Plant::TurnNotRolledBack) {
                    reactor.on_rollback();
                }
                if error.class() == ErrorClass::Ambiguous {
                    // It may have claimed units of which nobody here knows.
                    self.adopt(&reactor);
                }
                self.unwritten(&error, outcomes.into_iter().map(Report::Settled).collect())
            }
        }
    }

    fn pages(&mut self, pages: Vec<Listed>) -> Result<(), Vec<Report>> {
        let Some(process) = &mut self.process else {
            return Ok(());
        };
        let reactor = process.reactor.clone();
        let result = self
            .store
            .write(&mut self.rng, |tx| reactor.store_pages(tx, &pages));
        self.check(false);
        match result {
            Ok(taken) => {
                for ((page, _), taken) in pages.iter().zip(&taken) {
                    self.note(|| {
                        format!(
                            "page {} of {} epoch {}: {taken:?}",
                            page.page, page.unit, page.epoch
                        )
                    });
                }
                let torn = reactor.on_pages_committed(&pages, &taken);
                if !torn.is_empty() {
                    self.stats.torn += torn.len() as u64;
                    self.broadcast(&Control::Revoke(torn));
                }
                Ok(())
            }
            Err(error) => self.unwritten(&error, reports(Work::Store(pages))),
        }
    }

    /// What certainly was not written is tried again; the rest is dropped and comes back as a lapsed lease.
    fn unwritten(&mut self, error: &StoreError, reports: Vec<Report>) -> Result<(), Vec<Report>> {
        self.excuses += 1;
        self.check(false);
        self.note(|| format!("reports not stored: {error}"));
        if error.class() == ErrorClass::Transient {
            Err(reports)
        } else {
            Ok(())
        }
    }

    fn current_epoch(&mut self, unit: UnitId) -> u32 {
        if unit.step == StepNo::SCAN {
            let job = self.store.memory.job(unit.job).expect("memory answers");
            return job.map_or(0, |job| job.scan_epoch);
        }
        let row = self
            .store
            .memory
            .units(unit.job, unit.step, &[unit.packed_part()])
            .expect("memory answers")
            .pop()
            .flatten();
        row.map_or(1, |row| row.epoch)
    }

    /// The planted bug: every success that arrives again counts again.
    fn count_again(&mut self, outcomes: &[Outcome]) {
        for outcome in outcomes {
            let again = !self.seen.insert(outcome.unit.execution(outcome.epoch));
            let Some(view) = self.views.get(&outcome.unit.job).filter(|_| again) else {
                continue;
            };
            if view.state(outcome.unit.step, outcome.unit.part) != Some(UnitState::Succeeded)
                || outcome.unit.part == 0
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
                    let mut graph = Graph::new(tx, job, &workflow, sealed, now);
                    let key = barrier_key(&workflow, barrier, &partition);
                    let approvals = graph.count(barrier, &key, 1, 0)?;
                    sync_tasks(&mut graph, &approvals)
                });
                counted.expect("memory answers");
                self.check(false);
            }
        }
    }
}

/// Work as the reports it came in.
fn reports(work: Work) -> Vec<Report> {
    match work {
        Work::Settle(outcomes) => outcomes.into_iter().map(Report::Settled).collect(),
        Work::Store(pages) => pages
            .into_iter()
            .map(|(page, up_to): Listed| Report::Page { page, up_to })
            .collect(),
        Work::Tombstones(unit, burials) => vec![Report::Buried {
            execution: unit.execution(0),
            burials,
        }],
    }
}
