//! What a database server may do to a cluster: restart, end sessions, lose replies, turn read-only, hold old rows.
use protocol::failure::Failure;
use protocol::id::{JobNo, Kind, StepNo, UnitId, WorkerId};
use protocol::model::slot_count::SlotCount;
use protocol::wire::report::{Heartbeat, Outcome, Report, UnitResult};
use rustix::process::Signal;
use std::future::Future;
use std::time::{Duration, Instant};
use testkit::process::{promised, times_are_asserted, wait_until};
use testkit::proxy::Proxy;
use tests::fleet::{DATABASE, Fleet};
use transport::{Server, Settings};
use worker::queue::redis::RedisQueue;
use worker::queue::{QueueError, WorkQueue};

/// How soon throughput is back.
const BACK_MAX: Duration = Duration::from_secs(120);

/// When nearly all of it is, as the case says.
const WHOLE_MAX: Duration = Duration::from_secs(30);

type Restart = fn(&mut Fleet);

/// Jobs of units that take 40 ms, as many as it takes to keep the workers busy.
struct Load<'a> {
    fleet: &'a Fleet,
    jobs: Vec<String>,
}

impl Load<'_> {
    const ASSETS: usize = 16_000;

    /// Submits another job when the work left may not last for another measurement.
    fn top_up(&mut self, ahead: f64) {
        let asked = (self.jobs.len() * Load::ASSETS) as f64;
        if self.fleet.succeeded() as f64 + ahead > asked {
            self.jobs.push(self.fleet.submit(Load::ASSETS, "40ms"));
        }
    }

    /// Units a second over two seconds, with enough work for them.
    fn rate(&mut self, usual: f64) -> f64 {
        self.top_up(4.0 * usual);
        self.fleet.rate(Duration::from_secs(2))
    }
}

/// Case 60. Throughput is measured by the same load before and after.
#[test]
fn database_restarts_of_each_kind_restore_throughput() {
    let mut fleet = Fleet::start();
    let _coordinator = fleet.coordinator();
    let _workers = [fleet.worker(20, &[]), fleet.worker(20, &[])];
    let mut jobs = vec![fleet.submit(Load::ASSETS, "40ms")];
    fleet.wait_for(2_000);
    let before = fleet.rate(Duration::from_secs(4));
    let kinds: [(&str, Restart); 3] = [
        ("fast", |fleet| {
            fleet.postgres.stop();
            fleet.postgres.restart();
        }),
        ("immediate", |fleet| {
            fleet.postgres.stop_immediate();
            fleet.postgres.restart();
        }),
        ("backends", |fleet| {
            let others = "SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE pid <> pg_backend_pid()";
            for _ in 0..20 {
                fleet.postgres.sql(DATABASE, others);
                std::thread::sleep(Duration::from_millis(25));
            }
        }),
    ];
    for (kind, restart) in kinds {
        let started = Instant::now();
        restart(&mut fleet);
        let stopped = started.elapsed();
        let mut load = Load {
            fleet: &fleet,
            jobs,
        };
        let mut rate = 0.0;
        while rate < 0.5 * before {
            assert!(
                started.elapsed() < BACK_MAX + stopped,
                "{kind}: {rate} units/s instead of {before}"
            );
            rate = load.rate(before);
        }
        // Beside other tests the rate may stay below 95 % for good: only a machine of its own waits for that.
        while times_are_asserted()
            && rate < 0.95 * before
            && started.elapsed() < WHOLE_MAX + stopped
        {
            rate = load.rate(before);
        }
        jobs = load.jobs;
        let whole = if rate < 0.95 * before {
            Duration::MAX
        } else {
            started.elapsed().saturating_sub(stopped)
        };
        if times_are_asserted() {
            promised(&format!("{kind}: 95 % of the throughput"), whole, WHOLE_MAX);
        }
        println!(
            "{kind}: {before:.0} units/s before, {rate:.0} after {:?} ({stopped:?} of it away)",
            started.elapsed()
        );
    }
    for job in &jobs {
        fleet.assert_exact(job, Load::ASSETS);
    }
}

