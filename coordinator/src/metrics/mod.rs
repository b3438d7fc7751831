//! What the coordinator counts. One registry a process, never the global one, so that two clusters fit in one test.
//! Labels come from closed lists, and every label set is there from the start, at zero.
mod cluster;

pub use crate::metrics::cluster::ClusterGauges;

use crate::reconcile::settlement::Settled;
use crate::refusal::Refusal;
use parking_lot::Mutex;
use prometheus::{
    HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};
use protocol::id::Kind;
use protocol::time::Timestamp;
use protocol::wire::report::{Outcome, UnitResult};
use std::collections::BTreeMap;
use std::time::Duration;

/// Upper bounds of durations of units, in seconds: from light work to a night's transfer.
pub const DURATION_SECONDS: [f64; 14] = [
    0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0,
];
/// The same for waiting, which may take days.
const WAIT_SECONDS: [f64; 16] = [
    0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0,
    43_200.0, 86_400.0,
];
/// The same for calls to Redis.
pub const CALL_SECONDS: [f64; 11] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.0, 10.0,
];
/// Values of the label `outcome`.
const OUTCOMES: [&str; 3] = ["success", "retry", "dead"];
/// The stage of a report whose job is gone.
const UNKNOWN: &str = "unknown";

/// The coordinator's metrics.
pub struct Metrics {
    enqueued: IntCounterVec,
    listed: IntCounter,
    fruitless: IntCounter,
    reclaimed: IntCounterVec,
    rejected: IntCounterVec,
    refused: IntCounterVec,
    finished: IntCounterVec,
    duration: HistogramVec,
    wait: HistogramVec,
    transferred: IntCounter,
    judged: IntCounter,
    decoded: IntCounter,
    /// Jobs that have not ended.
    pub jobs_open: IntGauge,
    parked: IntGauge,
    oversized: IntCounter,
    underflows: IntCounter,
    last_finished: Mutex<BTreeMap<Kind, Timestamp>>,
}

