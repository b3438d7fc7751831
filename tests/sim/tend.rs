//! The list of workers, what they are told, and who is put aside: what `coordinator::runtime` does every few seconds.
use crate::faults::Plant;
use crate::world::{Event, World};
use coordinator::leader::memory::worker_health::Finding;
use coordinator::reconcile::worker_orders::{self, Telling};
use coordinator::store::WorkerRow;
use protocol::failure::ErrorClass;
use protocol::id::WorkerId;
use protocol::wire::control::Control;
use std::collections::BTreeSet;
use std::time::Duration;

const TEND_EVERY: Duration = Duration::from_secs(4);

impl World {
    /// Looks after the workers.
    pub(crate) fn tend(&mut self) {
        let (now, limits, incarnation) = (self.now, self.scenario.limits, self.incarnation);
        let Some(process) = &self.process else { return };
        let reactor = process.reactor.clone();
        let workers = reactor.leases.lock().workers().clone();
        reactor.wards.lock().keep(|worker| workers.contains_key(worker), now);
        let alive: BTreeSet<WorkerId> = reactor.leases.lock().alive(&limits, now).into_iter().collect();
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
        let taking: BTreeSet<WorkerId> = workers
            .iter()
            .filter(|(name, seen)| !seen.draining && alive.contains(*name))
            .map(|(name, _)| name.clone())
            .collect();
        let findings = reactor.wards.lock().findings(&taking);
        let blamed = taking.iter().filter(|_| self.plant == Some(Plant::FailuresBlameTheWorker)).map(|worker| {
            Finding { worker: worker.clone(), reason: "planted".into(), no_space: false, failed: Vec::new() }
        });
        let findings: Vec<Finding> = findings.into_iter().chain(blamed.take(1)).collect();
        let told = self.store.write(&mut self.rng, |tx| worker_orders::tend(tx, &rows, now));
        self.check(false);
        match told {
            Ok(tellings) => {
                for telling in tellings {
                    self.broadcast(&match telling {
                        Telling::Drain(name) => Control::Hold(WorkerId(name)),
                        Telling::Release(name) => Control::Release(WorkerId(name)),
                    });
                }
            }
            Err(error) if error.class() == ErrorClass::Transient => {}
            Err(error) => return self.coordinator_down(&error.to_string()),
        }
        for finding in findings {
            if !self.put_aside(&finding) {
                return;
            }
        }
        self.at(TEND_EVERY, Event::Tend(incarnation));
    }

    /// Returns whether the coordinator lives on.
    fn put_aside(&mut self, finding: &Finding) -> bool {
        let now = self.now;
        let Some(process) = &mut self.process else { return false };
        let workflows = process.reactor.engine.lock().workflows.clone();
        let name = &finding.worker.0;
        let result = self.store.write(&mut self.rng, |tx| {
            worker_orders::quarantine(tx, &workflows, name, &finding.reason, &finding.failed, now)
        });
        self.check(true);
        match result {
            Ok(refunded) => {
                self.note(|| format!("quarantine of {name}: {refunded:?}, {}", finding.reason));
                if refunded.is_some() {
                    self.stats.quarantined += 1;
                    self.judge_quarantine(name);
                    if let Some(process) = &mut self.process {
                        process.reactor.wards.lock().forget(&finding.worker);
                    }
                    self.broadcast(&Control::Hold(finding.worker.clone()));
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