/// Case 58: the server commits, the reply never comes.
#[test]
fn lost_commit_replies_change_no_counts() {
    let mut fleet = Fleet::start();
    let proxy = Proxy::start(fleet.postgres.port());
    fleet.database = fleet.database.replace(
        &format!(":{}/", fleet.postgres.port()),
        &format!(":{}/", proxy.port()),
    );
    let mut coordinator = fleet.coordinator();
    let _worker = fleet.worker(32, &[]);
    let job = fleet.submit(6_000, "2ms..20ms");
    for lost in 1..=8 {
        fleet.wait_for(lost * 500);
        proxy.lose_reply_to(b"COMMIT");
        wait_until("a reply is lost", || proxy.lost_replies() >= lost);
    }
    fleet.assert_exact(&job, 6_000);
    assert!(
        !coordinator.running.has_ended(),
        "a lost reply is no reason to end: {}",
        coordinator.running.stderr()
    );
}

/// Case 67: after a failover a connection may be to what is now a replica.
#[test]
fn read_only_server_is_left() {
    let fleet = Fleet::start();
    let _coordinator = fleet.coordinator();
    let _worker = fleet.worker(16, &[]);
    let job = fleet.submit(3_000, "5ms..20ms");
    fleet.wait_for(300);
    let set = |on: &str| {
        fleet.postgres.sql(
            DATABASE,
            &format!("ALTER SYSTEM SET default_transaction_read_only = {on}"),
        );
        fleet.postgres.sql(DATABASE, "SELECT pg_reload_conf()");
    };
    set("on");
    std::thread::sleep(Duration::from_secs(2));
    let stuck = fleet.succeeded();
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(fleet.succeeded(), stuck, "nothing is written to a replica");
    fleet
        .postgres
        .ask(DATABASE, "ALTER SYSTEM RESET default_transaction_read_only");
    fleet.postgres.sql(DATABASE, "SELECT pg_reload_conf()");
    fleet.wait_for_progress();
    fleet.assert_exact(&job, 3_000);
}

/// Case 61: a server that says nothing for a while ends in a timeout and a new connection, not in a loop that hangs.
#[test]
fn hanging_server_times_out_and_is_used_again() {
    let mut fleet = Fleet::start();
    let proxy = Proxy::start(fleet.postgres.port());
    fleet.database = fleet.database.replace(
        &format!(":{}/", fleet.postgres.port()),
        &format!(":{}/", proxy.port()),
    );
    let first = fleet.coordinator();
    let _worker = fleet.worker(16, &[]);
    let job = fleet.submit(3_000, "5ms..20ms");
    fleet.wait_for(500);
    proxy.blackhole(true);
    // A second coordinator reaches the server directly and takes over.
    let direct = fleet.postgres.url_of(DATABASE);
    fleet.database = direct;
    let second = fleet.coordinator();
    wait_until("the one that reaches the server leads", || second.leads());
    fleet.wait_for_progress();
    proxy.blackhole(false);
    wait_until("the first stands by", || first.role() == "ready standby");
    fleet.assert_exact(&job, 3_000);
}

/// Case 62: a transaction that stays open keeps old versions of rows alive. Its cost is counted in pages read for each
/// unit: the rate depends on the machine and on its other load.
#[test]
fn old_snapshot_at_most_doubles_pages_per_unit() {
    let fleet = Fleet::start();
    let _coordinator = fleet.coordinator();
    let _workers = [fleet.worker(64, &[]), fleet.worker(64, &[])];
    // The server counts pages with a delay of up to a second. Units of this length make each window several times longer,
    // however fast the machine is.
    let job = fleet.submit(40_000, "40ms..80ms");
    let pages =
        format!("SELECT blks_hit + blks_read FROM pg_stat_database WHERE datname = '{DATABASE}'");
    // Units a second and pages a unit while the next so many are done.
    let measure = |units: u64| {
        let (started, done, looked_at) = (Instant::now(), fleet.succeeded(), fleet.number(&pages));
        fleet.wait_for(done + units);
        let (done, looked_at) = (fleet.succeeded() - done, fleet.number(&pages) - looked_at);
        (
            done as f64 / started.elapsed().as_secs_f64(),
            looked_at as f64 / done as f64,
        )
    };
    fleet.wait_for(2_000);
    let (rate, before) = measure(12_000);
    let holder = fleet.postgres.hold(
        DATABASE,
        "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT COUNT(*) FROM unit",
    );
    let (rate_held, held) = measure(12_000);
    println!(
        "{rate:.0} units/s and {before:.1} pages each, {rate_held:.0} and {held:.1} with an old snapshot held"
    );
    assert!(
        held <= before * 2.0,
        "{before} pages a unit before, {held} with an old snapshot"
    );
    drop(holder);
    fleet.assert_exact(&job, 40_000);
}

