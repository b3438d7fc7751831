//! A transport that measures the duration of its calls.
use super::{Cleaned, Collected, IsOut, Lost, QueueError, UnitQueue};
use crate::metrics::CALL_SECONDS;
use async_trait::async_trait;
use prometheus::{HistogramOpts, HistogramVec, Registry};
use protocol::id::{Execution, WorkerId};
use protocol::model::priority::Priority;
use protocol::wire::control::Control;
use protocol::wire::unit::Unit;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// Calls that are measured; reading reports waits for them and is not.
const COMMANDS: [&str; 6] = ["publish", "forget", "control", "locate", "clean", "probe"];

/// How long calls to Redis take. Kept over the terms of a coordinator.
#[derive(Clone)]
pub struct Timings(HistogramVec);

impl Timings {
    /// Creates the histogram and registers it, with a series for each command.
    pub fn new(registry: &Registry) -> prometheus::Result<Timings> {
        let name = "showrunner_redis_command_duration_seconds";
        let opts = HistogramOpts::new(name, "Calls to Redis that do not wait for work.")
            .buckets(CALL_SECONDS.to_vec());
        let calls = HistogramVec::new(opts, &["command"])?;
        COMMANDS
            .iter()
            .for_each(|command| drop(calls.with_label_values(&[command])));
        registry.register(Box::new(calls.clone()))?;
        Ok(Timings(calls))
    }
}

/// Measures another transport.
pub struct Timed {
    queue: Arc<dyn UnitQueue>,
    timings: Timings,
}

impl Timed {
    /// Measures this one.
    pub fn new(queue: Arc<dyn UnitQueue>, timings: Timings) -> Timed {
        Timed { queue, timings }
    }

    fn start(&self, command: &str) -> prometheus::HistogramTimer {
        self.timings.0.with_label_values(&[command]).start_timer()
    }
}

#[async_trait]
impl UnitQueue for Timed {
    async fn publish(&self, class: Priority, units: Vec<Unit>) -> Result<(), QueueError> {
        let _timer = self.start("publish");
        self.queue.publish(class, units).await
    }

    fn sign_with(&self, seed: &str) {
        self.queue.sign_with(seed);
    }

    fn sends_messages(&self) -> bool {
        self.queue.sends_messages()
    }

    async fn collect(&self, max: usize) -> Result<Collected, QueueError> {
        self.queue.collect(max).await
    }

    async fn settled(&self, entries: Vec<String>) -> Result<(), QueueError> {
        if entries.is_empty() {
            return Ok(());
        }
        let _timer = self.start("forget");
        self.queue.settled(entries).await
    }

    async fn control(&self, message: Control) -> Result<(), QueueError> {
        let _timer = self.start("control");
        self.queue.control(message).await
    }

    async fn recall(&self, out: BTreeSet<Execution>) -> Result<(), QueueError> {
        let _timer = self.start("locate");
        self.queue.recall(out).await
    }

    async fn lost(
        &self,
        units: Vec<Execution>,
        alive: Vec<WorkerId>,
    ) -> Result<Vec<Lost>, QueueError> {
        let _timer = self.start("locate");
        self.queue.lost(units, alive).await
    }

    async fn clean(
        &self,
        alive: Vec<WorkerId>,
        is_out: IsOut,
        idle_min: Duration,
    ) -> Result<Cleaned, QueueError> {
        let _timer = self.start("clean");
        self.queue.clean(alive, is_out, idle_min).await
    }

    async fn wiped(&self) -> Result<bool, QueueError> {
        let _timer = self.start("probe");
        self.queue.wiped().await
    }

    fn is_foreign(&self) -> bool {
        self.queue.is_foreign()
    }
}
