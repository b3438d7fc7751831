//! What people and accidents do to a running cluster, at random moments.
use crate::model::JobView;
use crate::world::{Event, World};
use coordinator::service::control;
use coordinator::store::JobState;
use std::time::Duration;

impl World {
    /// When all is over, an operator may want the failures again.
    pub(crate) fn encore(&mut self) -> bool {
        if self.encores == 0 {
            return false;
        }
        self.encores -= 1;
        let failed = |v: &&JobView| v.row.state == JobState::FinishedWithFailures;
        let failed: Vec<String> = self.views.values().filter(failed).map(|v| v.row.id.clone()).collect();
        for id in &failed {
            self.retry(id);
        }
        !self.all_ended()
    }

    fn retry(&mut self, id: &str) {
        let (now, workflows) = (self.now, coordinator::service::Workflows::default());
        let chosen = self
            .store
            .write(&mut self.rng, |tx| control::retry(tx, &workflows, id, &control::Selection::default(), false, now));
        self.note(|| format!("retry {id}: {chosen:?}"));
        if let Ok(Ok(units)) = chosen {
            self.stats.redriven += units.len() as u64;
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
        let Some(id) = self.rng.choice(ids) else { return };
        let what = self.rng.usize(0..20);
        if what > 8 {
            return self.retry(&id);
        }
        let answer = self.store.write(&mut self.rng, |tx| match what {
            0 => control::cancel(tx, &id),
            1..=3 => control::pause(tx, &id),
            _ => control::resume(tx, &id),
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
                self.queues.clear();
                self.inbox.clear();
            }
            2..=4 => {
                let pause = Duration::from_millis(self.rng.u64(1_000..60_000));
                self.note(|| format!("worker {no} stops for {pause:?}"));
                self.workers[no].paused_until = self.now.after(pause);
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
            let resumed = self.store.memory.write(|tx| control::resume(tx, &id));
            self.note(|| format!("resume {id}: {resumed:?}"));
        }
        self.check(false);
        self.wake(Duration::ZERO);
    }

    fn some(&mut self, average: Duration) -> Duration {
        average.mul_f64(self.rng.f64() * 2.0)
    }
}
