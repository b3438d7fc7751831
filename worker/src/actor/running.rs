//! Executions under way.
use foldhash::HashMap as IdMap;
use parking_lot::Mutex;
use protocol::id::{Execution, UnitId};
use protocol::wire::report::UnitProgress;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio_util::sync::CancellationToken;

/// Executions under way, shared with the heartbeat.
#[derive(Clone, Default)]
pub struct Running(Arc<Mutex<Held>>);

#[derive(Default)]
struct Held {
    units: IdMap<UnitId, InHand>,
    /// Bytes that executions moved which are over.
    bytes_ended: u64,
}

struct InHand {
    epoch: u32,
    token: CancellationToken,
    /// Bytes it has moved so far.
    bytes: Arc<AtomicU64>,
}

impl Running {
    /// Units in hand with their epochs.
    pub fn held(&self) -> Vec<Execution> {
        let running = self.0.lock();
        let execution = |(unit, held): (&UnitId, &InHand)| unit.execution(held.epoch);
        let mut held: Vec<_> = running.units.iter().map(execution).collect();
        drop(running);
        held.sort_unstable();
        held
    }

    /// Bytes moved since the worker started.
    pub fn bytes(&self) -> u64 {
        let held = self.0.lock();
        held.bytes_ended
            + held
                .units
                .values()
                .map(|held| held.bytes.load(Ordering::Relaxed))
                .sum::<u64>()
    }

    /// Units in hand that have moved bytes, those with the most first, at most `most`.
    pub fn progress(&self, most: usize) -> Vec<UnitProgress> {
        let held = self.0.lock();
        let progress = |(unit, held): (&UnitId, &InHand)| UnitProgress {
            execution: unit.execution(held.epoch),
            bytes: held.bytes.load(Ordering::Relaxed),
        };
        let mut moved: Vec<_> = held
            .units
            .iter()
            .map(progress)
            .filter(|moved| moved.bytes > 0)
            .collect();
        drop(held);
        moved.sort_unstable_by_key(|moved| (std::cmp::Reverse(moved.bytes), moved.execution.unit));
        moved.truncate(most);
        moved
    }

    /// Whether nothing runs.
    pub fn is_empty(&self) -> bool {
        self.0.lock().units.is_empty()
    }

    /// Stops an execution, if it is this one.
    pub fn revoke(&self, unit: UnitId, epoch: u32) {
        if let Some(held) = self.0.lock().units.get(&unit)
            && held.epoch == epoch
        {
            held.token.cancel();
        }
    }

    /// Cancels every execution; each reports its end itself.
    pub fn revoke_all(&self) {
        for held in self.0.lock().units.values() {
            held.token.cancel();
        }
    }

    /// Notes an execution that begins. One of an earlier epoch no longer counts, and is stopped; one of this or a later
    /// epoch continues, and nothing begins.
    pub fn begin(&self, unit: UnitId, epoch: u32, token: CancellationToken) -> Begun {
        let bytes = Arc::new(AtomicU64::new(0));
        let mut running = self.0.lock();
        match running.units.get(&unit) {
            Some(held) if held.epoch > epoch => return Begun::Outdated,
            Some(held) if held.epoch == epoch => return Begun::Already,
            _ => {}
        }
        let before = running.units.insert(
            unit,
            InHand {
                epoch,
                token,
                bytes: Arc::clone(&bytes),
            },
        );
        if let Some(older) = before {
            running.bytes_ended += older.bytes.load(Ordering::Relaxed);
            older.token.cancel();
        }
        Begun::Runs(bytes)
    }

    /// Notes that an execution is over, unless a later epoch of its unit has replaced it.
    pub fn end(&self, unit: UnitId, epoch: u32) {
        let mut running = self.0.lock();
        if running
            .units
            .get(&unit)
            .is_some_and(|held| held.epoch == epoch)
            && let Some(ended) = running.units.remove(&unit)
        {
            running.bytes_ended += ended.bytes.load(Ordering::Relaxed);
        }
    }
}

/// What becomes of a unit that was handed over.
pub enum Begun {
    /// It runs; its bytes are counted here.
    Runs(Arc<AtomicU64>),
    /// It was taken back: a later epoch of it is in hand.
    Outdated,
    /// It was handed over twice, and runs.
    Already,
}
