//! Says that the worker lives and what it holds. On an arbiter, a runtime and a connection of its own, so that nothing a
//! unit does can silence it.
use super::departure::Departure;
use super::executor::Running;
use super::slots::Slots;
use super::supervisor::ExitGuard;
use crate::queue::WorkQueue;
use actix::{Actor, AsyncContext, Context};
use protocol::id::{Kind, WorkerId};
use protocol::wire::report::{Heartbeat as Beat, PROGRESS_UNITS_MAX, Progress, Report};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::runtime::Handle;

/// Between two signs of life: five fit into the silence after which a lease lapses.
pub const EVERY: Duration = Duration::from_secs(3);

/// What a heartbeat shows.
#[derive(Clone)]
pub struct Vitals {
    /// The worker.
    pub worker: WorkerId,
    /// Executions under way.
    pub running: Running,
    /// Slots by kind.
    pub slots: BTreeMap<Kind, Slots>,
    /// Whether it takes no more work.
    pub draining: Arc<AtomicBool>,
    /// When it must be gone.
    pub departure: Arc<Departure>,
}

impl Vitals {
    /// The state of this moment.
    pub fn beat(&self) -> Beat {
        Beat {
            worker: self.worker.clone(),
            held: self.running.held(),
            slots: self.slots.iter().map(|(kind, slots)| (*kind, slots.total(), slots.free())).collect(),
            draining: self.draining.load(Ordering::Relaxed),
            bytes: self.running.bytes(),
            leaves_at: self.departure.at(),
        }
    }

    /// How far units in hand are; `None` when none of them has moved anything.
    pub fn progress(&self) -> Option<Progress> {
        let units = self.running.progress(PROGRESS_UNITS_MAX);
        (!units.is_empty()).then(|| Progress { worker: self.worker.clone(), units })
    }
}

/// Where signs of life go.
#[derive(Clone)]
pub struct Pulse {
    /// The transport.
    pub queue: Arc<dyn WorkQueue>,
    /// Where its connection lives: not where units run, or one that blocks a thread silences the worker.
    pub runtime: Handle,
}

/// The heartbeat.
pub struct Heartbeat {
    vitals: Vitals,
    pulse: Pulse,
    _exit: ExitGuard,
}

impl Heartbeat {
    /// A heartbeat.
    pub fn new(vitals: Vitals, pulse: Pulse, exit: ExitGuard) -> Heartbeat {
        Heartbeat { vitals, pulse, _exit: exit }
    }

    fn send(&self) {
        let queue = Arc::clone(&self.pulse.queue);
        let mut reports = vec![Report::Heartbeat(self.vitals.beat())];
        reports.extend(self.vitals.progress().map(Report::Progress));
        drop(self.pulse.runtime.spawn(async move {
            if let Err(error) = queue.report(reports).await {
                tracing::debug!(%error, "heartbeat not sent");
            }
        }));
    }
}

impl Actor for Heartbeat {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.send();
        ctx.run_interval(EVERY, |actor, _| actor.send());
    }
}
