//! Durations of write transactions. They run one after another, so the longest one delays every turn by its length.
use crate::cost::spent;
use prometheus::{Gauge, Histogram, HistogramOpts, Registry};
use std::time::{Duration, Instant};

/// Upper bounds in seconds. The bound of 250 ms is the longest delay that one transaction may cause.
const SECONDS: [f64; 12] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0,
];

/// Transactions of this length are logged.
const SLOW: Duration = Duration::from_secs(1);

/// Durations of the write transactions of one store. Clones share their values.
#[derive(Debug, Clone)]
pub struct WriteTimes {
    durations: Histogram,
    longest: Gauge,
}

impl WriteTimes {
    /// Durations of a store that has written nothing.
    pub fn new() -> prometheus::Result<WriteTimes> {
        let opts = HistogramOpts::new(
            "showrunner_write_transaction_duration_seconds",
            "Write transactions of this process: turns of the scheduler, settled batches, commands.",
        );
        Ok(WriteTimes {
            durations: Histogram::with_opts(opts.buckets(SECONDS.to_vec()))?,
            longest: Gauge::new(
                "showrunner_write_transaction_longest_seconds",
                "Longest write transaction since this process started.",
            )?,
        })
    }

    /// Registers the metrics.
    pub fn register(&self, registry: &Registry) -> prometheus::Result<()> {
        registry.register(Box::new(self.durations.clone()))?;
        registry.register(Box::new(self.longest.clone()))
    }

    /// Runs `work`, records its duration, and returns both. `what` names the caller.
    pub(super) fn measure<R>(&self, what: &str, work: impl FnOnce() -> R) -> (R, Duration) {
        let started = Instant::now();
        let result = work();
        let took = started.elapsed();
        self.note(took);
        if took >= SLOW {
            let cost = spent();
            tracing::warn!(
                seconds = took.as_secs_f64(),
                statements = cost.statements,
                rows = cost.rows,
                "a write transaction delays all others: {what}"
            );
        }
        (result, took)
    }

    /// One thread writes, so the maximum cannot change between read and update.
    fn note(&self, took: Duration) {
        let seconds = took.as_secs_f64();
        self.durations.observe(seconds);
        if seconds > self.longest.get() {
            self.longest.set(seconds);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn write_times_count_each_transaction_and_keep_the_longest() {
        let times = WriteTimes::new().expect("names are sound");
        for millis in [3, 400, 20] {
            times.note(Duration::from_millis(millis));
        }
        assert_eq!(times.measure("seven", || 7).0, 7);
        assert_eq!(times.durations.get_sample_count(), 4);
        assert!((times.longest.get() - 0.4).abs() < 1e-9);
    }
}
