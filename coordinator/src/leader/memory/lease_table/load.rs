//! The load that a turn is decided by, read from the table.
use super::Leases;
use crate::dispatch::load::{KindLoad, Load, Running};
use protocol::id::{Kind, StepNo};
use protocol::time::Timestamp;
use protocol::wire::report::{Outcome, UnitResult};
use std::time::Duration;

/// Window of kinds whose units end faster than a round of publishing: units a slot, and at most.
const LIGHT_DEPTH: u32 = 8;
const LIGHT_MAX: u32 = 4_096;
/// Interval of the search for long executions, their least duration, and how many of them are named.
const LONG_EVERY: Duration = Duration::from_secs(1);
const LONG_MIN: Duration = Duration::from_secs(1);
const LONG_NAMED: usize = 256;

impl Leases {
    /// What a turn needs to know, and what was learned since the last one.
    pub fn load(&mut self, now: Timestamp) -> Load {
        let kinds = Kind::ALL.into_iter().map(|kind| {
            let slots = self.slots(kind);
            let light = matches!(kind, Kind::Noop | Kind::Sync);
            let floor = if light {
                slots.saturating_mul(LIGHT_DEPTH).min(LIGHT_MAX)
            } else {
                0
            };
            (
                kind,
                KindLoad {
                    slots,
                    out: self.out(kind),
                    floor,
                    workers: self.workers.taking(kind),
                },
            )
        });
        Load {
            kinds: kinds.collect(),
            steps: self.usage.by_step().clone(),
            busy: self.usage.by_endpoint().to_vec(),
            running: self.long_running(now),
            experience: std::mem::take(&mut self.experience),
            obsolete: std::mem::take(&mut self.obsolete),
            leaving: self.workers.leaving(),
        }
    }

    /// The load without these executions: they are being settled in the transaction of the turn.
    pub fn load_without(&mut self, ended: &[Outcome], now: Timestamp) -> Load {
        for outcome in ended
            .iter()
            .filter(|outcome| outcome.result == UnitResult::Returned)
        {
            // A worker that returns units takes no more of them.
            self.workers.drains(&outcome.worker);
        }
        let mut load = self.load(now);
        let less = |n: &mut u32| *n = n.saturating_sub(1);
        for outcome in ended {
            let lists = [&self.out, &self.older];
            let mut found = lists.into_iter().filter_map(|list| list.get(&outcome.unit));
            let Some(out) = found.find(|out| out.lease.epoch == outcome.epoch) else {
                continue;
            };
            load.kinds
                .entry(out.kind)
                .and_modify(|kind| less(&mut kind.out));
            load.steps
                .entry((outcome.unit.job, outcome.unit.step))
                .and_modify(less);
            for at in &out.endpoints {
                load.busy
                    .get_mut(usize::from(*at))
                    .into_iter()
                    .for_each(less);
            }
        }
        load
    }

    /// The longest executions that have no copy yet, once in a while.
    fn long_running(&mut self, now: Timestamp) -> Vec<Running> {
        if now.since(self.long_at) < LONG_EVERY {
            return Vec::new();
        }
        self.long_at = now;
        let long = self.out.iter().filter_map(|(unit, out)| {
            let since = out
                .running_since
                .filter(|since| now.since(*since) >= LONG_MIN)?;
            let single = !self.older.contains_key(unit) && unit.step != StepNo::SCAN;
            single.then_some(Running {
                unit: *unit,
                epoch: out.lease.epoch,
                kind: out.kind,
                size: out.size,
                since,
            })
        });
        let mut long: Vec<Running> = long.collect();
        long.sort_unstable_by_key(|running| (running.since, running.unit));
        long.truncate(LONG_NAMED);
        long
    }
}
