//! The list of workers, their orders and quarantine: what `coordinator::leader` does every few seconds.
use crate::faults::Plant;
use crate::world::{Event, World};
use coordinator::leader::memory::worker_health::QuarantineAdvice;
use coordinator::store::StoreError;
use protocol::failure::ErrorClass;
use protocol::wire::control::Control;
use std::time::Duration;

const TEND_EVERY: Duration = Duration::from_secs(4);

impl World {
    /// Looks after the workers.
    pub(crate) fn tend(&mut self) {
        let (now, limits, incarnation) = (self.now, self.scenario.limits, self.incarnation);
        let Some(process) = &self.process else { return };
        let reactor = process.reactor.clone();
        let seen = reactor.workers_to_write(now);
        let sick = reactor.check_health(&limits, now).sick;
        let taking = reactor.state.lock().leases.taking_work(&limits, now);
        let blamed = taking
            .keys()
            .filter(|_| self.plant == Some(Plant::FailuresBlameTheWorker))
            .map(|worker| QuarantineAdvice {
                worker: worker.clone(),
                reason: "planted".into(),
                no_space: false,
                failed: Vec::new(),
            });
        let sick: Vec<QuarantineAdvice> = sick.into_iter().chain(blamed.take(1)).collect();
        let told = self
            .store
            .write(&mut self.rng, |tx| reactor.write_workers(tx, &seen, now));
        self.check(false);
        match told {
            Ok(commands) => {
                reactor.on_workers_written(&commands);
                commands.iter().for_each(|command| self.broadcast(command));
            }
            Err(error) if error.class() == ErrorClass::Transient => {}
            Err(error) => return self.coordinator_down(&error.to_string()),
        }
        for advice in sick {
            if !self.quarantine(&advice) {
                return;
            }
        }
        if self.refund() {
            self.at(TEND_EVERY, Event::Tend(incarnation));
        }
    }

    /// Returns whether the coordinator lives on.
    fn quarantine(&mut self, advice: &QuarantineAdvice) -> bool {
        let now = self.now;
        let Some(process) = &self.process else {
            return false;
        };
        let reactor = process.reactor.clone();
        let result = self
            .store
            .write(&mut self.rng, |tx| reactor.quarantine(tx, advice, now));
        self.check(true);
        match result {
            Ok(operation) => {
                let name = &advice.worker.0;
                self.note(|| format!("quarantine of {name}: {operation:?}, {}", advice.reason));
                if let Some(operation) = operation {
                    self.stats.quarantined += 1;
                    self.judge_quarantine(name);
                    reactor.on_quarantined(advice, operation);
                    self.broadcast(&Control::Hold(advice.worker.clone()));
                }
                true
            }
            Err(error) => self.lives_after(&error),
        }
    }

    /// Refunds the pages that are due. Returns whether the coordinator lives on.
    fn refund(&mut self) -> bool {
        let now = self.now;
        let Some(process) = &self.process else {
            return false;
        };
        let reactor = process.reactor.clone();
        while let Some(page) = reactor.next_refund() {
            let result = self
                .store
                .write(&mut self.rng, |tx| reactor.refund(tx, &page, now));
            self.check(true);
            match result {
                Ok(_) => reactor.on_refunded(&page),
                Err(error) => return self.lives_after(&error),
            }
            self.wake(Duration::ZERO);
        }
        true
    }

    /// A duty that failed transiently is repeated at its next interval; any other error ends the process.
    fn lives_after(&mut self, error: &StoreError) -> bool {
        let lives = error.class() == ErrorClass::Transient;
        if !lives {
            self.coordinator_down(&error.to_string());
        }
        lives
    }

    /// Only the worker in which everything fails may be put aside.
    fn judge_quarantine(&mut self, name: &str) {
        let sick = self
            .scenario
            .sick
            .is_some_and(|no| name.starts_with(&format!("w{no}.")));
        if !sick {
            self.violate(format!(
                "QUARANTINE: worker {name} was put aside and nothing is wrong with it"
            ));
        }
    }
}
