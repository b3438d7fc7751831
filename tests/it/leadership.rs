//! Several coordinators of which one leads: killed, frozen, stopped, contended.
use rustix::process::Signal;
use std::time::{Duration, Instant};
use testkit::process::{promised, wait_until};
use tests::fleet::{Coordinator, DATABASE, Fleet};

/// The promise: a standby leads this soon after the leader was lost.
const FAILOVER_MAX: Duration = Duration::from_secs(5);

fn generation(fleet: &Fleet) -> u64 {
    fleet.number("SELECT generation FROM leader")
}

/// Waits until another generation has begun; how long that took.
#[track_caller]
fn failover(fleet: &Fleet, before: u64, since: Instant) -> Duration {
    wait_until("another leads", || generation(fleet) > before);
    since.elapsed()
}

/// A leader and a standby.
fn pair(fleet: &Fleet) -> (Coordinator, Coordinator) {
    let first = fleet.coordinator();
    wait_until("the first leads", || first.role() == "ready leader");
    let second = fleet.coordinator();
    assert_eq!(second.role(), "ready standby");
    (first, second)
}

#[test]
fn killed_leader_is_replaced_five_times() {
    let fleet = Fleet::start();
    let (mut leader, mut standby) = pair(&fleet);
    let _workers = [fleet.worker(16, &[]), fleet.worker(16, &[])];
    let job = fleet.submit(6_000, "5ms..40ms");
    let mut took = Vec::new();
    for round in 1..=5 {
        fleet.wait_for(round * 400);
        let before = generation(&fleet);
        let killed = Instant::now();
        leader.running.signal(Signal::KILL);
        let led = failover(&fleet, before, killed);
        let next = fleet.wait_for_progress();
        println!("killed: another leads after {led:?}, units go on {next:?} later");
        took.push(led);
        leader = standby;
        wait_until("the other leads", || leader.leads());
        standby = fleet.coordinator();
    }
    fleet.assert_exact(&job, 6_000);
    promised(
        "the slowest of five failovers",
        took.into_iter().max().unwrap_or_default(),
        FAILOVER_MAX,
    );
}

#[test]
fn stopped_leader_hands_over_at_once() {
    let fleet = Fleet::start();
    let (leader, standby) = pair(&fleet);
    let _worker = fleet.worker(16, &[]);
    let job = fleet.submit(2_000, "5ms..20ms");
    fleet.wait_for(300);
    let before = generation(&fleet);
    let asked = Instant::now();
    leader.running.signal(Signal::TERM);
    let led = failover(&fleet, before, asked);
    leader.running.wait().expect_code(0);
    promised("stopped: another leads", led, Duration::from_secs(3));
    fleet.assert_exact(&job, 2_000);
    drop(standby);
}

/// A leader that stands still beyond its lease and wakes: every write it tries is refused, it stands by, and what it had
/// read and not stored is left to its successor (case 59).
#[test]
fn frozen_leader_is_replaced_and_becomes_standby() {
    let fleet = Fleet::start();
    let (first, second) = pair(&fleet);
    let _workers = [fleet.worker(16, &[]), fleet.worker(16, &[])];
    let job = fleet.submit(6_000, "5ms..30ms");
    for round in 1..=3 {
        fleet.wait_for(round * 500);
        // A disk that blocks for seconds makes them change roles by themselves.
        wait_until("one leads", || first.leads() != second.leads());
        let (leader, other) = if first.leads() {
            (&first, &second)
        } else {
            (&second, &first)
        };
        let before = generation(&fleet);
        leader.running.signal(Signal::STOP);
        let led = failover(&fleet, before, Instant::now());
        promised("frozen: another leads", led, FAILOVER_MAX);
        fleet.wait_for_progress();
        leader.running.signal(Signal::CONT);
        wait_until("it stands by", || leader.role() == "ready standby");
        wait_until("the other leads", || other.leads());
    }
    println!(
        "{} elections for three that were needed",
        generation(&fleet) - 1
    );
    fleet.assert_exact(&job, 6_000);
}

/// Case 41: one generation writes, also while several coordinators believe that they lead; a barrier is released once.
#[test]
fn many_coordinators_have_one_leader() {
    let fleet = Fleet::start();
    let mut crowd: Vec<Coordinator> = (0..4).map(|_| fleet.coordinator()).collect();
    let _workers = [fleet.worker(32, &[]), fleet.worker(32, &[])];
    let job = fleet.submit(8_000, "1ms..10ms");
    for round in 1..=4 {
        fleet.wait_for(round * 500);
        // The lease is taken from its holder, as a clock jump would.
        fleet
            .postgres
            .sql(DATABASE, "UPDATE leader SET expires_at = 0");
        wait_until("one leads", || {
            crowd.iter().filter(|one| one.leads()).count() == 1
        });
    }
    assert!(
        crowd.iter_mut().all(|one| !one.running.has_ended()),
        "nobody ends for losing an election"
    );
    fleet.assert_exact(&job, 8_000);
}

/// Case 5: units that wait in the transport when the leader dies are adopted by the next one and not published twice.
#[test]
fn failover_units_in_redis_run_once() {
    const UNITS: usize = 30;
    let fleet = Fleet::start();
    let (leader, standby) = pair(&fleet);
    let _worker = fleet.worker(3, &[]);
    let job = fleet.submit(UNITS, "2900ms..3100ms");
    // Eight a slot are published: the last of them waits for longer than a unit is taken to be lost after.
    wait_until("the window is full", || {
        fleet
            .redis
            .cli(&["XINFO", "STREAM", "sr:{noop}:units:normal"])
            .contains("entries-added")
            && fleet.succeeded() >= 3
    });
    let before = generation(&fleet);
    leader.running.signal(Signal::KILL);
    failover(&fleet, before, Instant::now());
    wait_until("the other leads", || standby.leads());
    let verdict = fleet.assert_exact(&job, UNITS);
    assert_eq!(
        (verdict.executions, verdict.again),
        (2 * UNITS as u64, 0),
        "{verdict:?}: {}",
        standby.running.stderr()
    );
}
