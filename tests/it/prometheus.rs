//! Metrics as Prometheus sees them: live processes, a real Prometheus, and the rules that are shipped.
use crate::jobs::count;
use rustix::process::Signal;
use std::collections::BTreeSet;
use std::fmt::Write;
use testkit::process::{get, wait_until};
use testkit::prometheus::{self, Prometheus, assert_wellformed, promtool, shipped};
use testkit::{Running, Scratch};
use tests::fleet::{Coordinator, Fleet};

/// Units of the job that is counted.
const UNITS: usize = 400;

/// A job in which a part of the executions fails, once or for good.
fn failing_job(scratch: &Scratch) {
    let mut rows = String::from("asset,title,role,location\n");
    for n in 0..UNITS {
        writeln!(rows, "a{n:05},t{},document,none/{n}", n % 5)
            .expect("writing to memory cannot fail");
    }
    scratch.write("counted.csv", rows);
    let job = "job: counted\nlibrary: { manifest: counted.csv }\nsteps:\n  - id: work\n    noop: { duration: 1ms..5ms, \
               fail: 0.3 }\n    retry: { attempts: 2, backoff: 10ms..20ms }\n    on_failure: continue\n";
    scratch.write("counted.yaml", job);
}

struct Scraped {
    fleet: Fleet,
    leader: Coordinator,
    standby: Coordinator,
    _worker: Running,
    worker_address: String,
    prometheus: Prometheus,
}

fn scraped() -> Scraped {
    let fleet = Fleet::start();
    let leader = fleet.coordinator();
    wait_until("the first leads", || leader.leads());
    let standby = fleet.coordinator();
    let mut worker = fleet.worker(16, &["--listen", "127.0.0.1:0"]);
    let worker_address = worker.address();
    let coordinators = [leader.address.as_str(), standby.address.as_str()];
    let targets: [(&str, &[&str]); 2] = [
        ("showrunner-coordinator", &coordinators),
        ("showrunner-worker", &[worker_address.as_str()]),
    ];
    let prometheus = Prometheus::start(&fleet.scratch.path("."), &targets);
    Scraped {
        fleet,
        leader,
        standby,
        _worker: worker,
        worker_address,
        prometheus,
    }
}

