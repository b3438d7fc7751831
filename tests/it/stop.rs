//! Signals to stop, with threads that never end: a read of a network mount whose server is gone.
use crate::jobs::rehearsal;
use rustix::process::Signal;
use std::path::Path;
use testkit::process::wait_until;
use testkit::{Running, Scratch};
use tests::fleet::Fleet;

/// Longer than any test waits.
const NEVER: &str = "3600s";

/// Starts a command whose units hold their threads.
fn start_blocked(scratch: &Scratch, args: &[&str]) -> Running {
    let mut command = scratch.showrunner(args);
    command
        .env("SHOWRUNNER_REHEARSAL_BLOCK", "1")
        .env("SHOWRUNNER_REHEARSAL_LOG", scratch.path("witnesses"));
    Running::start(command, &scratch.path("."))
}

/// Waits until units hold threads.
fn wait_for_units(notes: &Path) {
    wait_until("a unit runs", || {
        std::fs::read_to_string(notes).is_ok_and(|notes| notes.contains(" start "))
    });
}

/// Sends the signal until the process has ended: two in a row may arrive as one.
fn stop_again_and_again(mut running: Running) -> i32 {
    wait_until("it ends at the second signal", || {
        running.signal(Signal::TERM);
        running.has_ended()
    });
    running.wait().code
}

#[test]
fn run_with_stuck_threads_ends_after_its_grace_period() {
    let scratch = Scratch::new();
    rehearsal(&scratch, 8, NEVER);
    let running = start_blocked(&scratch, &["run", "rehearsal.yaml", "-o", "json"]);
    wait_for_units(&scratch.path("witnesses"));
    running.signal(Signal::TERM);
    let ran = running.wait();
    ran.expect_code(130);
    assert_eq!(
        ran.json()["error"],
        "interrupted",
        "one document: {}",
        ran.stdout
    );
}

#[test]
fn up_with_stuck_threads_ends_at_the_second_signal() {
    let scratch = Scratch::new();
    rehearsal(&scratch, 8, NEVER);
    let mut running = start_blocked(&scratch, &["up", "--listen", "127.0.0.1:0"]);
    let address = running.address();
    scratch
        .remote(&address, &["job", "submit", "rehearsal.yaml"])
        .expect_code(0);
    wait_for_units(&scratch.path("witnesses"));
    assert_eq!(stop_again_and_again(running), 130);
}

#[test]
fn cluster_with_stuck_threads_ends_by_signals() {
    let fleet = Fleet::start();
    let coordinator = fleet.coordinator();
    let mut command = fleet.worker_command(8);
    command
        .env("SHOWRUNNER_REHEARSAL_BLOCK", "1")
        .args(["--grace", "1s"]);
    let worker = fleet.worker_of(command);
    fleet.submit(8, NEVER);
    wait_for_units(&fleet.scratch.path("witnesses"));
    worker.signal(Signal::TERM);
    worker.wait().expect_code(130);
    // A database that answers nothing holds the thread of the store.
    fleet.postgres.freeze(true);
    let code = stop_again_and_again(coordinator.running);
    fleet.postgres.freeze(false);
    assert!(matches!(code, 0 | 130), "{code}");
}
