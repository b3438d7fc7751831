//! Streams that vanish: before their group exists again, trimmed under their readers, under load.
use rustix::process::Signal;
use testkit::Running;
use testkit::process::wait_until;
use tests::fleet::Fleet;

const UNITS: &str = "sr:{noop}:units:normal";

/// Lines that say that something is wrong.
fn lines(running: &Running) -> usize {
    running
        .stderr()
        .lines()
        .filter(|line| line.contains("ERROR") || line.contains("WARN"))
        .count()
}

/// Case 2: the coordinator fills the streams of a wiped server while every worker stands still, so their keys are there
/// before any group is.
#[test]
fn entries_added_before_the_group_are_read() {
    let fleet = Fleet::start();
    let _coordinator = fleet.coordinator();
    let workers = [fleet.worker(16, &[]), fleet.worker(16, &[])];
    let job = fleet.submit(3_000, "2ms..10ms");
    fleet.wait_for(500);
    workers
        .iter()
        .for_each(|worker| worker.signal(Signal::STOP));
    fleet.redis.cli(&["FLUSHALL"]);
    let length = || {
        fleet
            .redis
            .cli(&["XLEN", UNITS])
            .trim()
            .parse()
            .unwrap_or(0)
    };
    wait_until("the streams are filled again", || length() > 0);
    assert!(
        !fleet
            .redis
            .cli(&["XINFO", "GROUPS", UNITS])
            .contains("workers"),
        "nobody has made the group"
    );
    workers
        .iter()
        .for_each(|worker| worker.signal(Signal::CONT));
    fleet.assert_exact(&job, 3_000);
}

/// Case 9: entries are trimmed away, read and unread ones alike. And case 1: while it is wiped again and again nobody says
/// more than it has to.
#[test]
fn trimmed_units_are_republished_without_a_flood() {
    let fleet = Fleet::start();
    let coordinator = fleet.coordinator();
    let workers = [fleet.worker(16, &[]), fleet.worker(16, &[])];
    let job = fleet.submit(3_000, "5ms..20ms");
    for round in 1..=3 {
        fleet.wait_for(round * 300);
        fleet.redis.cli(&["XTRIM", UNITS, "MAXLEN", "0"]);
    }
    let started = std::time::Instant::now();
    for round in 1..=4 {
        fleet.wait_for(900 + round * 300);
        fleet.redis.cli(&["FLUSHALL"]);
    }
    fleet.assert_exact(&job, 3_000);
    let seconds = started.elapsed().as_secs() as usize + 4;
    for running in workers.iter().chain([&coordinator.running]) {
        assert!(
            lines(running) <= 2 * seconds,
            "{} lines in {seconds} s: {}",
            lines(running),
            running.stderr()
        );
    }
}
