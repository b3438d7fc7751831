//! Case 70: processes of two versions in one cluster, as while it is upgraded. What the previous version wrote is read by
//! this one; what this one cannot read goes to others. The bytes of the previous version are kept in `tests/golden`.
use coordinator::queue::UnitQueue;
use coordinator::queue::redis::RedisQueue as Publisher;
use protocol::id::{JobNo, Kind, StepNo, UnitId, WorkerId};
use protocol::wire::report::{Outcome, Report, UnitResult};
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;
use testkit::process::wait_until;
use testkit::redis::{Redis, cli};
use testkit::{Running, Scratch};
use tests::cluster::Cluster;
use transport::{Server, Settings};
use worker::queue::WorkQueue;
use worker::queue::redis::RedisQueue as Taker;

const UNITS: &str = "sr:{noop}:units:normal";
const REPORTS: &str = "sr:reports";
/// Rounds in which another worker may be the first to read what this one cannot.
const ROUNDS: usize = 10;

/// The unit that the bytes in `tests/golden` are about.
const UNIT: UnitId = UnitId::new(JobNo(1), StepNo(0), 1);

/// Bytes that the previous version wrote.
fn golden(name: &str) -> Vec<u8> {
    let text = include_str!("../golden/wire-1.txt");
    let hex = text
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .expect("it is there")
        .replace(' ', "");
    let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal");
    (0..hex.len()).step_by(2).map(byte).collect()
}

/// Adds an entry with these bytes, any of which may be zero.
fn add(redis: &Redis, stream: &str, body: &[u8]) {
    let text = body.iter().fold(String::new(), |mut text, byte| {
        write!(text, "\\{byte:03}").expect("memory can be written");
        text
    });
    redis.cli(&[
        "EVAL",
        &format!("return redis.call('XADD', KEYS[1], '*', 'b', '{text}')"),
        "1",
        stream,
    ]);
}

fn server(redis: &Redis) -> Server {
    Server::new(&Settings {
        url: redis.url(),
        ..Settings::default()
    })
    .expect("an address")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unit_of_the_previous_version_is_run() {
    let scratch = Scratch::new();
    let redis = Redis::start(&scratch.path("."));
    add(&redis, UNITS, &golden("batch"));
    let command = scratch.showrunner(&["worker", "--redis", &redis.url(), "--slots", "noop=1"]);
    let _worker = Running::start(command, &scratch.path("."));
    let coordinator = Publisher::connect(server(&redis)).await.expect("connects");
    let end = loop {
        let reports = coordinator.collect(64).await.expect("reads").reports;
        let end = reports.into_iter().find_map(|sent| match sent.report {
            Report::Settled(outcome) => Some(outcome),
            _ => None,
        });
        if let Some(end) = end {
            break end;
        }
    };
    assert!(
        matches!(&end, Outcome { unit: UNIT, epoch: 1, result: UnitResult::Finished { failures, .. }, .. } if failures.is_empty()),
        "{end:?}"
    );
}

#[test]
fn reports_of_the_previous_version_are_taken() {
    let cluster = Cluster::start();
    let _lister = cluster.worker_with(&["--redis", &cluster.redis.url(), "--kinds", "scan"]);
    cluster.scratch.write(
        "one.csv",
        "asset,title,role,location\na-1,t-1,document,none/1\n",
    );
    let job = "job: one\nlibrary: { manifest: one.csv }\nsteps:\n  - id: wait\n    noop: { duration: 0ms }\n";
    cluster.scratch.write("one.yaml", job);
    let id = cluster
        .scratch
        .run(&["job", "submit", "one.yaml", "-o", "name", "-q"])
        .name();
    // The old worker has four slots: the unit is published for one of them, and either worker may read it.
    wait_until("the unit is handed out", || {
        add(&cluster.redis, REPORTS, &golden("beat"));
        cluster.redis.cli(&["XLEN", UNITS]).trim() == "1"
    });
    assert_eq!(cluster.succeeded(&id), 0);
    add(&cluster.redis, REPORTS, &golden("end"));
    wait_until("its end is taken", || {
        cluster.look(&id)["state"] == "succeeded"
    });
    assert_eq!(cluster.succeeded(&id), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unit_that_one_worker_cannot_read_goes_to_another() {
    let scratch = Scratch::new();
    let redis = Redis::start(&scratch.path("."));
    redis.cli(&["XGROUP", "CREATE", UNITS, "workers", "0", "MKSTREAM"]);
    let old = Arc::new(
        Taker::connect(server(&redis), WorkerId("old".into()))
            .await
            .expect("connects"),
    );
    let body = b"\x09of a version to come";
    for _ in 0..ROUNDS {
        let (taker, port) = (Arc::clone(&old), redis.port());
        let taking =
            tokio::spawn(async move { taker.take(Kind::Noop, 1).await.map(|units| units.len()) });
        tokio::time::sleep(Duration::from_millis(300)).await;
        // Who has waited longest is served first: this one comes second.
        let read = [
            "XREADGROUP",
            "GROUP",
            "workers",
            "new",
            "BLOCK",
            "5000",
            "COUNT",
            "1",
            "STREAMS",
            UNITS,
            ">",
        ];
        let other = tokio::task::spawn_blocking(move || cli(port, &read));
        tokio::time::sleep(Duration::from_millis(300)).await;
        add(&redis, UNITS, body);
        let got = other.await.expect("it ends");
        taking.abort();
        let lines: Vec<&str> = got.lines().map(str::trim).collect();
        if let Some(at) = lines.iter().position(|line| *line == "t") {
            assert!(
                lines.contains(&"\tof a version to come") || got.contains("of a version to come"),
                "{got}"
            );
            assert_eq!(
                lines.get(at + 1),
                Some(&"1"),
                "it says that one worker has tried: {got}"
            );
            return;
        }
    }
    panic!(
        "in {ROUNDS} rounds nothing went from one to the other: {}",
        redis.cli(&["XINFO", "STREAM", UNITS, "FULL"])
    );
}
