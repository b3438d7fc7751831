//! Units that kill their workers, workers in which everything fails, workers that are drained and released: with real
//! processes over a real Redis.
use crate::cluster::Cluster;
use crate::jobs::count;
use rustix::process::Signal;
use serde_json::Value;
use std::fmt::Write;
use testkit::Running;
use testkit::process::wait_until;

fn submit(cluster: &Cluster, units: usize, duration: &str) -> String {
    let mut rows = String::from("asset,title,role,location\n");
    for n in 0..units {
        writeln!(rows, "a{n:05},t,document,none/{n}").expect("writing to memory cannot fail");
    }
    cluster.scratch.write("units.csv", rows);
    let job = format!(
        "job: units\nlibrary: {{ manifest: units.csv }}\nsteps:\n  - id: wait\n    noop: {{ duration: {duration} }}\n    \
         retry: {{ attempts: 4, backoff: 500ms..1s }}\n"
    );
    cluster.scratch.write("units.yaml", job);
    cluster
        .scratch
        .run(&["job", "submit", "units.yaml", "-o", "name", "-q"])
        .name()
}

/// A worker with an injected fault.
fn rigged(cluster: &Cluster, variable: &str, value: &str) -> Running {
    let args = [
        "worker",
        "--redis",
        &cluster.redis.url(),
        "--slots",
        "noop=4",
    ];
    let mut command = cluster.scratch.showrunner(&args);
    command.env(variable, value).env(
        "SHOWRUNNER_REHEARSAL_LOG",
        cluster.scratch.path("witnesses"),
    );
    let worker = Running::start(command, &cluster.scratch.path("."));
    wait_until("it says its name", || worker.stderr().contains("worker "));
    worker
}

fn listed(cluster: &Cluster, worker: &str) -> Option<Value> {
    let all = cluster
        .scratch
        .run(&["worker", "list", "-o", "json"])
        .expect_code(0)
        .json();
    all.as_array()
        .expect("a list")
        .iter()
        .find(|one| one["worker"] == worker)
        .cloned()
}

fn state_of(cluster: &Cluster, worker: &str) -> String {
    listed(cluster, worker)
        .and_then(|one| one["state"].as_str().map(str::to_owned))
        .unwrap_or_default()
}

