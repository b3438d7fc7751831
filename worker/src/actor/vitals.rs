//! Collects the values of a heartbeat.
use super::drain_deadline::DrainDeadline;
use super::running::Running;
use super::slots::Slots;
use protocol::id::{Kind, WorkerId};
use protocol::model::slot_count::SlotCount;
use protocol::wire::report::{Heartbeat, PROGRESS_UNITS_MAX, Progress};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Sources of the values in a heartbeat.
#[derive(Clone)]
pub struct Vitals {
    /// Incarnation of the worker, as the coordinator names it.
    pub worker: WorkerId,
    /// Executions under way.
    pub running: Running,
    /// Slots by kind.
    pub slots: BTreeMap<Kind, Slots>,
    /// Whether it takes no more work.
    pub draining: Arc<AtomicBool>,
    /// When it must be gone.
    pub drain_deadline: Arc<DrainDeadline>,
}

impl Vitals {
    /// The state of this moment.
    pub fn beat(&self) -> Heartbeat {
        Heartbeat {
            worker: self.worker.clone(),
            held: self.running.held(),
            slots: self
                .slots
                .iter()
                .map(|(kind, slots)| SlotCount {
                    kind: *kind,
                    total: slots.total(),
                    free: slots.free(),
                })
                .collect(),
            draining: self.draining.load(Ordering::Relaxed),
            bytes: self.running.bytes(),
            leaves_at: self.drain_deadline.at(),
        }
    }

    /// How far units in hand are; `None` when none of them has moved anything.
    pub fn progress(&self) -> Option<Progress> {
        let units = self.running.progress(PROGRESS_UNITS_MAX);
        (!units.is_empty()).then(|| Progress {
            worker: self.worker.clone(),
            units,
        })
    }
}
