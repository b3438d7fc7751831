//! The list of workers, their orders and quarantine: what `coordinator::leader` does every few seconds.
use crate::faults::Plant;
use crate::world::{Event, World};
use coordinator::leader::memory::worker_health::QuarantineAdvice;
use coordinator::reconcile::worker_orders;
use coordinator::store::WorkerRow;
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
        let workers = reactor.state.lock().leases.workers().clone();
        let state = |draining: bool| if draining { "draining" } else { "working" }.to_owned();
        let rows: Vec<WorkerRow> = workers
            .iter()
            .map(|(name, seen)| WorkerRow {
                name: name.0.clone(),
                slots: String::new(),
                held: seen.held as u64,
                heard_at: seen.heard_at,
                state: state(seen.draining),
                order: None,
            })
            .collect();
        let sick = reactor.check_health(&limits, now).sick;
        let taking = reactor.state.lock().leases.taking_work(&limits, now);
        let blamed = taking.keys().filter(|_| self.plant == Some(Plant::FailuresBlameTheWorker)).map(|worker| {
            QuarantineAdvice { worker: worker.clone(), reason: "planted".into(), no_space: false, failed: Vec::new() }
        });
        let sick: Vec<QuarantineAdvice> = sick.into_iter().chain(blamed.take(1)).collect();
        let told = self.store.write(&mut self.rng, |tx| worker_orders::apply_orders(tx, &rows, now));
        self.check(false);
        match told {
            Ok(commands) => commands.iter().for_each(|command| self.broadcast(command)),
            Err(error) if error.class() == ErrorClass::Transient => {}
            Err(error) => return self.coordinator_down(&error.to_string()),
        }
        for advice in sick {
            if !self.quarantine(&advice) {
                return;
            }
        }
        self.at(TEND_EVERY, Event::Tend(incarnation));
    }

    /// Returns whether the coordinator lives on.
    fn quarantine(&mut self, advice: &QuarantineAdvice) -> bool {
        let now = self.now;
        let Some(process) = &mut self.process else { return false };
        let workflows = process.reactor.engine.lock().workflows.clone();
        let name = &advice.worker.0;
        let result = self.store.write(&mut self.rng, |tx| {
            let operation = worker_orders::quarantine(tx, name, &advice.reason, advice.failed.len(), now)?;
            operation.map(|no| worker_orders::refund_page(tx, &workflows, no, &advice.failed, now)).transpose()
        });
        self.check(true);
        match result {
            Ok(refunded) => {
                self.note(|| format!("quarantine of {name}: {refunded:?}, {}", advice.reason));
                if refunded.is_some() {
                    self.stats.quarantined += 1;
                    self.judge_quarantine(name);
                    if let Some(process) = &mut self.process {
                        process.reactor.state.lock().health.forget(&advice.worker);
                    }
                    self.broadcast(&Control::Hold(advice.worker.clone()));
                    self.wake(Duration::ZERO);
                }
            }
            Err(error) if error.class() == ErrorClass::Transient => {}
            Err(error) => {
                self.coordinator_down(&error.to_string());
                return false;
            }
        }
        true
    }

    /// Only the worker in which everything fails may be put aside.
    fn judge_quarantine(&mut self, name: &str) {
        let sick = self.scenario.sick.is_some_and(|no| name.starts_with(&format!("w{no}.")));
        if !sick {
            self.violate(format!("QUARANTINE: worker {name} was put aside and nothing is wrong with it"));
        }
    }
}
