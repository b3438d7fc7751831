//! One worker of a crowd.
use super::link::{Entry, Spent};
use protocol::failure::Failure;
use protocol::id::{Kind, UnitId, WorkerId};
use protocol::model::slot_count::SlotCount;
use protocol::wire::control::Control;
use protocol::wire::report::{Heartbeat, Outcome, Report, UnitResult};
use protocol::wire::step::TaskSpec;
use protocol::wire::step::noop::NoopTask;
use protocol::wire::unit::Unit;
use rustix::time::{ClockId, clock_gettime};
use std::collections::VecDeque;
use std::fmt::Write;
use std::time::{Duration, Instant};

/// A unit in hand.
struct Held {
    id: UnitId,
    epoch: u32,
    attempt: u32,
    /// What its task says: one that fails for certain, never, or as often as this.
    fail: f64,
    began: Instant,
    due: Instant,
    revoked: bool,
    /// The entry it came in.
    entry: u64,
}

/// An entry in hand, and how many of its units have not ended.
struct Open {
    number: u64,
    spent: Spent,
    left: usize,
}

/// A worker.
pub(super) struct Hand {
    name: String,
    slots: u32,
    next_beat: Instant,
    draining: bool,
    held: Vec<Held>,
    /// Units that came in an entry with more units than slots were free.
    waiting: VecDeque<(Unit, u64)>,
    open: Vec<Open>,
    entries: u64,
}

impl Hand {
    pub(super) fn new(name: String, slots: u32, next_beat: Instant) -> Hand {
        let (held, waiting, open) = (Vec::new(), VecDeque::new(), Vec::new());
        Hand {
            name,
            slots,
            next_beat,
            draining: false,
            held,
            waiting,
            open,
            entries: 0,
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    fn worker(&self) -> WorkerId {
        WorkerId(self.name.clone())
    }

    /// Slots that no unit is in or waits for.
    pub(super) fn free(&self) -> u32 {
        let units = u32::try_from(self.held.len() + self.waiting.len()).unwrap_or(u32::MAX);
        if self.draining {
            0
        } else {
            self.slots.saturating_sub(units)
        }
    }

    /// Does what the coordinator says to it.
    pub(super) fn obey(&mut self, message: &Control) {
        match message {
            Control::Hold(name) | Control::Drain(name) => self.draining |= name.0 == self.name,
            Control::Release(name) => self.draining &= name.0 != self.name,
            Control::Revoke(executions) => {
                for held in &mut self.held {
                    held.revoked |= executions.contains(&held.id.execution(held.epoch));
                }
            }
            #[expect(
                unreachable_patterns,
                reason = "messages that come later concern no worker of a crowd"
            )]
            _ => {}
        }
    }

    /// Its heartbeat, when one is due.
    pub(super) fn beat(&mut self, now: Instant, every: Duration) -> Option<Report> {
        if now < self.next_beat {
            return None;
        }
        self.next_beat = (self.next_beat + every).max(now);
        Some(Report::Heartbeat(Heartbeat {
            worker: self.worker(),
            held: self
                .held
                .iter()
                .map(|held| held.id.execution(held.epoch))
                .collect(),
            slots: vec![SlotCount {
                kind: Kind::Noop,
                total: self.slots,
                free: self.free(),
            }],
            draining: self.draining,
            bytes: 0,
            leaves_at: None,
        }))
    }

    /// Takes the units of an entry and begins as many as it has slots for.
    pub(super) fn hold(&mut self, entry: Entry, notes: &mut String) {
        self.entries += 1;
        self.open.push(Open {
            number: self.entries,
            spent: entry.spent,
            left: entry.units.len(),
        });
        self.waiting
            .extend(entry.units.into_iter().map(|unit| (unit, self.entries)));
        self.begin(Instant::now(), notes);
    }

    fn begin(&mut self, now: Instant, notes: &mut String) {
        while self.held.len() < self.slots as usize {
            let Some((unit, entry)) = self.waiting.pop_front() else {
                return;
            };
            let (length, fail) = match unit.task.as_ref() {
                TaskSpec::Noop(task) => (length(task), task.fail),
                _ => (Duration::ZERO, 1.0),
            };
            note(notes, &unit, &self.name);
            self.held.push(Held {
                id: unit.id,
                epoch: unit.epoch,
                attempt: unit.attempt,
                fail,
                began: now,
                due: now + length,
                revoked: false,
                entry,
            });
        }
    }

    /// Ends what is due: reports, entries whose last unit that was, and what witnesses saw.
    pub(super) fn end(
        &mut self,
        now: Instant,
        outcomes: &mut Vec<Report>,
        spent: &mut Vec<Spent>,
        notes: &mut String,
    ) {
        let (over, held): (Vec<Held>, Vec<Held>) = std::mem::take(&mut self.held)
            .into_iter()
            .partition(|held| held.revoked || held.due <= now);
        self.held = held;
        for held in over {
            let event = if held.revoked { "cancelled" } else { "end" };
            line(
                notes,
                (held.id, held.epoch, held.attempt),
                &self.name,
                event,
            );
            let duration_us =
                u64::try_from(now.duration_since(held.began).as_micros()).unwrap_or(u64::MAX);
            let (worker, result) = (self.worker(), result(&held));
            outcomes.push(Report::Settled(Outcome {
                unit: held.id,
                epoch: held.epoch,
                worker,
                result,
                duration_us,
            }));
            let Some(at) = self.open.iter().position(|open| open.number == held.entry) else {
                continue;
            };
            self.open[at].left -= 1;
            if self.open[at].left == 0 {
                spent.push(self.open.swap_remove(at).spent);
            }
        }
        self.begin(now, notes);
    }
}

fn result(held: &Held) -> UnitResult {
    if held.revoked {
        return UnitResult::Cancelled;
    }
    if fastrand::f64() < held.fail {
        let message = format!(
            "unit {} failed on attempt {}, as its job asked for",
            held.id, held.attempt
        );
        return UnitResult::Failed(Failure::transient("noop_failed", message));
    }
    UnitResult::Finished {
        facts: Vec::new(),
        failures: Vec::new(),
    }
}

fn length(task: &NoopTask) -> Duration {
    Duration::from_micros(fastrand::u64(
        task.duration_min_us..=task.duration_max_us.max(task.duration_min_us),
    ))
}

fn note(notes: &mut String, unit: &Unit, worker: &str) {
    line(notes, (unit.id, unit.epoch, unit.attempt), worker, "start");
}

fn line(notes: &mut String, (id, epoch, attempt): (UnitId, u32, u32), worker: &str, event: &str) {
    let at = clock_gettime(ClockId::Monotonic);
    let at = i128::from(at.tv_sec) * 1_000_000_000 + i128::from(at.tv_nsec);
    writeln!(notes, "{id} {epoch} {attempt} {worker} {event} {at}")
        .expect("writing to memory cannot fail");
}