/// Case 40: operators and the leader write the same rows in every order.
#[test]
fn operators_and_leader_never_deadlock() {
    let fleet = Fleet::start();
    let _coordinator = fleet.coordinator();
    let _workers = [fleet.worker(32, &[]), fleet.worker(32, &[])];
    let jobs: Vec<String> = (0..3).map(|_| fleet.submit(2_000, "1ms..10ms")).collect();
    std::thread::scope(|scope| {
        for shift in 0..2 {
            let (fleet, jobs) = (&fleet, &jobs);
            scope.spawn(move || {
                for round in 0..6 {
                    let job = &jobs[(round + shift) % jobs.len()];
                    for verb in ["pause", "resume"] {
                        let ran = fleet.run(&["job", verb, job]);
                        assert!([0, 6].contains(&ran.code), "{ran:#?}");
                    }
                }
            });
        }
    });
    for job in &jobs {
        let ran = fleet.run(&["job", "resume", job]);
        assert!([0, 6].contains(&ran.code), "{ran:#?}");
    }
    for job in &jobs {
        fleet.assert_exact(job, 2_000);
    }
    let deadlocks = format!("SELECT deadlocks FROM pg_stat_database WHERE datname = '{DATABASE}'");
    assert_eq!(fleet.number(&deadlocks), 0);
}

/// Case 76: a crowd of workers opens no database connection at all, and only so many to the transport.
#[test]
fn many_workers_open_no_database_connection() {
    let fleet = Fleet::start();
    let coordinator = fleet.coordinator();
    wait_until("it leads", || coordinator.leads());
    let connections = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = 'showrunner' AND pid <> pg_backend_pid()";
    let before = fleet.number(connections);
    let workers: Vec<_> = (0..40).map(|_| fleet.worker(2, &[])).collect();
    let job = fleet.submit(4_000, "1ms..5ms");
    fleet.wait_for(1_000);
    // The leader opens one more, to read ahead of what it hands out.
    assert!(
        fleet.number(connections) <= before + 1,
        "workers have no database"
    );
    let clients = fleet.redis.cli(&["INFO", "clients"]);
    let connected = clients
        .lines()
        .find_map(|line| line.strip_prefix("connected_clients:"))
        .unwrap_or("0");
    let connected: usize = connected.trim().parse().expect("a number");
    assert!(
        connected <= workers.len() * 8,
        "{connected} connections of {} workers",
        workers.len()
    );
    fleet.assert_exact(&job, 4_000);
    for worker in &workers {
        worker.signal(Signal::TERM);
    }
}

/// Ticks of the processor that a process uses over rounds of heartbeats.
async fn ticks_of_rounds<F: Future<Output = Result<(), QueueError>>>(
    pid: u32,
    rounds: usize,
    tell: impl Fn(usize) -> F,
) -> u64 {
    let ticks = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process runs");
        let fields = stat
            .rsplit(") ")
            .next()
            .unwrap_or_default()
            .split(' ')
            .skip(11)
            .take(2);
        fields
            .map(|ticks| ticks.parse::<u64>().expect("a number"))
            .sum::<u64>()
    };
    let before = ticks();
    for round in 0..rounds {
        tell(round).await.expect("sent");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    ticks() - before
}