#[test]
fn prometheus_counts_equal_the_counts_of_the_job() {
    if !prometheus::is_installed() {
        return;
    }
    let Scraped {
        fleet,
        leader,
        standby,
        _worker,
        worker_address,
        prometheus,
    } = scraped();
    failing_job(&fleet.scratch);
    let job = fleet
        .run(&["job", "submit", "counted.yaml", "-o", "name", "-q"])
        .name();
    let summary = fleet
        .run(&["job", "wait", &job, "--timeout", "2m", "-o", "json"])
        .expect_code(3)
        .json();
    let (succeeded, dead) = (
        count(&summary, "/units/succeeded"),
        count(&summary, "/units/dead"),
    );
    assert!(dead > 0 && succeeded + dead == UNITS as u64, "{summary:#}");

    prometheus.wait_for("sum(up)", 3.0);
    let ended = |outcome: &str| {
        format!(r#"sum(showrunner_units_finished_total{{stage="noop",outcome="{outcome}"}})"#)
    };
    prometheus.wait_for(&ended("success"), succeeded as f64);
    prometheus.wait_for(&ended("dead"), dead as f64);
    prometheus.wait_for("sum(showrunner_dead_letters)", dead as f64);
    prometheus.wait_for("sum(showrunner_unresolved_failures)", dead as f64);
    prometheus.wait_for("sum(showrunner_assets_listed_total)", UNITS as f64);
    // Two who count the same: the coordinators by reports, the workers by executions.
    let retried = prometheus.number(&ended("retry")).unwrap_or(0.0);
    assert!(retried > 0.0, "some executions fail and are tried again");
    let executions = succeeded as f64 + dead as f64 + retried;
    prometheus.wait_for(
        r#"sum(showrunner_unit_duration_seconds_count{stage="noop"})"#,
        executions,
    );
    let on_workers = |outcome: &str| {
        format!(r#"sum(showrunner_worker_units_total{{stage="noop",outcome="{outcome}"}})"#)
    };
    prometheus.wait_for(&on_workers("finished"), succeeded as f64);
    prometheus.wait_for(&on_workers("failed"), dead as f64 + retried);

    // Nothing runs any more: a worker that waits for work has no slot busy.
    prometheus.wait_for(r#"sum(showrunner_worker_slots{state="busy"})"#, 0.0);
    prometheus.wait_for(r#"sum(showrunner_slots{state="busy"})"#, 0.0);
    prometheus.wait_for(r#"sum(showrunner_slots{stage="noop",state="idle"})"#, 16.0);

    for address in [&leader.address, &standby.address, &worker_address] {
        let (status, text) = get(address, "/metrics");
        assert_eq!(status, 200);
        assert_wellformed(&text);
    }
    gauges_of_the_cluster_come_from_one(&prometheus, &leader);
    leader.running.signal(Signal::KILL);
    wait_until("the other leads", || standby.leads());
    prometheus.wait_for("sum(up)", 2.0);
    prometheus.wait_for("sum(showrunner_leader)", 1.0);
    gauges_of_the_cluster_come_from_one(&prometheus, &standby);
}

#[track_caller]
fn gauges_of_the_cluster_come_from_one(prometheus: &Prometheus, leader: &Coordinator) {
    let instance = &leader.address;
    prometheus.wait_for(
        r#"count(showrunner_queue_depth{stage="noop",priority="normal"})"#,
        1.0,
    );
    prometheus.wait_for(r#"sum(showrunner_workers{state="active"})"#, 1.0);
    prometheus.wait_for(
        &format!(r#"count(showrunner_queue_depth{{stage="noop",priority="normal",instance="{instance}"}})"#),
        1.0,
    );
    for gauge in [
        "queue_pending",
        "workers",
        "slots",
        "autoscale_desired_workers",
        "barriers",
        "dead_letters",
    ] {
        let name = format!("showrunner_{gauge}");
        let instances = prometheus.query(&format!("count by (instance) ({name})"));
        let from: Vec<&str> = instances
            .iter()
            .map(|(labels, _)| labels["instance"].as_str())
            .collect();
        assert_eq!(from, [instance], "{name}");
    }
}

#[test]
fn shipped_alert_rules_pass_their_tests() {
    if !prometheus::is_installed() {
        return;
    }
    let rules = shipped("alerts.yml").display().to_string();
    promtool(&["check", "rules", "--lint=all", "--lint-fatal", &rules]).expect_code(0);
    promtool(&[
        "check",
        "config",
        &shipped("prometheus.yml").display().to_string(),
    ])
    .expect_code(0);
    promtool(&[
        "test",
        "rules",
        &shipped("alerts_test.yml").display().to_string(),
    ])
    .expect_code(0);
    let text = std::fs::read_to_string(&rules).expect("the rules are shipped");
    let known = std::fs::read_to_string(shipped("../../docs/reference/metrics.md"))
        .expect("the reference is there");
    let guide = std::fs::read_to_string(shipped("../../docs/guide/operators.md"))
        .expect("the guide is there");
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let named: BTreeSet<&str> = text
        .split(|c| !word(c))
        .filter(|name| name.starts_with("showrunner_"))
        .collect();
    for name in named {
        let recorded = text.contains(&format!(":{name}:"));
        let family = ["_bucket", "_count", "_sum"]
            .iter()
            .find_map(|end| name.strip_suffix(end))
            .unwrap_or(name);
        assert!(
            recorded || known.contains(&format!("`{family}`")),
            "{name} is no metric"
        );
    }
    let headings: BTreeSet<String> = guide
        .lines()
        .filter_map(|line| line.strip_prefix("### "))
        .map(anchor)
        .collect();
    for runbook in text
        .lines()
        .filter_map(|line| line.split_once("operators.md#"))
        .map(|(_, rest)| rest.trim_matches('"'))
    {
        assert!(
            headings.contains(runbook),
            "the guide has no chapter {runbook:?}: {headings:?}"
        );
    }

    let Scraped { prometheus, .. } = scraped();
    let healthy = || {
        let groups = prometheus.api("rules")["groups"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let all: Vec<_> = groups
            .iter()
            .flat_map(|group| group["rules"].as_array().cloned().unwrap_or_default())
            .collect();
        let bad = all.iter().find(|rule| rule["health"] == "err");
        assert!(bad.is_none(), "{bad:?}");
        !all.is_empty() && all.iter().all(|rule| rule["health"] == "ok")
    };
    wait_until("every rule was evaluated", healthy);
}

/// The address of a heading within a page.
fn anchor(heading: &str) -> String {
    heading
        .to_lowercase()
        .replace(' ', "-")
        .chars()
        .filter(|c| c.is_alphanumeric() || *c == '-')
        .collect()
}
