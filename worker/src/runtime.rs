//! The worker as a part of a process: actors on the main thread, units on the multi-thread runtime.
use crate::actor::drain_deadline::DrainDeadline;
use crate::actor::executor::Execution;
use crate::actor::heartbeat::Pulse;
use crate::actor::running::Running;
use crate::actor::slots::Slots;
use crate::actor::supervisor::{Parts, Shutdown, WorkerSupervisor};
use crate::actor::vitals::Vitals;
use crate::metrics::WorkerMetrics;
use crate::outbox::Outbox;
use crate::queue::WorkQueue;
use crate::step::Tools;
use crate::step::noop::Rehearsal;
use actix::{Actor, Addr};
use protocol::id::{Kind, WorkerId};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use storage::Registry;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

/// For the last reports to leave a worker that ends.
const REPORTED_MAX: Duration = Duration::from_secs(10);
/// Between two looks at what still runs.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How a worker is set up.
#[derive(Clone)]
pub struct WorkerConfig {
    /// Id of this worker process; a restart gets a new one.
    pub worker: WorkerId,
    /// Slots by kind; a kind without slots is not taken.
    pub slots: BTreeMap<Kind, u32>,
    /// Media programs, with their time limits.
    pub tools: Tools,
    /// What tests add to `noop` units.
    pub rehearsal: Rehearsal,
    /// Storage of every kind.
    pub storage: Arc<Registry>,
}

impl WorkerConfig {
    /// Slots for a machine with `cores` cores: decoding takes a core, moving bytes waits mostly.
    pub fn default_slots(cores: u32) -> BTreeMap<Kind, u32> {
        BTreeMap::from([
            (Kind::Scan, 2),
            (Kind::Transfer, 8),
            (Kind::Qc, cores.max(1)),
            (Kind::Sync, 16),
            (Kind::Noop, 512),
        ])
    }
}

/// A running worker.
pub struct Worker {
    supervisor: Addr<WorkerSupervisor>,
    vitals: Vitals,
    outbox: Outbox,
    leave: CancellationToken,
}

impl Worker {
    /// Starts a worker. Must be called on a thread of an actix system whose runtime is `runtime`. Without a `pulse` signs of
    /// life go the way of everything else.
    pub fn start(
        config: WorkerConfig,
        queue: Arc<dyn WorkQueue>,
        runtime: Handle,
        pulse: Option<Pulse>,
        give_up: Arc<dyn Fn() + Send + Sync>,
        metrics: WorkerMetrics,
    ) -> Worker {
        let pulse = pulse.unwrap_or_else(|| Pulse {
            queue: Arc::clone(&queue),
            runtime: runtime.clone(),
        });
        let outbox = Outbox::start(Arc::clone(&queue), &runtime);
        let running = Running::default();
        let drain_deadline = Arc::new(DrainDeadline::default());
        let slots = config
            .slots
            .iter()
            .filter(|(_, total)| **total > 0)
            .map(|(kind, total)| (*kind, Slots::new(*total)))
            .collect();
        let vitals = Vitals {
            worker: config.worker.clone(),
            running: running.clone(),
            slots,
            draining: Arc::new(AtomicBool::new(false)),
            drain_deadline: Arc::clone(&drain_deadline),
        };
        let execution = Execution {
            worker: config.worker,
            runtime,
            outbox: outbox.clone(),
            queue: Arc::clone(&queue),
            running,
            draining: Arc::clone(&vitals.draining),
            tools: Arc::new(config.tools),
            rehearsal: Arc::new(config.rehearsal),
            storage: config.storage,
            drain_deadline,
            turns: Arc::default(),
            metrics,
        };
        let parts = Parts {
            queue,
            pulse,
            execution,
            vitals: vitals.clone(),
            give_up,
            leave: CancellationToken::new(),
        };
        let leave = parts.leave.clone();
        Worker {
            supervisor: WorkerSupervisor::new(parts).start(),
            vitals,
            outbox,
            leave,
        }
    }

    /// What a heartbeat would show now.
    pub fn vitals(&self) -> &Vitals {
        &self.vitals
    }

    /// Resolves when an operator has drained this worker and nothing runs on it any more.
    pub async fn drained(&self) {
        self.leave.cancelled().await;
        while !self.vitals.running.is_empty() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Drains: takes nothing more, gives back what has not started, lets what runs go on for `grace`, then stops it.
    /// Returns when all of it has been reported.
    pub async fn shutdown(&self, grace: Duration) {
        if let Err(error) = self.supervisor.send(Shutdown { grace }).await {
            tracing::warn!(%error, "the worker was gone before it could drain");
        }
        self.outbox.emptied(REPORTED_MAX).await;
    }
}
