//! Cases 16 and 53: the clock of the transport, of a worker, of the leader and of the database is set an hour ahead and an
//! hour back while they work. Nothing is taken back for it, and the dead are still found in time.
use rustix::process::Signal;
use std::time::{Duration, Instant};
use testkit::Scratch;
use testkit::clock::Clock;
use testkit::postgres::PostgresServer;
use testkit::process::{promised, wait_until};
use testkit::redis::Redis;
use tests::fleet::Fleet;

const HOUR: i64 = 3_600;
const ASSETS: usize = 5_500;
/// Where the coordinator speaks to all workers.
const CONTROL: &str = "sr:control";
const TAKEN_BACK: &str = "SELECT COUNT(*) FROM units WHERE epoch > 1";

#[test]
fn clock_jumps_neither_expire_nor_extend_leases() {
    let scratch = Scratch::new();
    let clocks: Option<Vec<Clock>> = (0..4).map(|_| Clock::new()).collect();
    let Some([of_redis, of_worker, of_leader, of_database]) = clocks.as_deref() else {
        return;
    };
    let redis = Redis::start_under(&scratch.path("."), &["--save", ""], of_redis.environment());
    let fleet = Fleet::of(
        scratch,
        PostgresServer::start_under(&[], of_database.environment()),
        redis,
    );
    let mut command = fleet.coordinator_command();
    command.envs(of_leader.environment());
    let leader = fleet.coordinator_of(command);
    let mut command = fleet.worker_command(16);
    command.envs(of_worker.environment());
    let (set, right) = (fleet.worker_of(command), fleet.worker(16, &[]));
    let job = fleet.submit(ASSETS, "100ms..400ms");
    fleet.wait_for(100);
    let seconds = || fleet.number("SELECT extract(epoch FROM clock_timestamp())::BIGINT");
    let now = seconds();
    for (name, clock) in [
        ("redis", of_redis),
        ("worker", of_worker),
        ("leader", of_leader),
        ("database", of_database),
    ] {
        for seconds in [HOUR, -HOUR] {
            clock.set(seconds);
            std::thread::sleep(Duration::from_millis(2_200));
            fleet.wait_for_progress();
            let taken = fleet.number(TAKEN_BACK);
            assert_eq!(
                taken, 0,
                "{taken} units were taken back with the clock of the {name} at {seconds:+} s"
            );
        }
    }
    wait_until("the database has another time", || {
        (1..now).contains(&seconds())
    });
    // All clocks are an hour behind now.
    let killed = Instant::now();
    set.signal(Signal::KILL);
    let _more = fleet.worker(16, &[]);
    wait_until("what the dead one held is done again", || {
        fleet.number("SELECT COUNT(*) FROM units WHERE epoch > 1 AND state = 'succeeded'") >= 8
    });
    // Others may be ahead of it in line; by a clock that went back it would be an hour.
    promised("done again", killed.elapsed(), Duration::from_secs(60));
    // A lease that ends in an hour by the old clock keeps no other coordinator from leading.
    leader.running.signal(Signal::KILL);
    of_database.set(-2 * HOUR);
    let next = fleet.coordinator();
    wait_until("another leads", || next.leads());
    fleet.assert_exact(&job, ASSETS);
    drop(right);
}

/// Case 16, the way to the workers: after a failover to a server whose clock is behind, ids of new messages are lower than
/// those that were read before. Units of ten minutes end at once only when their worker hears that they are cancelled.
#[test]
fn control_messages_after_a_clock_step_back_are_read() {
    let mut fleet = Fleet::start();
    let _coordinator = fleet.coordinator();
    let worker = fleet.worker(4, &[]);
    let job = fleet.submit(4, "10m");
    wait_until("4 units are held", || fleet_held(&fleet) == 4);
    let ahead = fleet
        .redis
        .cli(&["TIME"])
        .lines()
        .next()
        .and_then(|text| text.trim().parse::<i64>().ok());
    let id = format!("{}-0", (ahead.expect("a time") + HOUR) * 1_000);
    fleet.redis.cli(&["XADD", CONTROL, &id, "b", "unreadable"]);
    wait_until("the worker has read what is ahead", || {
        worker.stderr().contains("control message")
    });
    fleet.run(&["job", "cancel", &job]);
    wait_until("they are given up", || fleet_held(&fleet) == 0);
    fleet.redis.kill();
    fleet.redis.restart();
    let job = fleet.submit(4, "10m");
    wait_until("4 units are held", || fleet_held(&fleet) == 4);
    fleet.run(&["job", "cancel", &job]);
    wait_until("they are given up", || fleet_held(&fleet) == 0);
}

/// Units in the hands of workers, as these say.
fn fleet_held(fleet: &Fleet) -> u64 {
    fleet.number("SELECT COALESCE(SUM(held), 0) FROM worker")
}
