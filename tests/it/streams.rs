//! Both ends of the transport against a real server, without processes around them: what is blocked, what is left behind by
//! the dead, what nobody can read.
use coordinator::queue::redis::RedisQueue as Publisher;
use coordinator::queue::{IsOut, Lost, UnitQueue};
use protocol::id::{Execution, JobNo, Kind, StepNo, UnitId, WorkerId};
use protocol::model::priority::Priority;
use protocol::wire::control::Control;
use protocol::wire::report::{Heartbeat, Report};
use protocol::wire::step::TaskSpec;
use protocol::wire::step::noop::NoopTask;
use protocol::wire::unit::Unit;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};
use testkit::Scratch;
use testkit::process::{promised, wait_until};
use testkit::redis::Redis;
use tests::fleet::Fleet;
use transport::{Server, Settings};
use worker::queue::WorkQueue;
use worker::queue::redis::RedisQueue as Taker;

const UNITS: &str = "sr:{noop}:units:normal";
const CONTROL: &str = "sr:control";
/// Entries that a dead worker was given.
const PENDING: u32 = 300_000;

fn server(redis: &Redis) -> Server {
    Server::new(&Settings {
        url: redis.url(),
        ..Settings::default()
    })
    .expect("an address")
}

fn number(redis: &Redis, command: &[&str]) -> u64 {
    redis.cli(command).trim().parse().expect("a number")
}

fn pending(redis: &Redis) -> u64 {
    let summary = redis.cli(&["XPENDING", UNITS, "workers"]);
    summary
        .lines()
        .next()
        .and_then(|count| count.trim().parse().ok())
        .expect("a summary")
}

/// Cases 13 and 14.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blocked_reader_delays_no_report_and_keeps_its_connection() {
    let scratch = Scratch::new();
    let redis = Redis::start(&scratch.path("."));
    let id = WorkerId("w-1".into());
    let taker = Arc::new(
        Taker::connect(server(&redis), id.clone())
            .await
            .expect("connects"),
    );
    let blocked = Arc::clone(&taker);
    let reading =
        tokio::spawn(async move { blocked.take(Kind::Noop, 4).await.map(|units| units.len()) });
    tokio::time::sleep(Duration::from_millis(500)).await;
    let reads = || {
        let stats = redis.cli(&["INFO", "commandstats"]);
        let calls = stats
            .lines()
            .find_map(|line| line.strip_prefix("cmdstat_xreadgroup:calls="));
        calls
            .and_then(|calls| calls.split(',').next())
            .map_or(0, |calls| calls.parse::<u64>().expect("a count"))
    };
    let reads_before = reads();
    let mut took = Vec::new();
    for _ in 0..200 {
        let beat = Heartbeat {
            worker: id.clone(),
            held: Vec::new(),
            slots: Vec::new(),
            draining: false,
            bytes: 0,
            leaves_at: None,
        };
        let started = Instant::now();
        taker
            .report(vec![Report::Heartbeat(beat)])
            .await
            .expect("sent");
        took.push(started.elapsed());
    }
    // Were they behind the blocked read, each would wait for the end of one.
    let ended = reads() - reads_before;
    assert!(
        ended < 100,
        "{ended} reads began while 200 reports were sent"
    );
    took.sort();
    println!("reports beside a blocked reader: p50 {:?}", took[100]);
    promised(
        "99 of 100 reports beside a blocked reader",
        took[198],
        Duration::from_millis(50),
    );
    // Idle for longer than a reply may take: the same connections.
    let connections = || {
        let stats = redis.cli(&["INFO", "stats"]);
        let line = stats
            .lines()
            .find_map(|line| line.strip_prefix("total_connections_received:"));
        line.and_then(|count| count.trim().parse::<u64>().ok())
            .expect("a count")
    };
    let before = connections();
    tokio::time::sleep(Duration::from_secs(8)).await;
    // One is the question itself.
    assert_eq!(connections() - before, 1, "nobody came back");
    reading.abort();
}

/// Says that these executions are out.
fn out(executions: &[Execution]) -> IsOut {
    let executions: BTreeSet<Execution> = executions.iter().copied().collect();
    Arc::new(move |unit, epoch| executions.contains(&unit.execution(epoch)))
}

fn unit(part: i64) -> Unit {
    let task = Arc::new(TaskSpec::Noop(NoopTask {
        duration_min_us: 0,
        duration_max_us: 0,
        fail: 0.0,
    }));
    let id = UnitId::new(JobNo(1), StepNo(0), part);
    Unit {
        id,
        epoch: 1,
        attempt: 0,
        kind: Kind::Noop,
        task,
        assets: Vec::new(),
        deadline: None,
    }
}

