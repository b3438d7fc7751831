//! What a worker counts. The names say that it is the worker's own: the coordinator counts units too, and nothing is to be
//! counted twice in a sum over both.
use crate::actor::vitals::Vitals;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Gauge, GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry};
use protocol::id::Kind;
use protocol::model::slot_count::SlotCount;
use protocol::wire::report::UnitResult;
use std::time::Duration;

/// Upper bounds of durations of units, in seconds.
const DURATION_SECONDS: [f64; 14] = [
    0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0,
];
const OUTCOMES: [&str; 5] = ["finished", "failed", "waiting", "returned", "cancelled"];

/// The worker's metrics.
#[derive(Clone)]
pub struct WorkerMetrics {
    units: IntCounterVec,
    duration: HistogramVec,
}

impl WorkerMetrics {
    /// Creates the metrics without registering them.
    pub fn new() -> prometheus::Result<WorkerMetrics> {
        let metrics = WorkerMetrics {
            units: IntCounterVec::new(
                Opts::new(
                    "showrunner_worker_units_total",
                    "Executions of work units on this worker, by how they ended.",
                ),
                &["stage", "outcome"],
            )?,
            duration: HistogramVec::new(
                HistogramOpts::new(
                    "showrunner_worker_unit_duration_seconds",
                    "Execution of work units on this worker.",
                )
                .buckets(DURATION_SECONDS.to_vec()),
                &["stage"],
            )?,
        };
        for kind in Kind::ALL.map(Kind::as_str) {
            OUTCOMES
                .iter()
                .for_each(|outcome| drop(metrics.units.with_label_values(&[kind, outcome])));
            metrics.duration.with_label_values(&[kind]);
        }
        Ok(metrics)
    }

    /// Registers them, with what the worker's vitals show at each scrape.
    pub fn register(&self, registry: &Registry, vitals: Vitals) -> prometheus::Result<()> {
        registry.register(Box::new(self.units.clone()))?;
        registry.register(Box::new(self.duration.clone()))?;
        registry.register(Box::new(VitalSigns::new(vitals)?))
    }

    /// Counts an execution.
    pub fn executed(&self, kind: Kind, result: &UnitResult, took: Duration) {
        let outcome = match result {
            UnitResult::Finished { .. }
            | UnitResult::Listed { .. }
            | UnitResult::UploadsBegun(_)
            | UnitResult::Sliced(_) => "finished",
            UnitResult::Failed(_) => "failed",
            UnitResult::Waiting { .. } => "waiting",
            UnitResult::Returned => "returned",
            UnitResult::Cancelled => "cancelled",
        };
        self.units
            .with_label_values(&[kind.as_str(), outcome])
            .inc();
        self.duration
            .with_label_values(&[kind.as_str()])
            .observe(took.as_secs_f64());
    }
}

/// Collector that reads the state of the worker at each scrape.
struct VitalSigns {
    vitals: Vitals,
    slots: GaugeVec,
    bytes: prometheus::Counter,
    draining: Gauge,
}

impl VitalSigns {
    fn new(vitals: Vitals) -> prometheus::Result<VitalSigns> {
        let slots = Opts::new("showrunner_worker_slots", "Slots of this worker by state.");
        Ok(VitalSigns {
            vitals,
            slots: GaugeVec::new(slots, &["stage", "state"])?,
            bytes: prometheus::Counter::new(
                "showrunner_worker_bytes_total",
                "Bytes of media read or moved.",
            )?,
            draining: Gauge::new(
                "showrunner_worker_draining",
                "1 while this worker takes no more work.",
            )?,
        })
    }
}

impl Collector for VitalSigns {
    fn desc(&self) -> Vec<&Desc> {
        [self.slots.desc(), self.bytes.desc(), self.draining.desc()].concat()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let beat = self.vitals.beat();
        for SlotCount { kind, total, free } in beat.slots {
            let busy = total.saturating_sub(free);
            self.slots
                .with_label_values(&[kind.as_str(), "busy"])
                .set(f64::from(busy));
            self.slots
                .with_label_values(&[kind.as_str(), "idle"])
                .set(f64::from(free));
        }
        self.bytes
            .inc_by((beat.bytes as f64 - self.bytes.get()).max(0.0));
        self.draining.set(f64::from(u8::from(beat.draining)));
        [
            self.slots.collect(),
            self.bytes.collect(),
            self.draining.collect(),
        ]
        .concat()
    }
}
