//! `docs/reference/metrics.md`, made from what the registries hold.
use ::prometheus::Registry;
use ::prometheus::proto::MetricFamily;
use coordinator::metrics::{ClusterGauges, Metrics, register_process};
use coordinator::query::cluster_stats::{ClusterStats, bands};
use coordinator::queue::timed::Timings;
use coordinator::store::handle::Store;
use protocol::id::{Kind, WorkerId};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use tokio::sync::mpsc;
use worker::actor::slots::Slots;
use worker::actor::vitals::Vitals;
use worker::metrics::WorkerMetrics;
use worker::queue::local::LocalQueue;
use worker::queue::timed::Timed;

/// Labels whose values are a build's own; all others come from closed lists.
const FREE: [&str; 3] = ["version", "revision", "role"];
/// Label values shown at most; longer lists are the bounds of histograms.
const VALUES_MAX: usize = 8;

const HEAD: &str = "# Metrics

Made from the code: `SHOWRUNNER_UPDATE=1 cargo nextest run --workspace -E 'test(metrics_in_the_reference)'` writes it anew.

`/metrics` of a coordinator, of `showrunner up` and of a worker started with `--listen` answers in Prometheus's text format
0.0.4. Names carry base units; counters begin at zero when their process starts. Labels come from closed lists, given here;
what belongs to one job, asset or unit is in the API. `stage` is the kind of work. `up` exports all three groups.
Processes on Linux add the usual `process_*` metrics.
";

const LEFT_OUT: &str = "
## What is not there
Of what a cluster of this kind is usually watched by, these wait for the part of the product that they would count:
- `connector_requests`, `connector_request_duration`, and a label `connector` on bytes: there are no connectors to other systems yet.
- `approvals_pending`, `approval_oldest_timestamp`: approvals are tasks (`showrunner_tasks`); how long one waits is in
  `showrunner task list`.
- `deadline_assets` by risk and `deadlines_total` by met and missed: they count deliveries, which do not exist yet; the deadlines of
  jobs are in `showrunner_deadline_min_slack_seconds`.
- `forecast_error`: forecasts are not kept beside what became of them yet.
- `audit_entries`, `audit_verify_failures`: there is no audit chain yet; what operators did is in `showrunner operation list`.
- outcomes `cancelled` and `expired`: a cancelled execution is no end of a unit (workers count theirs), and units do not expire.
- a label `priority` on waiting times: it would triple the largest metric; depth and age of queues have it.
";

fn coordinator() -> Registry {
    let registry = Registry::new();
    Metrics::new(&registry).expect("names are sound");
    Timings::new(&registry).expect("names are sound");
    let (store, _thread) = Store::memory();
    store
        .write_times()
        .register(&registry)
        .expect("names are sound");
    register_process(&registry, "coordinator").expect("names are sound");
    registry
}

fn leader() -> Registry {
    let registry = Registry::new();
    let gauges = ClusterGauges::new(&registry).expect("names are sound");
    gauges.show(Some(&ClusterStats {
        slack: bands().map(|band| (band, 0)).collect(),
        ..ClusterStats::default()
    }));
    registry
}

fn worker() -> Registry {
    let registry = Registry::new();
    let slots = Kind::ALL.map(|kind| (kind, Slots::new(1)));
    let vitals = Vitals {
        worker: WorkerId("w".into()),
        running: Default::default(),
        slots: BTreeMap::from(slots),
        draining: Default::default(),
        drain_deadline: Default::default(),
    };
    let metrics = WorkerMetrics::new().expect("names are sound");
    metrics
        .register(&registry, vitals)
        .expect("names are sound");
    let queue = LocalQueue::new(
        BTreeMap::new(),
        mpsc::channel(1).0,
        mpsc::unbounded_channel().1,
    );
    Timed::new(queue, &registry).expect("names are sound");
    register_process(&registry, "worker").expect("names are sound");
    registry
}

/// One line of the table.
fn describe(family: &MetricFamily) -> String {
    let mut labels: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for pair in family
        .get_metric()
        .iter()
        .flat_map(|metric| metric.get_label())
    {
        labels.entry(pair.name()).or_default().insert(pair.value());
    }
    let labels = labels.iter().map(|(name, values)| {
        assert!(
            values.len() <= VALUES_MAX,
            "{name} of {} has {} values",
            family.name(),
            values.len()
        );
        let values: Vec<&str> = values.iter().copied().collect();
        if FREE.contains(name) {
            format!("`{name}`")
        } else {
            format!("`{name}`: {}", values.join(" "))
        }
    });
    let labels: Vec<String> = labels.collect();
    let kind = format!("{:?}", family.get_field_type()).to_lowercase();
    format!(
        "| `{}` | {kind} | {} | {} |",
        family.name(),
        labels.join("; "),
        family.help()
    )
}

fn table(text: &mut String, heading: &str, registry: &Registry) {
    write!(
        text,
        "\n## {heading}\n| metric | type | labels | meaning |\n|---|---|---|---|\n"
    )
    .expect("memory can be written");
    // Those of the process are the system's, not ours.
    for family in registry
        .gather()
        .iter()
        .filter(|family| family.name().starts_with("showrunner_"))
    {
        writeln!(text, "{}", describe(family)).expect("memory can be written");
    }
}

/// `SHOWRUNNER_UPDATE=1` writes the file instead.
#[test]
fn metrics_reference_equals_the_registered_metrics() {
    let mut text = HEAD.to_owned();
    table(&mut text, "Every coordinator", &coordinator());
    table(&mut text, "The coordinator that leads", &leader());
    text += "\nOnly the leader has these series (`showrunner_leader` excepted): sums over coordinators count the cluster once.\n";
    table(&mut text, "Every worker", &worker());
    testkit::reference::assert_committed("docs/reference/metrics.md", &(text + LEFT_OUT));
}