/// Cases 8 and 24: what the dead were given is cleaned up a little at a time, nothing that is out is lost by it, and no
/// command holds the server up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_consumers_entries_are_removed_in_bounded_steps() {
    let scratch = Scratch::new();
    let redis = Redis::start(&scratch.path("."));
    let publisher = Publisher::connect(server(&redis)).await.expect("connects");
    redis.cli(&["XGROUP", "CREATE", UNITS, "workers", "0", "MKSTREAM"]);
    publisher
        .publish(Priority::Normal, vec![unit(7)])
        .await
        .expect("published");
    redis.cli(&[
        "XREADGROUP",
        "GROUP",
        "workers",
        "awaited",
        "STREAMS",
        UNITS,
        ">",
    ]);
    let fill = format!(
        "for i = 1, {PENDING} do redis.call('XADD', KEYS[1], '*', 'b', 'spent') end \
         redis.call('XREADGROUP', 'GROUP', 'workers', 'dead', 'COUNT', {PENDING}, 'STREAMS', KEYS[1], '>') return 1"
    );
    assert!(redis.cli(&["EVAL", &fill, "1", UNITS]).contains('1'));
    redis.cli(&["XGROUP", "CREATECONSUMER", UNITS, "workers", "left"]);
    assert_eq!(pending(&redis), u64::from(PENDING) + 1);
    // A look through all of it takes 70 ms and more; on a machine that is busy even a short one may take some.
    redis.cli(&["CONFIG", "SET", "slowlog-log-slower-than", "20000"]);
    redis.cli(&["SLOWLOG", "RESET"]);
    for _ in 0..20 {
        publisher
            .clean(Vec::new(), out(&[unit(7).id.execution(1)]), Duration::ZERO)
            .await
            .expect("cleans");
    }
    let slow = number(&redis, &["SLOWLOG", "LEN"]);
    assert_eq!(
        slow,
        0,
        "commands above 20 ms: {}",
        redis.cli(&["SLOWLOG", "GET"])
    );
    let left = pending(&redis);
    assert!(
        left < u64::from(PENDING) - 2_000 && left > 0,
        "a little at a time: {left}"
    );
    let consumers = redis.cli(&["XINFO", "CONSUMERS", UNITS, "workers"]);
    assert!(
        !consumers.contains("left"),
        "who holds nothing is removed: {consumers}"
    );
    assert!(
        consumers.contains("dead") && consumers.contains("awaited"),
        "who holds something stays: {consumers}"
    );
    assert!(
        !redis
            .cli(&["XPENDING", UNITS, "workers", "-", "+", "1", "awaited"])
            .trim()
            .is_empty()
    );
    publisher
        .clean(Vec::new(), out(&[]), Duration::ZERO)
        .await
        .expect("cleans");
    assert!(
        redis
            .cli(&["XPENDING", UNITS, "workers", "-", "+", "1", "awaited"])
            .trim()
            .is_empty()
    );
    // A worker that sends heartbeats keeps all its entries.
    let before = pending(&redis);
    publisher
        .clean(vec![WorkerId("dead".into())], out(&[]), Duration::ZERO)
        .await
        .expect("cleans");
    assert_eq!(pending(&redis), before);
}

/// Cases 8 and 76: the living are more than a round looks at, and the dead come after them in the server's order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_consumers_behind_many_live_ones_are_removed() {
    let scratch = Scratch::new();
    let redis = Redis::start(&scratch.path("."));
    let publisher = Publisher::connect(server(&redis)).await.expect("connects");
    redis.cli(&["XGROUP", "CREATE", UNITS, "workers", "0", "MKSTREAM"]);
    let crowd = "for i = 1, 400 do redis.call('XGROUP', 'CREATECONSUMER', KEYS[1], 'workers', 'a-' .. i) \
                 redis.call('XGROUP', 'CREATECONSUMER', KEYS[1], 'workers', 'z-' .. i) end return 1";
    assert!(redis.cli(&["EVAL", crowd, "1", UNITS]).contains('1'));
    let alive: Vec<WorkerId> = (1..=400).map(|no| WorkerId(format!("a-{no}"))).collect();
    let mut removed = Vec::new();
    for _ in 0..3 {
        let cleaned = publisher
            .clean(alive.clone(), out(&[]), Duration::ZERO)
            .await
            .expect("cleans");
        removed.push(cleaned.consumers);
    }
    assert_eq!(
        removed,
        [256, 144, 0],
        "bounded work a round, and none is left"
    );
    let left = redis.cli(&["XINFO", "CONSUMERS", UNITS, "workers"]);
    assert_eq!(
        (left.matches("a-").count(), left.matches("z-").count()),
        (400, 0)
    );
}

