//! Messages of programs that are no worker or no coordinator, written straight into a real Redis: they change nothing.
use coordinator::queue::UnitQueue;
use coordinator::queue::redis::RedisQueue as Publisher;
use protocol::id::{JobNo, Kind, StepNo, UnitId, WorkerId};
use protocol::model::slot_count::SlotCount;
use protocol::wire::control::Control;
use protocol::wire::report::{Heartbeat, Outcome, Report, UnitResult};
use protocol::wire::{envelope, keys};
use serde_json::Value;
use std::time::Duration;
use testkit::Scratch;
use testkit::http::ask;
use testkit::process::wait_until;
use testkit::redis::Redis;
use tests::cluster::Cluster;
use transport::report_key::ReportKeys;
use transport::signature::{Signer, fresh_seed};
use transport::{Connection, Server, Settings};
use worker::queue::WorkQueue;
use worker::queue::redis::RedisQueue as Taker;

const KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
const OTHER_KEY: &str = "ff112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
const UNITS: &str = "sr:{noop}:units:normal";
/// The one unit of the job under test.
const UNIT: UnitId = UnitId::new(JobNo(1), StepNo(0), 1);
/// The worker that holds it.
const HOLDER: &str = "holder-1";

fn server(redis: &Redis) -> Server {
    Server::new(&Settings {
        url: redis.url(),
        ..Settings::default()
    })
    .expect("an address")
}

fn keys_of(text: &str) -> ReportKeys {
    ReportKeys::parse(text).expect("a key")
}

async fn worker(redis: &Redis, name: &str, key: Option<&str>) -> Taker {
    Taker::connect(server(redis), WorkerId(name.into()))
        .await
        .expect("connects")
        .authenticated_with(key.map(keys_of))
}

fn beat(worker: &str, held: &[UnitId]) -> Report {
    Report::Heartbeat(Heartbeat {
        worker: WorkerId(worker.into()),
        held: held.iter().map(|unit| unit.execution(1)).collect(),
        slots: vec![SlotCount {
            kind: Kind::Noop,
            total: 4,
            free: 4,
        }],
        draining: false,
        bytes: 0,
        leaves_at: None,
    })
}

fn end(worker: &str) -> Report {
    Report::Settled(Outcome {
        unit: UNIT,
        epoch: 1,
        worker: WorkerId(worker.into()),
        result: UnitResult::Finished {
            facts: Vec::new(),
            failures: Vec::new(),
        },
        duration_us: 7,
    })
}

/// What is forged, the sender that it names, its authenticator, and the reason for which it is refused.
type Forged<'a> = (&'a str, &'a [u8], Option<&'a [u8]>, &'a str);

/// Adds an entry with these fields to a stream.
async fn add(connection: &mut Connection, stream: &str, fields: &[(&str, &[u8])]) {
    let mut add = ::redis::cmd("XADD");
    add.arg(stream).arg("*");
    for (name, value) in fields {
        add.arg(name).arg(*value);
    }
    let _id: String = add.query_async(connection).await.expect("it is added");
}

/// The coordinator's signature of the unit that is handed out.
async fn proof_of_unit(connection: &mut Connection) -> Vec<u8> {
    let entries: Vec<(String, Vec<Vec<u8>>)> = ::redis::cmd("XRANGE")
        .arg(UNITS)
        .arg("-")
        .arg("+")
        .query_async(connection)
        .await
        .expect("it can be read");
    let mut fields = entries.into_iter().flat_map(|(_, fields)| fields);
    fields
        .find(|name| name == keys::SIGNATURE.as_bytes())
        .expect("units are signed");
    fields.next().expect("a field has a value")
}

/// A cluster whose coordinator has the key, and its address.
fn cluster() -> (Cluster, String) {
    let scratch = Scratch::new();
    scratch.write("report.key", format!("# of this deployment\n{KEY}\n"));
    let redis = Redis::start(&scratch.path("."));
    let url = redis.url();
    let arguments = ["--redis", &url, "--report-key-file", "report.key"];
    let mut cluster = Cluster::over(scratch, redis, &arguments);
    let address = cluster.coordinator.address();
    (cluster, address)
}

