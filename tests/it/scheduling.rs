//! The scheduler over real processes: limits of endpoints that hold over workers and leaders, workers that leave.
use protocol::time::Timestamp;
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use testkit::Scratch;
use testkit::process::wait_until;
use testkit::redis::Redis;
use tests::cluster::Cluster;

const UNITS: usize = 300;

/// Starts and ends of executions in the order of their moments: (nanoseconds, +1 or -1, worker).
fn executions(scratch: &Scratch) -> Vec<(u128, i32, String)> {
    let text = std::fs::read_to_string(scratch.path("witnesses")).unwrap_or_default();
    let mut found: Vec<(u128, i32, String)> = text
        .lines()
        .map(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            let change = if words[4] == "start" { 1 } else { -1 };
            (
                words[5].parse().expect("nanoseconds"),
                change,
                words[3].to_owned(),
            )
        })
        .collect();
    found.sort();
    found
}

/// Case 64: three workers with 96 slots and two leaders, one endpoint, six units at once.
#[test]
fn endpoint_limit_holds_over_workers_and_a_killed_leader() {
    let scratch = Scratch::new();
    let redis = Redis::start(&scratch.path("."));
    let limit = format!("file:{}=6", scratch.path("none").display());
    let url = redis.url();
    let mut cluster = Cluster::over(scratch, redis, &["--redis", &url, "--limit", &limit]);
    let workers = [cluster.worker(), cluster.worker(), cluster.worker()];
    let job = cluster.submit(UNITS, "20ms..60ms");
    cluster.wait_for(&job, 60);
    cluster.coordinator.signal(Signal::KILL);
    cluster.restart_coordinator();
    cluster.assert_exact(&job, UNITS);
    let (mut now, mut most, mut by_worker) = (0, 0, BTreeMap::new());
    for (_, change, worker) in executions(&cluster.scratch) {
        now += change;
        most = most.max(now);
        *by_worker.entry(worker).or_insert(0) += 1;
    }
    assert_eq!(most, 6, "at once, over {by_worker:?}");
    assert_eq!(
        by_worker.len(),
        workers.len(),
        "every worker had some: {by_worker:?}"
    );
}

#[test]
fn malformed_limit_is_reported_before_the_start() {
    let scratch = Scratch::new();
    scratch.write(
        "job.yaml",
        "job: x\nlibrary: { folder: . }\nsteps:\n  - id: a\n    noop: {}\n",
    );
    let said = ["s3://partner-a", "write it as s3://partner-a=8"];
    scratch
        .run(&["run", "job.yaml", "--limit", "s3://partner-a"])
        .expect_code(2)
        .expect_said(&said);
}

/// Case 56: a worker with a termination notice takes no unit that might outlast it, even while units wait.
#[test]
fn worker_with_notice_takes_no_unit_of_unknown_length() {
    let cluster = Cluster::start();
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970");
    let soon = Timestamp(i64::try_from(now.as_micros()).expect("before 290,000"))
        .after(Duration::from_secs(120));
    cluster.scratch.write("notice", soon.to_string());
    let notice = cluster.scratch.path("notice").display().to_string();
    let url = cluster.redis.url();
    let leaving =
        cluster.worker_with(&["--redis", &url, "--slots", "noop=32", "--notice", &notice]);
    wait_until("it has seen the notice", || {
        leaving.stderr().contains("this worker leaves")
    });
    let job = cluster.submit(40, "50ms");
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(
        executions(&cluster.scratch),
        [],
        "nothing was started: how long it takes is unknown"
    );
    let _stays = cluster.worker();
    cluster.assert_exact(&job, 40);
    let names: Vec<String> = executions(&cluster.scratch)
        .into_iter()
        .map(|(_, _, worker)| worker)
        .collect();
    assert!(
        names.iter().all(|name| !leaving.stderr().contains(name)),
        "{}",
        leaving.stderr()
    );
}

#[test]
fn job_whose_library_no_worker_lists_says_so() {
    let cluster = Cluster::start();
    let _worker = cluster.worker_with(&["--redis", &cluster.redis.url(), "--kinds", "noop"]);
    let id = cluster.submit(1, "0ms");
    let explained = || cluster.scratch.run(&["job", "explain", &id]).stdout.clone();
    wait_until("the list of workers is there", || {
        explained().contains("no live worker has slots for scan")
    });
    let _lister = cluster.worker_with(&["--redis", &cluster.redis.url(), "--kinds", "scan"]);
    wait_until("it is listed", || cluster.look(&id)["state"] == "succeeded");
    assert!(!explained().contains("no live worker"));
}
