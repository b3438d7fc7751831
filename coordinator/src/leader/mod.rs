//! The coordinator as a process: two loops over one store. One collects reports and settles them, the other takes turns and
//! does the periodic duties.
//!
//! - `reports`: batches of reports
//! - `turns`: the loop of turns, and what a turn makes the process do
//! - `rescue`, `worker_tick`, `outbox`, `retention`: one duty a file, each with its interval and limits
//! - [`reactor`], [`engine`], [`memory`]: the decisions and what they rest on, without I/O; the simulator drives them too
//! - [`election`]: which of several coordinators leads
mod config;
pub mod election;
pub mod engine;
pub mod event_stream;
mod gauges;
pub mod memory;
mod outbox;
pub mod reactor;
mod reports;
mod rescue;
mod retention;
mod takeover;
mod turns;
mod worker_tick;

pub use config::{CoordinatorConfig, InvalidConfig};
pub use outbox::CleanupConfig;
pub use rescue::RescueConfig;
pub use turns::TurnConfig;
pub use worker_tick::WorkerTickConfig;

use crate::clock::Clock;
use crate::dispatch::endpoints::EndpointBook;
use crate::dispatch::fleet::WorkerSeen;
use crate::metrics::Metrics;
use crate::query::cluster_stats::LeaderSnapshot;
use crate::queue::UnitQueue;
use crate::store::handle::Store;
use crate::store::{StoreError, StoreResult};
use engine::Engine;
use memory::LeaderState;
use parking_lot::Mutex;
use protocol::id::WorkerId;
use protocol::rules::schedule::endpoint::EndpointLimit;
use reactor::Reactor;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use transport::alarm::Alarm;

/// Pause before a store or a transport that failed is tried again.
const RETRY_STORE: Duration = Duration::from_millis(250);

/// A coordinator over one store and one transport.
#[derive(Clone)]
pub struct Coordinator {
    store: Store,
    queue: Arc<dyn UnitQueue>,
    clock: Clock,
    metrics: Arc<Metrics>,
    config: Arc<CoordinatorConfig>,
    state: Arc<Mutex<LeaderState>>,
    engine: Arc<Mutex<Engine>>,
    wake: Arc<Notify>,
    /// Held from the claim of units until the leases know them: the next claim must count them.
    claiming: Arc<tokio::sync::Mutex<()>>,
    /// Held while a round cleans up behind workers.
    cleaning: Arc<tokio::sync::Mutex<()>>,
    full: Arc<Alarm>,
    parked: Arc<Alarm>,
}

impl Coordinator {
    /// A coordinator that has not started.
    pub fn new(
        store: Store,
        queue: Arc<dyn UnitQueue>,
        clock: Clock,
        metrics: Arc<Metrics>,
        config: CoordinatorConfig,
    ) -> Coordinator {
        store.count_defects(metrics.oversized(), metrics.underflows());
        let endpoints: Arc<[EndpointLimit]> = config.endpoints.clone().into();
        let (mut state, mut engine) = (LeaderState::default(), Engine::default());
        state.leases.limit(Arc::clone(&endpoints));
        engine.schedule.book = EndpointBook::new(endpoints);
        engine.schedule.slicing = config.slicing;
        Coordinator {
            store,
            queue,
            clock,
            metrics,
            config: Arc::new(config),
            state: Arc::new(Mutex::new(state)),
            engine: Arc::new(Mutex::new(engine)),
            wake: Arc::default(),
            claiming: Arc::default(),
            cleaning: Arc::default(),
            full: Arc::new(Alarm::new(
                "the transport takes no units; they wait in the outbox",
            )),
            parked: Arc::new(Alarm::new(
                "no worker could read some entries; they are parked",
            )),
        }
    }

    /// Takes over what an earlier process had out, then runs until `stop`.
    pub async fn run(&self, stop: CancellationToken) -> StoreResult<()> {
        if self.config.shared {
            self.sign().await?;
            self.adopt().await?;
            // An empty server is no loss. Units that were in a server that has been wiped are looked for.
            if let Err(error) = self.queue.wiped().await {
                tracing::debug!(%error, "the transport could not be asked what it holds");
            }
        } else {
            self.recover().await?
        }
        {
            // No silence counts before the reports that wait have been read.
            let now = (self.clock)();
            let leases = &mut self.state.lock().leases;
            leases.readable_from(now);
            leases.read_up_to(now, true);
        }
        let collecting = self.clone();
        let collect_stop = stop.clone();
        let collector = tokio::spawn(async move {
            // Its end ends the term: without it ends would not be read, so no units may be handed out.
            let _term = collect_stop.clone().drop_guard();
            collecting.collect(collect_stop).await;
        });
        if let Some(limits) = self.config.retention {
            tokio::spawn(retention::run(
                self.store.clone(),
                limits,
                Arc::clone(&self.clock),
                stop.clone(),
            ));
        }
        let result = self.drive(stop.clone()).await;
        stop.cancel();
        self.metrics.stand_by();
        match collector.await {
            Ok(()) => result,
            Err(panic) => Err(StoreError::Database(format!(
                "the collector stopped: {panic}"
            ))),
        }
    }

    /// Takes a turn soon: a request has changed the store.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Workers heard of lately.
    pub fn workers(&self) -> BTreeMap<WorkerId, WorkerSeen> {
        self.state.lock().leases.workers().clone()
    }

    /// Snapshot of leases and live workers for metrics.
    pub fn snapshot(&self) -> LeaderSnapshot {
        let LeaderState {
            leases, throughput, ..
        } = &*self.state.lock();
        LeaderSnapshot {
            out: leases.out_by_step().clone(),
            workers: leases.workers().values().cloned().collect(),
            last_finished: self.metrics.last_finished(),
            ended: self.metrics.ended(),
            bytes_per_second: throughput.per_second((self.clock)()),
        }
    }

    /// The decisions over this coordinator's memory.
    fn reactor(&self) -> Reactor {
        Reactor {
            engine: Arc::clone(&self.engine),
            state: Arc::clone(&self.state),
        }
    }
}
