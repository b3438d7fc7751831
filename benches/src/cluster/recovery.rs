//! Time without progress after each kind of loss.
use crate::cluster::kit::{Cluster, now_us, until};
use testkit::Running;
use testkit::process::wait_until;

const STEPS: &str = "  - id: work\n    noop: { duration: 20ms }\n";
const BACKLOG: usize = 100_000;

pub(crate) fn run() -> std::io::Result<()> {
    wiped_redis()?;
    killed_leader()?;
    killed_worker()
}

fn finished(cluster: &Cluster, address: &str) -> f64 {
    cluster.metric(address, "showrunner_units_finished_total")
}

fn say(case: &str, seconds: f64) {
    println!("{case}: {seconds:.2} s");
    println!(
        "{}",
        serde_json::json!({ "case": case, "seconds": seconds })
    );
}

/// FLUSHALL with a backlog of 100,000: until as many units have ended again as were published when it happened.
fn wiped_redis() -> std::io::Result<()> {
    let cluster = Cluster::start();
    let (_coordinator, address) = cluster.coordinator();
    let _workers = [cluster.worker(64, None), cluster.worker(64, None)];
    cluster.job("wiped", BACKLOG, STEPS)?;
    let (id, _) = cluster.submit("wiped");
    wait_until("work is under way", || {
        finished(&cluster, &address) > 2_000.0
    });
    cluster.redis.cli(&["FLUSHALL"]);
    let at = finished(&cluster, &address);
    // What was in the workers' hands at that moment ends without Redis having given it out again.
    let taken = until("new work ends", || {
        finished(&cluster, &address) > at + 1_200.0
    });
    say(
        "FLUSHALL, until units published after it have ended",
        taken.as_secs_f64(),
    );
    cluster.finish(&id);
    Ok(())
}

/// kill -9 of the leader with a standby beside it: until units end again.
fn killed_leader() -> std::io::Result<()> {
    for _ in 0..3 {
        let cluster = Cluster::start();
        let (leader, address) = cluster.coordinator();
        let (_standby, other) = cluster.coordinator();
        let _worker = cluster.worker(64, None);
        cluster.job("leader", 30_000, STEPS)?;
        let (id, _) = cluster.submit("leader");
        wait_until("work is under way", || {
            finished(&cluster, &address) > 1_000.0
        });
        leader.signal(rustix::process::Signal::KILL);
        let taken = until("the standby settles work", || {
            finished(&cluster, &other) > 0.0
        });
        say(
            "leader killed, until the standby settles",
            taken.as_secs_f64(),
        );
        cluster.finish(&id);
    }
    Ok(())
}

/// kill -9 of a worker that holds long units: until they run elsewhere.
fn killed_worker() -> std::io::Result<()> {
    let cluster = Cluster::start();
    let (_coordinator, address) = cluster.coordinator();
    let victim = cluster.worker(32, Some("victim.log"));
    cluster.job("worker", 32, "  - id: work\n    noop: { duration: 8s }\n")?;
    let (id, _) = cluster.submit("worker");
    wait_until("the victim holds everything", || {
        lines(&cluster, "victim.log", "start") == 32
    });
    let _heir: Running = cluster.worker(64, Some("heir.log"));
    victim.signal(rustix::process::Signal::KILL);
    let killed = now_us();
    wait_until("everything runs elsewhere", || {
        lines(&cluster, "heir.log", "start") == 32
    });
    say(
        "worker killed, until all its units run elsewhere (lease 15 s)",
        (now_us() - killed) as f64 / 1e6,
    );
    assert!(cluster.metric(&address, "showrunner_units_reclaimed_total") >= 32.0);
    cluster.finish(&id);
    Ok(())
}

fn lines(cluster: &Cluster, log: &str, event: &str) -> usize {
    let text = std::fs::read_to_string(cluster.scratch.path(log)).unwrap_or_default();
    text.lines()
        .filter(|line| line.split(' ').nth(4) == Some(event))
        .count()
}
