//! Gauges about the cluster as a whole. The leader alone exports them: a standby has no such series, or
//! every sum would count the cluster once a coordinator.
use crate::query::cluster_stats::ClusterStats;
use prometheus::core::Collector;
use prometheus::{Gauge, GaugeVec, IntGauge, Opts, Registry};
use protocol::failure::ErrorClass;
use protocol::id::Kind;
use protocol::model::barrier::Scope;
use protocol::model::priority::Priority;
use protocol::rules::review::task::TaskKind;

const WORKER_STATES: [&str; 4] = ["active", "draining", "quarantined", "lost"];
const BARRIER_STATES: [&str; 2] = ["waiting", "held"];

/// Handles of the gauges in the registry of this process.
pub struct ClusterGauges {
    leader: IntGauge,
    queue: QueueGauges,
    workers: GaugeVec,
    slots: GaugeVec,
    desired: GaugeVec,
    actual: GaugeVec,
    barriers: GaugeVec,
    tasks: GaugeVec,
    slack: GaugeVec,
    moving: Gauge,
}

/// Gauges about work units that have not ended, or are dead.
struct QueueGauges {
    depth: GaugeVec,
    pending: GaugeVec,
    oldest: GaugeVec,
    last_finished: GaugeVec,
    dead: GaugeVec,
    unresolved: GaugeVec,
}

