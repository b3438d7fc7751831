//! The worker as a part of a process: actors on the main thread, units on the multi-thread runtime.
use crate::actor::executor::{Execution, Running};
use crate::actor::heartbeat::Vitals;
use crate::actor::supervisor::{Parts, Shutdown, WorkerSupervisor};
use crate::queue::WorkQueue;
use crate::task::Tools;
use actix::{Actor, Addr};
use protocol::id::{Kind, WorkerId};
use protocol::wire::report::Report;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc};

/// Reports waiting to be sent.
const REPORTS_WAITING: usize = 8_192;
/// Reports sent in one message.
const REPORTS_BATCH: usize = 2_048;

/// How a worker is set up.
#[derive(Clone)]
pub struct WorkerConfig {
    /// Its incarnation.
    pub worker: WorkerId,
    /// Slots by kind; a kind without slots is not taken.
    pub slots: BTreeMap<Kind, u32>,
    /// Outside programs.
    pub tools: Tools,
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
}

impl Worker {
    /// Starts a worker. Must be called on a thread of an actix system whose runtime is `runtime`.
    pub fn start(
        config: WorkerConfig,
        queue: Arc<dyn WorkQueue>,
        runtime: Handle,
        give_up: Arc<dyn Fn() + Send + Sync>,
    ) -> Worker {
        let (sender, receiver) = mpsc::channel(REPORTS_WAITING);
        drop(runtime.spawn(send_reports(receiver, Arc::clone(&queue))));
        let bytes = Arc::new(AtomicU64::new(0));
        let running = Running::default();
        let slots = config
            .slots
            .iter()
            .filter(|(_, total)| **total > 0)
            .map(|(kind, total)| (*kind, (Arc::new(Semaphore::new(*total as usize)), *total)))
            .collect();
        let vitals = Vitals {
            worker: config.worker.clone(),
            running: running.clone(),
            slots,
            draining: Arc::new(AtomicBool::new(false)),
            bytes: Arc::clone(&bytes),
        };
        let execution = Execution {
            worker: config.worker,
            runtime,
            reports: sender,
            running,
            bytes,
            tools: Arc::new(config.tools),
        };
        let parts = Parts { queue, execution, vitals: vitals.clone(), give_up };
        Worker { supervisor: WorkerSupervisor::new(parts).start(), vitals }
    }

    /// What a heartbeat would show now.
    pub fn vitals(&self) -> &Vitals {
        &self.vitals
    }

    /// Drains: takes nothing more, lets what runs go on for `grace`, then stops it.
    pub async fn shutdown(&self, grace: Duration) {
        if let Err(error) = self.supervisor.send(Shutdown { grace }).await {
            tracing::warn!(%error, "the worker was gone before it could drain");
        }
    }
}

/// Sends reports in batches: as many as have gathered while the last batch was on its way.
async fn send_reports(mut receiver: mpsc::Receiver<Report>, queue: Arc<dyn WorkQueue>) {
    let mut batch = Vec::with_capacity(REPORTS_BATCH);
    while receiver.recv_many(&mut batch, REPORTS_BATCH).await > 0 {
        let sent = std::mem::replace(&mut batch, Vec::with_capacity(REPORTS_BATCH));
        if queue.report(sent).await.is_err() {
            return;
        }
    }
}
