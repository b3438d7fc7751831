//! What the coordinator counts. One registry a process, never the global one, so that two clusters fit in one test.
use crate::service::collector::Settled;
use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

/// The coordinator's metrics.
pub struct Metrics {
    /// Units handed out.
    pub published: IntCounter,
    /// Assets listed.
    pub listed: IntCounter,
    /// Units taken back from silent workers.
    pub reclaimed: IntCounter,
    /// Reports that changed nothing (FEN-1).
    pub rejected: IntCounter,
    /// Ends of units by outcome.
    pub finished: IntCounterVec,
    /// Jobs that have not ended.
    pub jobs_open: IntGauge,
}

impl Metrics {
    /// Registers the metrics.
    pub fn new(registry: &Registry) -> prometheus::Result<Metrics> {
        let metrics = Metrics {
            published: IntCounter::new("showrunner_units_published_total", "Work units handed to workers.")?,
            listed: IntCounter::new("showrunner_assets_listed_total", "Assets listed by scans.")?,
            reclaimed: IntCounter::new(
                "showrunner_units_reclaimed_total",
                "Work units taken back from silent workers.",
            )?,
            rejected: IntCounter::new(
                "showrunner_duplicate_completions_total",
                "Reports of work units that came late, twice or from elsewhere and changed nothing.",
            )?,
            finished: IntCounterVec::new(
                Opts::new("showrunner_units_finished_total", "Executions of work units that ended, by outcome."),
                &["outcome"],
            )?,
            jobs_open: IntGauge::new("showrunner_jobs_open", "Jobs that have not ended.")?,
        };
        for outcome in ["success", "retry", "dead"] {
            metrics.finished.with_label_values(&[outcome]);
        }
        registry.register(Box::new(metrics.published.clone()))?;
        registry.register(Box::new(metrics.listed.clone()))?;
        registry.register(Box::new(metrics.reclaimed.clone()))?;
        registry.register(Box::new(metrics.rejected.clone()))?;
        registry.register(Box::new(metrics.finished.clone()))?;
        registry.register(Box::new(metrics.jobs_open.clone()))?;
        Ok(metrics)
    }

    /// Counts a settled batch.
    pub fn settled(&self, settled: &Settled) {
        self.rejected.inc_by(settled.rejected);
        self.finished.with_label_values(&["success"]).inc_by(settled.succeeded);
        self.finished.with_label_values(&["retry"]).inc_by(settled.retried);
        self.finished.with_label_values(&["dead"]).inc_by(settled.dead);
    }
}