/// Submits a job of one unit and has it listed by a real worker with the key.
fn submit(cluster: &Cluster) -> String {
    let rows = "asset,title,role,location\na-1,t-1,document,none/1\n";
    cluster.scratch.write("one.csv", rows);
    let job = "job: one\nlibrary: { manifest: one.csv }\nsteps:\n  - id: wait\n    noop: { duration: 0ms }\n";
    cluster.scratch.write("one.yaml", job);
    let id = cluster
        .scratch
        .run(&["job", "submit", "one.yaml", "-o", "name", "-q"])
        .name();
    let redis = cluster.redis.url();
    let lister = cluster.worker_with(&[
        "--redis",
        &redis,
        "--kinds",
        "scan",
        "--report-key-file",
        "report.key",
    ]);
    wait_until("it is listed", || {
        cluster.look(&id)["units"]["total"].as_u64() == Some(1)
    });
    drop(lister);
    id
}

fn refused(address: &str, reason: &str) -> u64 {
    let page = ask(address, "GET", "/metrics", &[], b"").body;
    let name = format!("showrunner_reports_refused_total{{reason=\"{reason}\"}} ");
    let count = page.lines().find_map(|line| line.strip_prefix(&name));
    count
        .and_then(|count| count.parse().ok())
        .expect("the count is exported")
}

fn workers(cluster: &Cluster) -> Vec<String> {
    let list = cluster.scratch.run(&["worker", "list", "-o", "json"]);
    let list: Value = list.expect_code(0).json();
    let names = list.as_array().expect("a list").iter();
    names
        .map(|one| one["worker"].as_str().unwrap_or_default().to_owned())
        .collect()
}

/// Ends and heartbeats by a program without the key, with another key, with the authenticator of something else, and in the
/// name of another worker.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forged_reports_change_nothing_and_are_counted() {
    let (cluster, address) = cluster();
    let job = submit(&cluster);
    let holder = worker(&cluster.redis, HOLDER, Some(KEY)).await;
    let (keyless, stranger) = (
        worker(&cluster.redis, "keyless-1", None).await,
        worker(&cluster.redis, "stranger-1", Some(OTHER_KEY)).await,
    );
    // A worker that the coordinator does not believe gets no work.
    for (forger, name, reason) in [
        (&keyless, "keyless-1", "unauthenticated"),
        (&stranger, "stranger-1", "wrong_key"),
    ] {
        let before = refused(&address, reason);
        forger.report(vec![beat(name, &[])]).await.expect("sent");
        wait_until("it is counted", || refused(&address, reason) == before + 1);
        assert!(!workers(&cluster).contains(&name.to_owned()));
    }
    assert_eq!(cluster.redis.cli(&["XLEN", UNITS]).trim(), "0");
    // A genuine heartbeat is believed: the unit is handed out.
    holder.report(vec![beat(HOLDER, &[])]).await.expect("sent");
    wait_until("the unit is handed out", || {
        cluster.redis.cli(&["XLEN", UNITS]).trim() == "1"
    });
    let holding = tokio::spawn(async move {
        loop {
            let shown = holder.report(vec![beat(HOLDER, &[UNIT])]).await;
            shown.expect("sent");
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    });
    wait_until("it is shown", || {
        let list = cluster
            .scratch
            .run(&["worker", "list", "-o", "json"])
            .json();
        let mut list = list.as_array().into_iter().flatten();
        list.any(|one| one["worker"] == HOLDER && one["held"] == 1)
    });
    let mut raw = server(&cluster.redis)
        .open(Duration::from_secs(5))
        .await
        .expect("connects");
    let body = envelope::encode(&vec![end(HOLDER)]).expect("encodes");
    let proof = proof_of_unit(&mut raw).await;
    let of_another = keys_of(KEY).authenticate("other-1", &body);
    let of_other_bytes = keys_of(KEY).authenticate(HOLDER, b"other bytes");
    let name = HOLDER.as_bytes();
    let forged: [Forged; 4] = [
        ("a signature of a unit", name, Some(&proof), "wrong_key"),
        (
            "that of another sender",
            name,
            Some(&of_another),
            "wrong_key",
        ),
        (
            "that of other bytes",
            name,
            Some(&of_other_bytes),
            "wrong_key",
        ),
        ("no authenticator", name, None, "unauthenticated"),
    ];
    for (what, sender, authenticator, reason) in forged {
        let before = refused(&address, reason);
        let mut fields: Vec<(&str, &[u8])> = vec![("b", &body), ("w", sender)];
        fields.extend(authenticator.map(|authenticator| ("a", authenticator)));
        add(&mut raw, keys::REPORTS, &fields).await;
        wait_until(what, || refused(&address, reason) == before + 1);
    }
    // Another worker of the deployment, in the holder's name; what it reports of itself in the same message counts.
    let other = worker(&cluster.redis, "other-1", Some(KEY)).await;
    let mixed = vec![end(HOLDER), beat("other-1", &[]), beat(HOLDER, &[UNIT])];
    other.report(mixed).await.expect("sent");
    wait_until("both are counted", || {
        refused(&address, "other_sender") == 2
    });
    wait_until("it is known", || {
        workers(&cluster).contains(&"other-1".into())
    });
    // The same worker in its own name: heartbeats have shown the holder.
    let taken_over = vec![beat("other-1", &[UNIT]), end("other-1")];
    other.report(taken_over).await.expect("sent");
    wait_until("it is counted", || refused(&address, "other_holder") == 1);
    assert_eq!(cluster.succeeded(&job), 0, "nothing has changed");
    assert_eq!(cluster.look(&job)["state"], "running");
    // The genuine end counts, once: a copy of its message is an end under an epoch that is over.
    let genuine = keys_of(KEY).authenticate(HOLDER, &body);
    for _ in 0..2 {
        let fields: [(&str, &[u8]); 3] = [("b", &body), ("w", name), ("a", &genuine)];
        add(&mut raw, keys::REPORTS, &fields).await;
        wait_until("the job succeeds", || {
            cluster.look(&job)["state"] == "succeeded"
        });
    }
    holding.abort();
    wait_until("all are read", || {
        cluster.redis.cli(&["XLEN", keys::REPORTS]).trim() == "0"
    });
    assert_eq!(cluster.succeeded(&job), 1);
    let said = cluster.coordinator.stderr();
    let lines = |name: &str| {
        let of_it = said.lines().filter(|line| line.contains("are refused"));
        of_it.filter(|line| line.contains(name)).count()
    };
    assert_eq!((lines(HOLDER), lines("sender=\"\"")), (1, 1), "{said}");
}

