//! What people and accidents do to a running cluster, at random moments.
use crate::model::JobView;
use crate::world::{Event, World};
use coordinator::audit::AuditContext;
use coordinator::command::{self, Among, RetryRequest};
use coordinator::error::outcome;
use coordinator::store::{JobState, OperationTx};
use std::time::Duration;

impl World {
    /// When all is over, an operator may want the failures again.
    pub(crate) fn encore(&mut self) -> bool {
        if self.encores == 0 {
            return false;
        }
        self.encores -= 1;
        let failed = |v: &&JobView| v.row.state == JobState::FinishedWithFailures;
        let failed: Vec<String> = self
            .views
            .values()
            .filter(failed)
            .map(|v| v.row.id.clone())
            .collect();
        for id in &failed {
            self.retry(id);
        }
        // A retry is only recorded: the next turns count it and bring its jobs back.
        let recorded = !self
            .store
            .memory
            .running_operations(1)
            .expect("memory answers")
            .is_empty();
        recorded || !self.all_ended()
    }

    fn retry(&mut self, id: &str) {
        let (now, workflows) = (self.now, coordinator::workflows::Workflows::default());
        // All at once, at a rate, or one branch alone.
        let rate = (self.rng.f64() < 0.3).then(|| self.rng.f64() * 20.0 + 0.5);
        let only = self
            .views
            .values()
            .find(|v| v.row.id == id)
            .filter(|_| self.rng.f64() < 0.2)
            .map(|view| {
                let steps: Vec<&str> = view
                    .workflow
                    .steps
                    .iter()
                    .map(|step| step.id.as_str())
                    .collect();
                steps[self.rng.usize(0..steps.len())].to_owned()
            });
        let request = RetryRequest {
            all: true,
            rate,
            only,
            ..RetryRequest::default()
        };
        let chosen = self.store.write(&mut self.rng, |tx| {
            let among = Among::Job(id.to_owned());
            let preview = outcome(command::preview(tx, &workflows, &among, &request, now))?;
            let recorded = outcome(command::retry(tx, &workflows, &among, &request, now))?;
            // As the command line over a data directory does: counted, and without a rate carried out, at once. At a rate
            // the coordinator's turns do the rest.
            if let Ok(no) = recorded {
                while command::carry_on(tx, &workflows, no, now)? {}
            }
            Ok(recorded.and(preview))
        });
        self.note(|| format!("retry {id} {request:?}: {chosen:?}"));
        if let Ok(Ok(retried)) = chosen {
            self.stats.redriven += retried.units;
        }
        self.check(true);
        self.wake(Duration::ZERO);
    }

    /// An operator does something.
    pub(crate) fn operate(&mut self) {
        if self.now >= self.scenario.calm_at {
            return;
        }
        let wait = self.some(self.scenario.weather.operator_every);
        self.at(wait, Event::Operator);
        let ids: Vec<String> = self.views.values().map(|v| v.row.id.clone()).collect();
        let Some(id) = self.rng.choice(ids) else {
            return;
        };
        let what = self.rng.usize(0..20);
        if what > 8 {
            return self.retry(&id);
        }
        let (order, now) = (AuditContext::default(), self.now);
        let answer = self.store.write(&mut self.rng, |tx| {
            outcome(match what {
                0 => command::cancel(tx, &id, &order, now),
                1..=3 => command::pause(tx, &id, &order, now),
                _ => command::resume(tx, &id, &order, now),
            })
        });
        self.note(|| format!("operator {what} on {id}: {answer:?}"));
        self.check(false);
        self.wake(Duration::ZERO);
    }

    /// Something breaks.
    pub(crate) fn break_something(&mut self) {
        if self.now >= self.scenario.calm_at {
            return;
        }
        let wait = self.some(self.scenario.weather.mishap_every);
        self.at(wait, Event::Mishap);
        let no = self.rng.usize(0..self.workers.len());
        match self.rng.usize(0..8) {
            0 => self.coordinator_down("killed"),
            1 => {
                self.note(|| "the transport is wiped".into());
                self.excuses += 1;
                self.queues.clear();
                self.taken_by.clear();
                self.entries.clear();
                self.inbox.clear();
            }
            2..=4 => {
                let pause = Duration::from_millis(self.rng.u64(1_000..60_000));
                self.note(|| format!("worker {no} stops for {pause:?}"));
                self.workers[no].paused_until = self.now.after(pause);
                self.stands_still(no);
            }
            _ => self.worker_down(no),
        }
    }

    /// Faults stop, and operators set everything going again.
    pub(crate) fn calm(&mut self) {
        self.note(|| "faults stop".into());
        self.store.error_rate = 0.0;
        let ids: Vec<String> = self.views.values().map(|v| v.row.id.clone()).collect();
        for id in ids {
            let (order, now) = (AuditContext::default(), self.now);
            let resumed = self
                .store
                .memory
                .write(|tx| outcome(command::resume(tx, &id, &order, now)));
            self.note(|| format!("resume {id}: {resumed:?}"));
        }
        self.check(false);
        self.wake(Duration::ZERO);
    }

    fn some(&mut self, average: Duration) -> Duration {
        average.mul_f64(self.rng.f64() * 2.0)
    }
}
