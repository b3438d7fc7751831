//! Taking back: leases that have lapsed, and executions whose entries the transport does not hold.
use crate::faults::Plant;
use crate::process::RESCUE_EVERY;
use crate::world::{Event, World};
use coordinator::leader::memory::lease_table::Lapsed;
use coordinator::leader::reactor::Reactor;
use coordinator::queue::Lost;
use coordinator::reconcile::rescuer::{LostWith, Taken};
use protocol::failure::ErrorClass;
use protocol::id::{Execution, StepNo, UnitId};
use protocol::rules::worker::poison::PoisonLimits;
use protocol::time::Timestamp;
use protocol::wire::report::Report;
use std::time::Duration;

/// An execution that no heartbeat has shown for this long is looked for.
const UNSEEN: Duration = Duration::from_secs(8);

impl World {
    /// Takes back what has lapsed.
    pub(crate) fn rescue(&mut self) {
        let incarnation = self.incarnation;
        let (now, limits) = (self.now, self.scenario.limits);
        let Some(process) = &self.process else { return };
        let reactor = process.reactor.clone();
        if self.inbox.is_empty() {
            // A read that brings nothing says that nobody has said anything.
            reactor.on_reports(Vec::new(), (now, true), now);
        }
        let mut lapsed = reactor.state.lock().leases.lapsed(&limits, now);
        if !self.scenario.embedded {
            lapsed.extend(self.missing(&reactor));
        }
        if self.plant == Some(Plant::LeasesNeverJudged) {
            lapsed.clear();
        }
        let lapsed: Vec<Lapsed> = lapsed
            .into_iter()
            .map(|one| self.with_holder(&reactor, one))
            .collect();
        let mut poison = PoisonLimits::default();
        if self.plant == Some(Plant::GuiltByPresence) {
            poison.workers_max = 3;
        }
        let size = self.rng.usize(1..=16);
        for page in lapsed.chunks(size) {
            let result = self.store.write(&mut self.rng, |tx| {
                reactor.take_back(tx, page, &poison, now)
            });
            self.check(false);
            match result {
                Ok(taken) => self.on_taken_back(&reactor, page, taken),
                Err(error) if error.class() == ErrorClass::Transient => break,
                Err(error) => return self.coordinator_down(&error.to_string()),
            }
        }
        self.at(RESCUE_EVERY, Event::Rescue(incarnation));
    }

    fn on_taken_back(&mut self, reactor: &Reactor, page: &[Lapsed], taken: Vec<Taken>) {
        for (lapsed, taken) in page.iter().zip(taken) {
            self.note(|| format!("lapsed {lapsed:?}: {taken:?}"));
            self.excuses += u64::from(lapsed.unit.step == StepNo::SCAN);
            self.stats.taken_back += u64::from(taken != Taken::No);
            self.stats.parked += u64::from(taken == Taken::Parked);
            reactor.on_taken_back(lapsed, taken);
        }
    }

    /// What no heartbeat showed the transport may know: the worker that took it and did not give it back.
    fn with_holder(&self, reactor: &Reactor, lapsed: Lapsed) -> Lapsed {
        let (now, limits, plant) = (self.now, self.scenario.limits, self.plant);
        let Lapsed {
            unit,
            epoch,
            with,
            vanished,
        } = lapsed;
        let holder = self.taken_by.get(&unit.execution(epoch));
        let with = with.or_else(|| {
            reactor
                .state
                .lock()
                .leases
                .lost_with(holder?, unit, epoch, &limits, now)
        });
        let with = with
            .filter(|_| plant != Some(Plant::LossesForgotten))
            .map(|with| {
                let alone = with.alone || plant == Some(Plant::GuiltByPresence);
                LostWith { alone, ..with }
            });
        Lapsed {
            unit,
            epoch,
            with,
            vanished,
        }
    }

    /// Executions that no heartbeat has shown and whose entries are gone, or were taken by a worker that is silent.
    fn missing(&mut self, reactor: &Reactor) -> Vec<Lapsed> {
        let (now, limits) = (self.now, self.scenario.limits);
        let leases = &mut reactor.state.lock().leases;
        let before = Timestamp(
            leases
                .as_heard(now)
                .0
                .saturating_sub(UNSEEN.as_micros() as i64),
        );
        let (waiting, alive) = (
            leases.unclaimed(before, self.rng.usize(1..=64)),
            leases.alive(&limits, now),
        );
        let lost = waiting.into_iter().filter_map(|execution| {
            let Execution { unit, epoch } = execution;
            let there = self.entries.contains(&execution);
            let holder = self
                .taken_by
                .get(&execution)
                .filter(|holder| there && !alive.contains(holder));
            (!there || holder.is_some()).then(|| Lost {
                unit,
                epoch,
                holder: holder.cloned(),
                vanished: !there,
            })
        });
        let lost: Vec<Lost> = lost.collect();
        let mut gone = leases.not_found(lost.clone(), &limits, now);
        let believed = |lost: Lost| Lapsed {
            unit: lost.unit,
            epoch: lost.epoch,
            with: None,
            vanished: lost.vanished,
        };
        match self.plant {
            Some(Plant::AbsenceBelieved) => gone.extend(lost.into_iter().map(believed)),
            _ => gone.extend(leases.missing()),
        }
        let reported = |unit: UnitId, epoch: u32| {
            let of_it = |report: &&Report| matches!(report, Report::Settled(end) if (end.unit, end.epoch) == (unit, epoch));
            self.inbox.iter().find(of_it).is_some()
        };
        // A unit may be handed out again after its worker is silent; not because its end has not been read yet.
        let unread = gone
            .iter()
            .find(|one| one.with.is_none() && reported(one.unit, one.epoch))
            .cloned();
        if let Some(Lapsed { unit, epoch, .. }) = unread {
            self.violate(format!(
                "LEASE-1: unit {unit} epoch {epoch} counts as missing while its end waits to be read"
            ));
        }
        gone
    }
}
