//! Workers that leave: unstarted units are returned at once, running ones are finished or returned, and no attempt is used.
use rustix::process::Signal;
use std::time::{Duration, Instant};
use testkit::process::{promised, wait_until};
use tests::fleet::Fleet;

/// Units that wait for their turn at a worker or in the transport.
const OUT: &str = "SELECT COUNT(*) FROM units WHERE state = 'leased'";

/// Attempts used by anybody.
const ATTEMPTS: &str = "SELECT COALESCE(MAX(attempt), 0) FROM unit";

/// Entries that a worker has read and not acknowledged.
fn pending(fleet: &Fleet) -> usize {
    let summary = fleet
        .redis
        .cli(&["XPENDING", "sr:{noop}:units:normal", "workers"]);
    summary
        .lines()
        .next()
        .and_then(|count| count.trim().parse().ok())
        .unwrap_or(0)
}

#[test]
fn drain_returns_unstarted_units_and_finishes_running_ones() {
    let fleet = Fleet::start();
    let _coordinator = fleet.coordinator();
    let leaving = fleet.worker(2, &["--grace", "30s"]);
    let job = fleet.submit(120, "1s");
    fleet.wait_for(2);
    let asked = Instant::now();
    leaving.signal(Signal::TERM);
    let ran = leaving.wait();
    let took = asked.elapsed();
    ran.expect_code(0);
    // Two units of a second run to their end; a read under way ends within two.
    promised(
        "running units end and the worker with them",
        took,
        Duration::from_secs(8),
    );
    // Units that it had read are returned; unread ones wait in the transport for the next worker.
    wait_until("nothing is with the worker that left", || {
        pending(&fleet) == 0 && fleet.number(OUT) <= 4
    });
    // A lease of the dead would last longer.
    promised(
        "what had not started is back",
        asked.elapsed(),
        Duration::from_secs(10),
    );
    assert_eq!(fleet.number(ATTEMPTS), 0);
    let _next = fleet.worker(64, &[]);
    let verdict = fleet.assert_exact(&job, 120);
    assert!(verdict.again > 0, "something went back: {verdict:?}");
    assert_eq!(fleet.number(ATTEMPTS), 0);
}

#[test]
fn drain_returns_units_past_the_grace_without_an_attempt() {
    let fleet = Fleet::start();
    let _coordinator = fleet.coordinator();
    let leaving = fleet.worker(4, &["--grace", "500ms"]);
    let job = fleet.submit(8, "45s");
    wait_until("units run", || {
        leaving.stderr().contains("worker ") && fleet.number(OUT) >= 4
    });
    std::thread::sleep(Duration::from_secs(1));
    let asked = Instant::now();
    leaving.signal(Signal::TERM);
    leaving.wait().expect_code(0);
    promised("the grace ends", asked.elapsed(), Duration::from_secs(8));
    wait_until("nothing is out", || fleet.number(OUT) == 0);
    promised("what ran is back", asked.elapsed(), Duration::from_secs(10));
    assert_eq!(fleet.number(ATTEMPTS), 0);
    fleet.run(&["job", "cancel", &job]).expect_code(0);
}

#[test]
fn second_signal_ends_a_draining_worker() {
    let fleet = Fleet::start();
    let _coordinator = fleet.coordinator();
    let worker = fleet.worker(4, &["--grace", "10m"]);
    fleet.submit(8, "10m");
    wait_until("units run", || fleet.number(OUT) >= 4);
    worker.signal(Signal::TERM);
    std::thread::sleep(Duration::from_millis(500));
    let asked = Instant::now();
    worker.signal(Signal::TERM);
    worker.wait().expect_code(130);
    promised(
        "the second signal ends it",
        asked.elapsed(),
        Duration::from_secs(3),
    );
}

/// Case 49: killed at the end of its grace, it is a dead worker like any other.
#[test]
fn killed_draining_worker_is_replaced_after_its_lease() {
    let fleet = Fleet::start();
    let _coordinator = fleet.coordinator();
    let leaving = fleet.worker(8, &["--grace", "10m"]);
    let job = fleet.submit(200, "500ms..1s");
    fleet.wait_for(8);
    let _next = fleet.worker(64, &[]);
    leaving.signal(Signal::TERM);
    std::thread::sleep(Duration::from_millis(100));
    leaving.signal(Signal::KILL);
    fleet.assert_exact(&job, 200);
}
