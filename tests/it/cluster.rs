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
    let mut running = scratch.start(&[
        "coordinator",
        "--redis",
        &redis.url(),
        "--listen",
        "127.0.0.1:0",
        "-v",
    ]);
    running.address();
    running
}

impl Cluster {
    pub(crate) fn start() -> Cluster {
        let scratch = Scratch::new();
        let redis = Redis::start(&scratch.path("."));
        let coordinator = coordinator(&scratch, &redis);
        Cluster {
            scratch,
            redis,
            coordinator,
        }
    }

    pub(crate) fn worker(&self) -> Running {
        let mut command = self.scratch.showrunner(&[
            "worker",
            "--redis",
            &self.redis.url(),
            "--slots",
            "noop=32",
        ]);
        command.env("SHOWRUNNER_REHEARSAL_LOG", self.scratch.path("witnesses"));
        let worker = Running::start(command, &self.scratch.path("."));
        wait_until("it says its name", || worker.stderr().contains("worker "));
        worker
    }

    fn submit(&self, units: usize, duration: &str) -> String {
        rehearsal(&self.scratch, units, duration);
        self.scratch
            .run(&["job", "submit", "rehearsal.yaml", "-o", "name", "-q"])
            .name()
    }

    pub(crate) fn look(&self, id: &str) -> Value {
        self.scratch
            .run(&["job", "get", id, "-o", "json"])
            .expect_code(0)
            .json()
    }

    /// Write transactions that the coordinator has made: it takes a turn at least every 200 ms.
    pub(crate) fn transactions(&mut self) -> u64 {
        let metrics = get(&self.coordinator.address(), "/metrics").1;
        let line = metrics
            .lines()
            .find(|line| line.starts_with("showrunner_write_transaction_duration_seconds_count"));
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok())
            .expect("the coordinator counts its transactions")
    }

    fn wait_for(&self, id: &str, succeeded: u64) {
        wait_until("enough units succeeded", || {
            count(&self.look(id), "/units/succeeded") >= succeeded
        });
    }

    pub(crate) fn finish(&self, id: &str, units: u64) {
        let summary = self
            .scratch
            .run(&["job", "wait", id, "--timeout", "2m", "-o", "json"])
            .expect_code(0)
            .json();
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
        .map(|class| {
            cluster
                .redis
                .cli(&["XLEN", &format!("sr:{{noop}}:units:{class}")])
                .trim()
                .parse()
                .unwrap_or(0)
        })
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
    let args = [
        "worker",
        "--redis",
        &cluster.redis.url(),
        "--kinds",
        "transfer",
        "--listen",
        "127.0.0.1:0",
    ];
    let mut worker = cluster.scratch.start(&args);
    let address = worker.address();
    assert_eq!(get(&address, "/healthz").0, 200);
    assert_eq!(get(&address, "/readyz").0, 200);
    worker.signal(Signal::TERM);
    worker.wait().expect_code(0);
    cluster
        .scratch
        .run(&[
            "worker",
            "--redis",
            &cluster.redis.url(),
            "--kinds",
            "tranfer",
        ])
        .expect_code(2)
        .expect_said(&["transfer"]);
    let nobody = "redis://u:canary@127.0.0.1:1/";
    for role in ["coordinator", "worker"] {
        let ran = cluster
            .scratch
            .run(&[role, "--redis", nobody, "--data", "other"]);
        ran.expect_code(1)
            .expect_said(&["Redis at", "127.0.0.1:1", "hint:"]);
        assert!(!ran.stderr.contains("canary"), "{ran:#?}");
    }
    cluster
        .scratch
        .run(&["worker"])
        .expect_code(2)
        .expect_said(&["--redis"]);
}

/// Connections from an address of this machine, each with the beginning of a head.
fn unfinished_heads(from: &str, to: &str, number: usize) -> Vec<std::net::TcpStream> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime can be made");
    let connect = || async {
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket can be made");
        socket
            .bind(format!("{from}:0").parse().expect("an address"))
            .expect("every 127.* is of this machine");
        let stream = socket
            .connect(to.parse().expect("an address"))
            .await
            .expect("the server accepts");
        stream.into_std().expect("it leaves the runtime")
    };
    let streams = (0..number).map(|_| {
        let mut stream = runtime.block_on(connect());
        stream.set_nonblocking(false).expect("it may block");
        // A connection that the server has closed refuses it.
        std::io::Write::write_all(&mut stream, b"GET /healthz HTTP/1.1\r\nHost: x\r\n").ok();
        stream
    });
    streams.collect()
}

/// Whether the server answers on a connection before it ends it.
fn is_answered(mut stream: std::net::TcpStream) -> bool {
    let mut bytes = Vec::new();
    drop(std::io::Read::read_to_end(&mut stream, &mut bytes));
    !bytes.is_empty()
}

#[test]
fn worker_health_answers_while_others_hold_its_connections() {
    let cluster = Cluster::start();
    let mut worker = cluster.scratch.start(&[
        "worker",
        "--redis",
        &cluster.redis.url(),
        "--listen",
        "127.0.0.1:0",
    ]);
    let address = worker.address();
    let others = ["127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5"];
    let held: Vec<_> = others
        .iter()
        .flat_map(|from| unfinished_heads(from, &address, 40))
        .collect();
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(get(&address, path).0, 200, "{path}");
    }
    // Two addresses have all 64 connections, and each of the four has its share of the reserve.
    let answered = held
        .into_iter()
        .map(is_answered)
        .filter(|answered| *answered)
        .count();
    assert_eq!(
        answered,
        64 + 4 * 4,
        "the others are closed without an answer"
    );
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
    let id = cluster
        .scratch
        .run(&["job", "submit", "select.yaml", "-o", "name", "-q"])
        .name();
    cluster.finish(&id, 2);
}
