//! A transport whose calls are measured.
use super::{QueueError, WorkQueue};
use async_trait::async_trait;
use prometheus::{HistogramOpts, HistogramVec, Registry};
use protocol::id::Kind;
use protocol::wire::control::Control;
use protocol::wire::report::Report;
use protocol::wire::unit::Unit;

/// Upper bounds in seconds.
const CALL_SECONDS: [f64; 11] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.0, 10.0,
];

/// Measures another transport. Taking units and messages waits for them and is not measured.
pub struct Timed<Q> {
    queue: Q,
    calls: HistogramVec,
}

impl<Q> Timed<Q> {
    /// Measures this one.
    pub fn new(queue: Q, registry: &Registry) -> prometheus::Result<Timed<Q>> {
        let name = "showrunner_redis_command_duration_seconds";
        let opts = HistogramOpts::new(name, "Calls to Redis that do not wait for work.")
            .buckets(CALL_SECONDS.to_vec());
        let calls = HistogramVec::new(opts, &["command"])?;
        calls.with_label_values(&["report"]);
        registry.register(Box::new(calls.clone()))?;
        Ok(Timed { queue, calls })
    }
}

#[async_trait]
impl<Q: WorkQueue> WorkQueue for Timed<Q> {
    async fn take(&self, kind: Kind, max: usize) -> Result<Vec<Unit>, QueueError> {
        self.queue.take(kind, max).await
    }

    fn hold(&self, held: bool) {
        self.queue.hold(held);
    }

    async fn drain(&self, kind: Kind) -> Vec<Unit> {
        self.queue.drain(kind).await
    }

    async fn report(&self, reports: Vec<Report>) -> Result<(), QueueError> {
        let _timer = self.calls.with_label_values(&["report"]).start_timer();
        self.queue.report(reports).await
    }

    async fn report_fresh(
        &self,
        make: &(dyn Fn() -> Vec<Report> + Send + Sync),
    ) -> Result<(), QueueError> {
        let _timer = self.calls.with_label_values(&["report"]).start_timer();
        self.queue.report_fresh(make).await
    }

    async fn room(&self) {
        self.queue.room().await;
    }

    async fn control(&self) -> Result<Control, QueueError> {
        self.queue.control().await
    }
}
