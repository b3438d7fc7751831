//! Coordinator and workers as processes of their own, over a real Redis that may be deleted at any moment (TRUTH-2).
use crate::jobs::{count, rehearsal};
use rustix::process::Signal;
use serde_json::Value;
use testkit::process::{get, wait_until};
use testkit::redis::Redis;
use testkit::{Running, Scratch};

const UNITS: usize = 20_000;

pub(crate) struct Cluster {
    pub(crate) scratch: Scratch,
    pub(crate) redis: Redis,
    coordinator: Running,
}

fn coordinator(scratch: &Scratch, redis: &Redis) -> Running {
    let mut running = scratch.start(&["coordinator", "--redis", &redis.url(), "--listen", "127.0.0.1:0", "-v"]);
    running.address();
    running
}

impl Cluster {
    pub(crate) fn start() -> Cluster {
        let scratch = Scratch::new();
        let redis = Redis::start(&scratch.path("."));
        let coordinator = coordinator(&scratch, &redis);
        Cluster { scratch, redis, coordinator }
    }

    pub(crate) fn worker(&self) -> Running {
        let mut command = self.scratch.showrunner(&["worker", "--redis", &self.redis.url(), "--slots", "noop=32"]);
        command.env("SHOWRUNNER_REHEARSAL_LOG", self.scratch.path("witnesses"));
        let worker = Running::start(command, &self.scratch.path("."));
        wait_until("it says its name", || worker.stderr().contains("worker "));
        worker
    }

    fn submit(&self, units: usize, duration: &str) -> String {
        rehearsal(&self.scratch, units, duration);
        self.scratch.run(&["job", "submit", "rehearsal.yaml", "-o", "name", "-q"]).name()
    }

    pub(crate) fn look(&self, id: &str) -> Value {
        self.scratch.run(&["job", "get", id, "-o", "json"]).expect_code(0).json()
    }

    fn wait_for(&self, id: &str, succeeded: u64) {
        wait_until("enough units succeeded", || count(&self.look(id), "/units/succeeded") >= succeeded);
    }

    pub(crate) fn finish(&self, id: &str, units: u64) {
        let summary = self.scratch.run(&["job", "wait", id, "--timeout", "2m", "-o", "json"]).expect_code(0).json();
        assert_eq!(count(&summary, "/units/succeeded"), units);
        assert_eq!(count(&summary, "/units/total"), units);
    }
}

#[test]
fn killed_workers_and_wiped_redis_keep_counts_exact() {
    let cluster = Cluster::start();
    let (first, second) = (cluster.worker(), cluster.worker());
    let id = cluster.submit(UNITS, "1ms..20ms");
    cluster.wait_for(&id, 1_000);
    first.signal(Signal::KILL);
    cluster.wait_for(&id, 4_000);
    cluster.redis.cli(&["FLUSHALL"]);
    cluster.wait_for(&id, 8_000);
    let third = cluster.worker();
    cluster.redis.cli(&["FLUSHALL"]);
    cluster.finish(&id, UNITS as u64);
    drop((second, third));
    let left: usize = ["urgent", "normal", "bulk"]
        .iter()
        .map(|class| cluster.redis.cli(&["XLEN", &format!("sr:{{noop}}:units:{class}")]).trim().parse().unwrap_or(0))
        .sum();
    assert!(left < 100, "{left} entries were left behind");
}

#[test]
fn killed_coordinator_resumes_its_jobs() {
    let mut cluster = Cluster::start();
    let _worker = cluster.worker();
    let id = cluster.submit(6_000, "1ms..10ms");
    cluster.wait_for(&id, 1_000);
    cluster.coordinator.signal(Signal::KILL);
    wait_until("it is dead", || cluster.coordinator.has_ended());
    cluster.coordinator = coordinator(&cluster.scratch, &cluster.redis);
    cluster.finish(&id, 6_000);
}

#[test]
fn worker_without_slots_of_a_kind_takes_none_and_serves_health() {
    let cluster = Cluster::start();
    let args = ["worker", "--redis", &cluster.redis.url(), "--kinds", "transfer", "--listen", "127.0.0.1:0"];
    let mut worker = cluster.scratch.start(&args);
    let address = worker.address();
    assert_eq!(get(&address, "/healthz").0, 200);
    assert_eq!(get(&address, "/readyz").0, 200);
    worker.signal(Signal::TERM);
    worker.wait().expect_code(0);
    cluster
        .scratch
        .run(&["worker", "--redis", &cluster.redis.url(), "--kinds", "tranfer"])
        .expect_code(2)
        .expect_said(&["transfer"]);
    let nobody = "redis://u:canary@127.0.0.1:1/";
    for role in ["coordinator", "worker"] {
        let ran = cluster.scratch.run(&[role, "--redis", nobody, "--data", "other"]);
        ran.expect_code(1).expect_said(&["Redis at", "127.0.0.1:1", "hint:"]);
        assert!(!ran.stderr.contains("canary"), "{ran:#?}");
    }
    cluster.scratch.run(&["worker"]).expect_code(2).expect_said(&["--redis"]);
}

#[test]
fn worker_process_lists_the_selected_library() {
    let cluster = Cluster::start();
    let _worker = cluster.worker();
    for name in ["a.mov", "Thumbs.db", "proxies/a.mov", "x/b.mov", "x/b.wav"] {
        cluster.scratch.write(format!("library/{name}"), name);
    }
    let job = "job: select
library: { folder: library, include: \"*.mov\", exclude: proxies/ }
steps: [{ id: rest, noop: {} }]
";
    cluster.scratch.write("select.yaml", job);
    let id = cluster.scratch.run(&["job", "submit", "select.yaml", "-o", "name", "-q"]).name();
    cluster.finish(&id, 2);
}
