//! Workers that stand still, that are replaced at once, and whose units hold every thread they have.
use rustix::process::Signal;
use std::time::{Duration, Instant};
use testkit::process::{promised, wait_until};
use tests::fleet::Fleet;

/// The lease and what the issue allows beyond it.
const RUNS_AGAIN_MAX: Duration = Duration::from_secs(17);

/// Cases 46, 47 and 50. One worker is killed and started again at once, one stands still beyond its lease and wakes: what
/// both held is done by others, and what the one that woke reports counts for nothing.
#[test]
fn zombie_reports_are_ignored_after_takeover() {
    let fleet = Fleet::start();
    let _coordinator = fleet.coordinator();
    let (killed, frozen) = (fleet.worker(8, &[]), fleet.worker(8, &[]));
    let job = fleet.submit(400, "200ms..400ms");
    fleet.wait_for(60);
    let notes = fleet.scratch.path("witnesses");
    [&killed, &frozen]
        .into_iter()
        .for_each(|worker| worker.wait_for_units(&notes, 8));
    let since = Instant::now();
    frozen.signal(Signal::STOP);
    killed.signal(Signal::KILL);
    let replaced = fleet.worker(64, &[]);
    assert_ne!(
        killed.worker_name(),
        replaced.worker_name(),
        "a name is of one incarnation"
    );
    let held = "SELECT COUNT(*) FROM units WHERE epoch > 1 AND state = 'succeeded'";
    wait_until("what both held was done again", || fleet.number(held) >= 16);
    promised("done again", since.elapsed(), RUNS_AGAIN_MAX);
    let before = fleet.number("SELECT COALESCE(SUM(epoch), 0) FROM units");
    frozen.signal(Signal::CONT);
    let zombie = frozen.worker_name();
    let witnesses = || std::fs::read_to_string(fleet.scratch.path("witnesses")).unwrap_or_default();
    wait_until("the one that woke ends what it had", || {
        let (starts, ends) = (format!("{zombie} start "), format!("{zombie} end "));
        witnesses().matches(&starts).count() == witnesses().matches(&ends).count()
    });
    std::thread::sleep(Duration::from_secs(1));
    let verdict = fleet.assert_exact(&job, 400);
    assert!(verdict.again >= 16, "{verdict:?}");
    let after = fleet.number("SELECT COALESCE(SUM(epoch), 0) FROM units");
    assert!(after >= before, "no epoch goes back");
    // It continues as a normal worker.
    let next = fleet.submit(200, "20ms..40ms");
    fleet.assert_exact(&next, 200);
}

/// Case 51: units that hold every thread of their worker for longer than a lease do not silence it.
#[test]
fn blocked_threads_do_not_stop_heartbeats() {
    let fleet = Fleet::start();
    let _coordinator = fleet.coordinator();
    // As many as there are threads.
    let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    let mut command = fleet.worker_command(u32::try_from(threads).unwrap_or(2));
    command.env("SHOWRUNNER_REHEARSAL_BLOCK", "1");
    let _blocked = fleet.worker_of(command);
    let job = fleet.submit(threads, "18s");
    let verdict = fleet.assert_exact(&job, threads);
    assert_eq!(verdict.again, 0, "nothing was taken back: {verdict:?}");
}