/// Registers a metric, and returns the handle to set it.
fn registered<M: Collector + Clone + 'static>(
    registry: &Registry,
    metric: M,
) -> prometheus::Result<M> {
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

/// Registers a gauge for each set of labels.
fn gauges(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> prometheus::Result<GaugeVec> {
    let gauges = GaugeVec::new(Opts::new(format!("showrunner_{name}"), help), labels)?;
    registered(registry, gauges)
}

impl QueueGauges {
    fn new(registry: &Registry) -> prometheus::Result<QueueGauges> {
        let gauges = |name, help, labels: &[&str]| gauges(registry, name, help, labels);
        Ok(QueueGauges {
            depth: gauges(
                "queue_depth",
                "Work units that are ready and not with a worker.",
                &["stage", "priority"],
            )?,
            pending: gauges(
                "queue_pending",
                "Work units that are handed out.",
                &["stage", "priority"],
            )?,
            oldest: gauges(
                "queue_oldest_timestamp_seconds",
                "Submission of the oldest job with ready work units; 0 without any.",
                &["stage", "priority"],
            )?,
            last_finished: gauges(
                "queue_last_finished_timestamp_seconds",
                "When a work unit ended last, since this process leads; 0 before the first.",
                &["stage"],
            )?,
            dead: gauges(
                "dead_letters",
                "Dead work units by class of their cause.",
                &["stage", "reason"],
            )?,
            unresolved: gauges(
                "unresolved_failures",
                "Dead work units whose cause has no waiver, by class.",
                &["stage", "reason"],
            )?,
        })
    }
}

impl ClusterGauges {
    /// Registers the gauges.
    pub fn new(registry: &Registry) -> prometheus::Result<ClusterGauges> {
        let gauges = |name, help, labels: &[&str]| gauges(registry, name, help, labels);
        Ok(ClusterGauges {
            leader: registered(
                registry,
                IntGauge::new("showrunner_leader", "1 on the leader, 0 on a standby.")?,
            )?,
            queue: QueueGauges::new(registry)?,
            workers: gauges("workers", "Workers by state.", &["state"])?,
            slots: gauges(
                "slots",
                "Slots of live workers by state.",
                &["stage", "state"],
            )?,
            desired: gauges(
                "autoscale_desired_workers",
                "Workers there should be.",
                &["stage"],
            )?,
            actual: gauges(
                "autoscale_actual_workers",
                "Workers that take such work units.",
                &["stage"],
            )?,
            barriers: gauges(
                "barriers",
                "Barriers that are not open, by scope and state.",
                &["kind", "state"],
            )?,
            tasks: gauges(
                "tasks",
                "Tasks that wait for a person or a delivery, all of them and the overdue ones.",
                &["kind", "state"],
            )?,
            slack: gauges(
                "deadline_min_slack_seconds",
                "Least time between a job's forecast end (p90) and its deadline, by how far the deadline is; only where a \
                 forecast is possible.",
                &["band"],
            )?,
            moving: registered(
                registry,
                Gauge::new(
                    "showrunner_moving_bytes_per_second",
                    "Bytes a second that running work units move; 0 on a standby.",
                )?,
            )?,
        })
    }

    /// Shows what was counted; nothing when this process does not lead.
    pub fn show(&self, cluster_stats: Option<&ClusterStats>) {
        self.leader.set(i64::from(cluster_stats.is_some()));
        let all = [
            &self.queue.depth,
            &self.queue.pending,
            &self.queue.oldest,
            &self.queue.last_finished,
            &self.queue.dead,
            &self.queue.unresolved,
        ];
        let more = [
            &self.workers,
            &self.slots,
            &self.desired,
            &self.actual,
            &self.barriers,
            &self.tasks,
        ];
        let Some(cluster_stats) = cluster_stats else {
            all.iter().chain(&more).for_each(|gauge| gauge.reset());
            self.slack.reset();
            self.moving.set(0.0);
            return;
        };
        for kind in Kind::ALL {
            self.show_kind(kind, cluster_stats);
        }
        for state in WORKER_STATES {
            let n = cluster_stats.workers.get(state).copied().unwrap_or(0);
            self.workers.with_label_values(&[state]).set(f64::from(n));
        }
        for scope in [Scope::Title, Scope::Batch, Scope::Job] {
            for state in BARRIER_STATES {
                let n = cluster_stats
                    .barriers
                    .get(&(scope.as_str(), state))
                    .copied()
                    .unwrap_or(0);
                self.barriers
                    .with_label_values(&[scope.as_str(), state])
                    .set(n as f64);
            }
        }
        self.moving.set(cluster_stats.bytes_per_second as f64);
        for kind in TaskKind::ALL {
            let (pending, overdue) = cluster_stats.tasks.get(&kind).copied().unwrap_or((0, 0));
            self.tasks
                .with_label_values(&[kind.as_str(), "pending"])
                .set(pending as f64);
            self.tasks
                .with_label_values(&[kind.as_str(), "overdue"])
                .set(overdue as f64);
        }
        // A band without a forecast is unknown, and no number means unknown.
        self.slack.reset();
        for (band, seconds) in &cluster_stats.slack {
            self.slack.with_label_values(&[band]).set(*seconds as f64);
        }
    }

    fn show_kind(&self, kind: Kind, cluster_stats: &ClusterStats) {
        let stage = kind.as_str();
        let seconds =
            |at: Option<protocol::time::Timestamp>| at.map_or(0.0, |at| at.0 as f64 / 1e6);
        for class in [Priority::Urgent, Priority::Normal, Priority::Bulk] {
            let waiting = cluster_stats
                .queues
                .get(&(kind, class))
                .copied()
                .unwrap_or_default();
            let labels = [stage, class.as_str()];
            self.queue
                .depth
                .with_label_values(&labels)
                .set(waiting.ready as f64);
            self.queue
                .pending
                .with_label_values(&labels)
                .set(waiting.out as f64);
            self.queue
                .oldest
                .with_label_values(&labels)
                .set(seconds(waiting.oldest));
        }
        self.queue
            .last_finished
            .with_label_values(&[stage])
            .set(seconds(cluster_stats.last_finished.get(&kind).copied()));
        for class in ErrorClass::ALL {
            let found = cluster_stats
                .dead
                .get(&(kind, class.as_str()))
                .copied()
                .unwrap_or_default();
            self.queue
                .dead
                .with_label_values(&[stage, class.as_str()])
                .set(found.units as f64);
            self.queue
                .unresolved
                .with_label_values(&[stage, class.as_str()])
                .set(found.unresolved as f64);
        }
        let fleet = cluster_stats.fleet.get(&kind).copied().unwrap_or_default();
        self.slots
            .with_label_values(&[stage, "busy"])
            .set(f64::from(fleet.busy));
        self.slots
            .with_label_values(&[stage, "idle"])
            .set(f64::from(fleet.idle));
        self.desired
            .with_label_values(&[stage])
            .set(f64::from(fleet.desired));
        self.actual
            .with_label_values(&[stage])
            .set(f64::from(fleet.workers));
    }
}