#[test]
fn poison_unit_is_parked_and_others_succeed() {
    let cluster = Cluster::start();
    let start = || rigged(&cluster, "SHOWRUNNER_REHEARSAL_KILL", "a00007");
    let mut workers = vec![start(), start()];
    let id = submit(&cluster, 40, "1ms..5ms");
    let mut killed = 0;
    let ended = |look: &Value| !matches!(look["state"].as_str(), Some("running"));
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(240);
    while !ended(&cluster.look(&id)) {
        for worker in &mut workers {
            if worker.has_ended() {
                killed += 1;
                *worker = start();
            }
        }
        assert!(
            std::time::Instant::now() < deadline,
            "{:#}",
            cluster.look(&id)
        );
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    let summary = cluster.look(&id);
    assert_eq!(
        (
            count(&summary, "/units/succeeded"),
            count(&summary, "/units/dead")
        ),
        (39, 1),
        "{summary:#}"
    );
    assert_eq!(summary["failures"][0]["reason"], "poison", "{summary:#}");
    // A copy that was out before the first death was known may cost one more.
    assert!((4..=5).contains(&killed), "{killed} workers died of it");
    let causes = cluster
        .scratch
        .run(&["failure", "list", "--job", &id, "-o", "json"])
        .expect_code(0)
        .json();
    assert_eq!(
        (causes[0]["reason"].as_str(), count(&causes, "/0/units")),
        (Some("poison"), 1),
        "{causes:#}"
    );
}

/// Runs a job over a worker that fails everything for `reason` and one that does not; returns the sick one's name.
fn put_aside(cluster: &Cluster, reason: &str) -> String {
    let sick = rigged(cluster, "SHOWRUNNER_REHEARSAL_SICK", reason);
    let well = cluster.worker();
    let id = submit(cluster, 300, "20ms..60ms");
    let sick_name = sick.worker_name();
    wait_until("it is put aside", || {
        state_of(cluster, &sick_name) == "quarantined"
    });
    cluster.finish(&id, 300);
    // It receives the drain command and logs it.
    assert!(!sick.stderr().is_empty() && !well.stderr().is_empty());
    let operations = cluster
        .scratch
        .run(&["operation", "list", "-o", "json"])
        .expect_code(0)
        .json();
    let action = format!("quarantine worker {sick_name}");
    let found = operations
        .as_array()
        .expect("a list")
        .iter()
        .find(|o| o["action"] == action.as_str());
    let found = found.unwrap_or_else(|| panic!("no record of it: {operations:#}"));
    assert!(
        found["done"].as_u64().is_some_and(|refunded| refunded > 0),
        "attempts are refunded: {found:#}"
    );
    assert_runs_again(cluster, &sick_name);
    sick_name
}

/// Executions that a worker has begun.
fn begun(cluster: &Cluster, worker: &str) -> usize {
    let witnesses = std::fs::read_to_string(cluster.scratch.path("witnesses")).unwrap_or_default();
    witnesses
        .lines()
        .filter(|line| line.split(' ').nth(3) == Some(worker))
        .count()
}

/// Releases a worker and proves by its executions that it works again.
fn assert_runs_again(cluster: &Cluster, worker: &str) {
    let before = begun(cluster, worker);
    cluster
        .scratch
        .run(&[
            "worker", "release", worker, "--reason", "mended", "-o", "json",
        ])
        .expect_code(0);
    wait_until("it is listed as working", || {
        state_of(cluster, worker) == "working"
    });
    wait_until("the released worker runs a unit", || {
        // Others may be quicker: there is work until it has had some.
        let id = submit(cluster, 100, "20ms..60ms");
        cluster
            .scratch
            .run(&["job", "wait", &id, "--timeout", "1m"]);
        begun(cluster, worker) > before
    });
}

#[test]
fn sick_worker_is_quarantined_and_attempts_are_refunded() {
    put_aside(&Cluster::start(), "tool_broken");
}

#[test]
fn worker_without_disk_space_is_quarantined_and_units_move() {
    put_aside(&Cluster::start(), "destination_full");
}

#[test]
fn worker_is_drained_and_released_by_name() {
    let cluster = Cluster::start();
    let (first, second) = (cluster.worker(), cluster.worker());
    let (first, second_name) = (first.worker_name(), second.worker_name());
    wait_until("both are listed", || {
        state_of(&cluster, &first) == "working" && state_of(&cluster, &second_name) == "working"
    });
    cluster
        .scratch
        .run(&[
            "worker",
            "drain",
            &first,
            "--reason",
            "new kernel",
            "--by",
            "ada",
        ])
        .expect_code(0);
    let heard = || listed(&cluster, &first).unwrap_or_default();
    wait_until("it drains", || heard()["state"] == "draining");
    assert_eq!(
        (heard()["reason"].as_str(), heard()["by"].as_str()),
        (Some("new kernel"), Some("ada"))
    );
    let id = submit(&cluster, 200, "1ms..5ms");
    cluster.finish(&id, 200);
    assert_runs_again(&cluster, &first);
    assert!(heard()["reason"].is_null(), "{}", heard());
    cluster
        .scratch
        .run(&["worker", "drain", "nobody"])
        .expect_code(5)
        .expect_said(&["worker list"]);
}

/// Every worker reads what is sent to all: a cancellation that waits for a worker must not be repeated in each turn.
#[test]
fn cancellation_that_waits_for_a_worker_is_sent_once() {
    let mut cluster = Cluster::start();
    let worker = cluster.worker();
    let id = submit(&cluster, 64, "60s..60s");
    let name = worker.worker_name();
    wait_until("units run", || begun(&cluster, &name) >= 32);
    worker.signal(Signal::STOP);
    cluster.scratch.run(&["job", "cancel", &id]).expect_code(0);
    let sent = || {
        cluster
            .redis
            .cli(&["XLEN", "sr:control"])
            .trim()
            .parse::<u64>()
            .unwrap_or(0)
    };
    wait_until("the executions are called back", || sent() > 0);
    let (first, before) = (sent(), cluster.transactions());
    wait_until("turns are taken", || cluster.transactions() >= before + 20);
    assert_eq!(
        cluster.redis.cli(&["XLEN", "sr:control"]).trim(),
        first.to_string()
    );
    worker.signal(Signal::CONT);
    wait_until("it is cancelled", || {
        cluster.look(&id)["state"] == "cancelled"
    });
}