/// A worker acts on control messages of the coordinator alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forged_control_message_is_dropped() {
    let scratch = Scratch::new();
    let redis = Redis::start(&scratch.path("."));
    let seed = fresh_seed().expect("the system has randomness");
    let coordinator = Publisher::connect(server(&redis)).await.expect("connects");
    coordinator.sign_with(&seed);
    coordinator.wiped().await.expect("the key is published");
    let worker = worker(&redis, HOLDER, None).await;
    let mut raw = server(&redis)
        .open(Duration::from_secs(5))
        .await
        .expect("connects");
    let reading = tokio::spawn(async move {
        let first = worker.control().await;
        (first, worker)
    });
    // It passes over what was there before it.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let held = Control::Hold(WorkerId(HOLDER.into()));
    let body = envelope::encode(&held).expect("encodes");
    let stranger = Signer::of(&fresh_seed().expect("randomness")).expect("a seed");
    let unit = Signer::of(&seed).expect("a seed");
    let unit = unit.sign([body.as_slice()].into_iter()).remove(0);
    let forged: [&[(&str, &[u8])]; 3] = [
        &[("b", &body)],
        &[("b", &body), ("s", &stranger.sign_control(&body))],
        &[("b", &body), ("s", &unit)],
    ];
    for fields in forged {
        add(&mut raw, keys::CONTROL, fields).await;
    }
    let released = Control::Release(WorkerId(HOLDER.into()));
    coordinator.control(released.clone()).await.expect("sent");
    let (first, _worker) = reading.await.expect("it ends");
    assert_eq!(first.expect("it can be read"), released);
}

#[test]
fn key_file_that_holds_no_key_is_refused() {
    let scratch = Scratch::new();
    scratch.write("empty.key", "");
    scratch.write("wrong.key", "secret-canary\n");
    for (file, words) in [
        ("nothing.key", ["nothing.key", "No such file"]),
        ("empty.key", ["empty.key", "openssl rand -hex 32"]),
        ("wrong.key", ["wrong.key", "line 1"]),
    ] {
        for part in ["coordinator", "worker"] {
            let redis = ["--redis", "redis://127.0.0.1:1/", "--report-key-file", file];
            let ran = scratch.run(&[[part].as_slice(), &redis].concat());
            assert_eq!(ran.code, 2, "{ran:#?}");
            ran.expect_said(&words);
            assert!(!ran.stderr.contains("secret-canary"), "{ran:#?}");
        }
    }
}