/// A counter for each set of labels.
fn counters(name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntCounterVec> {
    IntCounterVec::new(Opts::new(name, help), labels)
}

/// A histogram of seconds for each stage.
fn seconds(name: &str, help: &str, bounds: &[f64]) -> prometheus::Result<HistogramVec> {
    let opts = HistogramOpts::new(name, help).buckets(bounds.to_vec());
    HistogramVec::new(opts, &["stage"])
}

fn oversized() -> prometheus::Result<IntCounter> {
    IntCounter::new(
        "showrunner_oversized_transactions_total",
        "Transactions that did more at once than is planned for (TURN-1); 0 unless there is a defect.",
    )
}

fn underflows() -> prometheus::Result<IntCounter> {
    IntCounter::new(
        "showrunner_count_underflows_total",
        "Counters of steps or barriers that would have gone below zero and stay at zero; 0 unless there is a defect.",
    )
}

impl Metrics {
    /// Registers the metrics.
    pub fn new(registry: &Registry) -> prometheus::Result<Metrics> {
        let metrics = Metrics {
            enqueued: counters(
                "showrunner_units_enqueued_total",
                "Work units handed to the transport.",
                &["stage"],
            )?,
            listed: IntCounter::new("showrunner_assets_listed_total", "Assets listed by scans.")?,
            fruitless: IntCounter::new(
                "showrunner_fruitless_scans_total",
                "Listings handed out again although their last attempt had yielded no page.",
            )?,
            reclaimed: counters(
                "showrunner_units_reclaimed_total",
                "Work units taken back from silent workers or a transport that lost them.",
                &["stage"],
            )?,
            rejected: counters(
                "showrunner_duplicate_completions_total",
                "Reports of work units that came late, twice or from elsewhere and changed nothing.",
                &["stage"],
            )?,
            refused: counters(
                "showrunner_reports_refused_total",
                "Messages of workers without a valid authenticator, and reports that another worker had to send.",
                &["reason"],
            )?,
            finished: counters(
                "showrunner_units_finished_total",
                "Executions of work units that ended, by outcome.",
                &["stage", "outcome"],
            )?,
            duration: seconds(
                "showrunner_unit_duration_seconds",
                "Execution of work units.",
                &DURATION_SECONDS,
            )?,
            wait: seconds(
                "showrunner_unit_wait_seconds",
                "From handing a work unit to the transport to the start of its execution.",
                &WAIT_SECONDS,
            )?,
            transferred: IntCounter::new(
                "showrunner_transfer_bytes_total",
                "Bytes that transfers have written and verified.",
            )?,
            judged: IntCounter::new("showrunner_qc_judged_total", "Assets judged by QC.")?,
            decoded: IntCounter::new(
                "showrunner_qc_decodes_total",
                "Assets whose media QC had to decode: too little had been measured of their bytes before.",
            )?,
            jobs_open: IntGauge::new(
                "showrunner_jobs_open",
                "Jobs that have not ended; 0 on a standby.",
            )?,
            parked: IntGauge::new(
                "showrunner_parked_entries",
                "Entries of unit streams that no worker could read; 0 on a standby.",
            )?,
            oversized: oversized()?,
            underflows: underflows()?,
            last_finished: Mutex::default(),
        };
        metrics.show();
        metrics.register(registry)?;
        Ok(metrics)
    }

    /// Shows every label at zero from the start.
    fn show(&self) {
        for kind in Kind::ALL.map(Kind::as_str) {
            for counter in [&self.enqueued, &self.reclaimed, &self.rejected] {
                counter.with_label_values(&[kind]);
            }
            OUTCOMES
                .iter()
                .for_each(|outcome| drop(self.finished.with_label_values(&[kind, outcome])));
            self.duration.with_label_values(&[kind]);
            self.wait.with_label_values(&[kind]);
        }
        self.rejected.with_label_values(&[UNKNOWN]);
        for reason in Refusal::ALL {
            self.refused.with_label_values(&[reason.as_str()]);
        }
    }

    fn register(&self, registry: &Registry) -> prometheus::Result<()> {
        registry.register(Box::new(self.enqueued.clone()))?;
        registry.register(Box::new(self.listed.clone()))?;
        registry.register(Box::new(self.fruitless.clone()))?;
        registry.register(Box::new(self.reclaimed.clone()))?;
        registry.register(Box::new(self.rejected.clone()))?;
        registry.register(Box::new(self.refused.clone()))?;
        registry.register(Box::new(self.finished.clone()))?;
        registry.register(Box::new(self.duration.clone()))?;
        registry.register(Box::new(self.wait.clone()))?;
        registry.register(Box::new(self.transferred.clone()))?;
        registry.register(Box::new(self.judged.clone()))?;
        registry.register(Box::new(self.decoded.clone()))?;
        registry.register(Box::new(self.jobs_open.clone()))?;
        registry.register(Box::new(self.parked.clone()))?;
        registry.register(Box::new(self.oversized.clone()))?;
        registry.register(Box::new(self.underflows.clone()))?;
        Ok(())
    }

    /// Counter of transactions beyond the bounds.
    pub(crate) fn oversized(&self) -> IntCounter {
        self.oversized.clone()
    }

    /// Counter of decrements below zero.
    pub(crate) fn underflows(&self) -> IntCounter {
        self.underflows.clone()
    }

    /// Counts a unit handed to the transport.
    pub fn enqueued(&self, kind: Kind) {
        self.enqueued.with_label_values(&[kind.as_str()]).inc();
    }

    /// Counts messages and reports that were refused.
    pub fn refused(&self, refused: &BTreeMap<Refusal, u64>) {
        for (reason, count) in refused {
            self.refused
                .with_label_values(&[reason.as_str()])
                .inc_by(*count);
        }
    }

    /// Says how many entries are parked.
    pub fn parked(&self, entries: u64) {
        self.parked.set(i64::try_from(entries).unwrap_or(i64::MAX));
    }

    /// The term is over: the next leader shows the open jobs of the cluster.
    pub fn stand_by(&self) {
        self.jobs_open.set(0);
        self.parked.set(0);
    }

    /// Counts assets that a scan listed.
    pub fn listed(&self, assets: u64) {
        self.listed.inc_by(assets);
    }

    /// Counts a listing that is handed out again without a page more.
    pub fn fruitless(&self) {
        self.fruitless.inc();
    }

    /// Counts a unit taken back.
    pub fn reclaimed(&self, kind: Kind) {
        self.reclaimed.with_label_values(&[kind.as_str()]).inc();
    }

    /// Counts an execution that reported its end, `waited` after it was handed out.
    pub fn reported(&self, kind: Kind, waited: Duration, outcome: &Outcome) {
        if matches!(
            outcome.result,
            UnitResult::Returned | UnitResult::Cancelled | UnitResult::Waiting { .. }
        ) {
            return;
        }
        let took = Duration::from_micros(outcome.duration_us);
        self.duration
            .with_label_values(&[kind.as_str()])
            .observe(took.as_secs_f64());
        self.wait
            .with_label_values(&[kind.as_str()])
            .observe(waited.as_secs_f64());
        if let (Kind::Transfer, UnitResult::Finished { facts, .. }) = (kind, &outcome.result) {
            let written = facts
                .iter()
                .filter(|fact| !fact.skipped)
                .filter_map(|fact| fact.bytes);
            self.transferred
                .inc_by(written.fold(0, u64::saturating_add));
        }
    }

    /// Counts a settled batch.
    pub fn settled(&self, settled: &Settled, now: Timestamp) {
        self.judged.inc_by(settled.judged);
        self.decoded.inc_by(settled.decoded);
        let mut rejected = settled.rejected;
        for (kind, ends) in &settled.by_kind {
            let stage = kind.as_str();
            rejected = rejected.saturating_sub(ends.rejected);
            self.rejected
                .with_label_values(&[stage])
                .inc_by(ends.rejected);
            for (outcome, n) in OUTCOMES
                .iter()
                .zip([ends.succeeded, ends.retried, ends.dead])
            {
                self.finished.with_label_values(&[stage, outcome]).inc_by(n);
            }
            if ends.succeeded + ends.dead > 0 {
                self.last_finished.lock().insert(*kind, now);
            }
        }
        self.rejected.with_label_values(&[UNKNOWN]).inc_by(rejected);
    }

    /// Executions that ended so far, whatever with.
    pub fn ended(&self) -> u64 {
        let of = |kind: Kind| {
            OUTCOMES.map(|outcome| {
                self.finished
                    .with_label_values(&[kind.as_str(), outcome])
                    .get()
            })
        };
        Kind::ALL.into_iter().flat_map(of).sum()
    }

    /// When a unit of each kind ended last.
    pub fn last_finished(&self) -> BTreeMap<Kind, Timestamp> {
        self.last_finished.lock().clone()
    }
}

/// Which build this is and what it is for, and what its process uses.
pub fn register_process(registry: &Registry, role: &str) -> prometheus::Result<()> {
    let opts = Opts::new("showrunner_build_info", "The build that answers; always 1.");
    let build = IntGaugeVec::new(opts, &["version", "revision", "role"])?;
    let revision = option_env!("SHOWRUNNER_REVISION").unwrap_or("unknown");
    build
        .with_label_values(&[env!("CARGO_PKG_VERSION"), revision, role])
        .set(1);
    registry.register(Box::new(build))?;
    #[cfg(target_os = "linux")]
    registry.register(Box::new(
        prometheus::process_collector::ProcessCollector::for_self(),
    ))?;
    Ok(())
}