/// Where a unit waits is forgotten once it is out no more, also when no report of it was ever read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_of_units_that_are_out_no_more_are_forgotten() {
    let scratch = Scratch::new();
    let redis = Redis::start(&scratch.path("."));
    let publisher = Publisher::connect(server(&redis)).await.expect("connects");
    publisher
        .publish(Priority::Normal, vec![unit(1), unit(2)])
        .await
        .expect("takes them");
    let asked = || vec![unit(1).id.execution(1), unit(2).id.execution(1)];
    assert_eq!(
        publisher.lost(asked(), Vec::new()).await.expect("looks"),
        [],
        "both wait in their stream"
    );
    publisher
        .clean(Vec::new(), out(&[unit(2).id.execution(1)]), Duration::ZERO)
        .await
        .expect("cleans");
    let lost = publisher.lost(asked(), Vec::new()).await.expect("looks");
    assert_eq!(
        lost,
        [Lost {
            unit: unit(1).id,
            epoch: 1,
            holder: None,
            vanished: false
        }]
    );
}

/// Case 20.
#[test]
fn unreadable_entries_are_parked_and_others_succeed() {
    let fleet = Fleet::start();
    let coordinator = fleet.coordinator();
    let mut workers = [fleet.worker(8, &[]), fleet.worker(8, &[])];
    let job = fleet.submit(2_000, "5ms..15ms");
    fleet.wait_for(200);
    for strange in ["nonsense", "", "\u{ff}\u{ff}\u{ff}"] {
        fleet.redis.cli(&["XADD", UNITS, "*", "b", strange]);
    }
    fleet.redis.cli(&["XADD", UNITS, "*", "other", "field"]);
    wait_until("all four are parked", || {
        number(&fleet.redis, &["XLEN", "sr:parked"]) == 4
    });
    let parked = fleet.redis.cli(&["XRANGE", "sr:parked", "-", "+"]);
    assert!(parked.contains("why") && parked.contains(UNITS), "{parked}");
    fleet.assert_exact(&job, 2_000);
    wait_until("it is said", || {
        coordinator.running.stderr().contains("parked")
    });
    assert!(
        workers.iter_mut().all(|worker| !worker.has_ended()),
        "nobody fell over it"
    );
}

/// Case 38: a hundred thousand units that take no time, each title's second half behind a barrier.
#[test]
fn barriers_over_a_hundred_thousand_units_never_open_early() {
    let fleet = Fleet::start();
    let _coordinator = fleet.coordinator();
    let _workers = [fleet.worker(64, &[]), fleet.worker(64, &[])];
    let started = Instant::now();
    let job = fleet.submit(50_000, "0ms");
    let verdict = fleet.assert_exact(&job, 50_000);
    println!(
        "{:.0} units/s",
        verdict.units as f64 / started.elapsed().as_secs_f64()
    );
}

/// A control message sent while no worker reads is read at the next poll, also before the first message.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_message_between_two_reads_is_read() {
    let scratch = Scratch::new();
    let redis = Redis::start(&scratch.path("."));
    let publisher = Publisher::connect(server(&redis)).await.expect("connects");
    let id = WorkerId("w-1".into());
    let said = |name: &str| Control::Hold(WorkerId(name.into()));
    publisher
        .control(said("before it came"))
        .await
        .expect("said");
    let taker = Taker::connect(server(&redis), id).await.expect("connects");
    for round in 0..3 {
        let look = tokio::time::timeout(Duration::from_millis(700), taker.control()).await;
        assert!(look.is_err(), "nothing is said yet: {look:?}");
        let message = said(&format!("round {round}"));
        publisher.control(message.clone()).await.expect("said");
        let heard = tokio::time::timeout(Duration::from_secs(20), taker.control())
            .await
            .expect("it is heard");
        assert_eq!(heard.expect("the transport is there"), message);
    }
    // An emptied stream, whose next ids may be anything.
    redis.cli(&["FLUSHALL"]);
    redis.cli(&["XADD", CONTROL, "5-0", "b", "unreadable"]);
    publisher.control(said("after a wipe")).await.expect("said");
    let heard = tokio::time::timeout(Duration::from_secs(20), taker.control())
        .await
        .expect("it is heard");
    assert_eq!(heard.expect("the transport is there"), said("after a wipe"));
}