/// Case 76: the cost of many workers for the transport is counted in commands: heartbeats, and the periodic questions of a
/// coordinator. One failed unit is remembered, so that the health of all workers is evaluated.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_workers_with_a_known_failure_cost_few_commands() {
    const WORKERS: usize = 250;
    const ROUNDS: usize = 5;
    const OUTCOMES: usize = 2_000;
    let fleet = Fleet::start();
    let coordinator = fleet.coordinator();
    wait_until("it leads", || coordinator.leads());
    let server = Server::new(&Settings {
        url: fleet.redis.url(),
        ..Settings::default()
    })
    .expect("an address");
    let queue = RedisQueue::connect(server, WorkerId("crowd".into()))
        .await
        .expect("connects");
    let name = |no: usize| WorkerId(format!("crowd-{no:03}"));
    let beat = |no: usize| {
        Report::Heartbeat(Heartbeat {
            worker: name(no),
            held: Vec::new(),
            slots: vec![SlotCount {
                kind: Kind::Noop,
                total: 1,
                free: 1,
            }],
            draining: false,
            bytes: 0,
            leaves_at: None,
        })
    };
    let end = |no: usize, part: i64, result: UnitResult| {
        let unit = UnitId::new(JobNo(9_999), StepNo(0), part);
        Report::Settled(Outcome {
            unit,
            epoch: 1,
            worker: name(no),
            result,
            duration_us: 1,
        })
    };
    let well = || UnitResult::Finished {
        facts: Vec::new(),
        failures: Vec::new(),
    };
    let sick = UnitResult::Failed(Failure::transient("tool_failed", "m"));
    let mut ends = vec![end(0, 1, sick)];
    ends.extend((0..WORKERS).map(|no| end(no, 2 + no as i64, well())));
    queue.report(ends).await.expect("sent");
    // Each round has news about the unit that failed, so that the health of all workers is checked again.
    let news = |round: usize| {
        let beats = (0..WORKERS).map(beat);
        beats
            .chain([end(1 + round, 1, well())])
            .collect::<Vec<Report>>()
    };
    // The work of health checks is counted in ticks of the processor: with little to remember, and with much.
    let pid = coordinator.running.pid();
    let few = ticks_of_rounds(pid, ROUNDS, |round| queue.report(news(round))).await;
    for remembered in 1..=OUTCOMES {
        let outcome = |no: usize| end(no, (remembered * WORKERS + no) as i64 + 1_000, well());
        queue
            .report((0..WORKERS).map(outcome).collect())
            .await
            .expect("sent");
    }
    wait_until("all reports are read", || {
        fleet.redis.cli(&["XLEN", "sr:reports"]).trim() == "0"
    });
    let many = ticks_of_rounds(pid, ROUNDS, |round| queue.report(news(round))).await;
    println!("{few} ticks with one outcome a worker, {many} with {OUTCOMES}");
    assert!(
        many <= 3 * few + 50,
        "{few} ticks with one outcome a worker, {many} with {OUTCOMES}"
    );
    let commands = || {
        let stats = fleet.redis.cli(&["INFO", "stats"]);
        let line = stats
            .lines()
            .find_map(|line| line.strip_prefix("total_commands_processed:"));
        line.and_then(|count| count.trim().parse::<u64>().ok())
            .expect("a count")
    };
    let (started, before) = (Instant::now(), commands());
    for _ in 0..ROUNDS {
        for no in 0..WORKERS {
            queue.report(vec![beat(no)]).await.expect("sent");
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    let (asked, seconds) = (commands() - before, started.elapsed().as_secs() + 1);
    // A heartbeat is written, read and deleted, many of them at once. By time alone a coordinator asks a few things a
    // second, and every ten seconds for the consumers of each stream.
    let most = 3 * (ROUNDS * WORKERS) as u64 + 40 * seconds;
    println!(
        "{asked} commands for {} heartbeats in {seconds} s",
        ROUNDS * WORKERS
    );
    assert!(asked <= most, "{asked} commands, {most} are enough");
    let known = fleet.run(&["worker", "list", "-o", "json"]).json();
    let working = known
        .as_array()
        .expect("a list")
        .iter()
        .filter(|worker| worker["state"] == "working")
        .count();
    assert_eq!(
        working, WORKERS,
        "all of them are heard, and none is put aside"
    );
}
