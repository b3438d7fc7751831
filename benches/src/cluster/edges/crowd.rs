//! Hundreds of workers, simulated: heartbeats and units over a real Redis, at the cost of one thread.
use super::Size;
use super::gauge::{Turns, follow, memory};
use crate::cluster::kit::Cluster;
use serde_json::json;
use std::time::{Duration, Instant};
use testkit::Running;
use tests::crowd::{Crowd, Makeup};

const SLOTS: u32 = 4;
const IDLE: Duration = Duration::from_secs(10);
/// Failures that the coordinator remembers when it is idle.
const FAILURES: usize = 10_000;
/// Per cent of the workers that vanish at the end.
const VANISH: usize = 30;
/// Time until a silent worker counts as gone and its memory is free.
const GONE: Duration = Duration::from_secs(45);
const PLAIN: &str = "  - id: one\n    noop: { duration: 0ms..1ms }\n";
const FAILING: &str =
    "  - id: one\n    noop: { duration: 0ms..1ms, fail: 100% }\n    retry: { attempts: 1 }\n";

/// One cluster, first with two real workers, then with so many.
pub(super) fn run(size: &Size, workers: usize) -> std::io::Result<()> {
    let cluster = Cluster::start_with(&size.settings);
    let (coordinator, _address) = cluster.coordinator();
    // Work for a minute, not for ten: what counts here is the number of workers.
    let units = size.units / 10;
    println!("{workers} workers, {units} units");
    let turns = Turns::watch(&cluster);
    cluster.job("plain", units, PLAIN)?;
    let pair = [cluster.worker(512, None), cluster.worker(512, None)];
    let plain = job(&cluster, size, &turns, "plain", "two real workers");
    drop(pair);
    // Libraries are listed by a real one.
    let _lister = cluster.worker(0, None);
    idle(&cluster, &coordinator, "no workers");
    let crowd = Crowd::start(Makeup {
        port: cluster.redis.port(),
        workers,
        slots: SLOTS,
        name: "crowd".into(),
        witnesses: None,
    });
    std::thread::sleep(Duration::from_secs(4));
    idle(&cluster, &coordinator, "all idle");
    let many = job(&cluster, size, &turns, "plain", "all of them");
    cluster.job("failing", FAILURES.min(units), FAILING)?;
    job(&cluster, size, &turns, "failing", "all of them");
    idle(&cluster, &coordinator, "failures are remembered");
    let after = job(
        &cluster,
        size,
        &turns,
        "plain",
        "all of them, with failures",
    );
    let vanish = workers * VANISH / 100;
    crowd.leave(vanish);
    std::thread::sleep(GONE);
    idle(&cluster, &coordinator, &format!("{vanish} are gone"));
    println!(
        "  two real workers / all: {:.2}, with failures {:.2} (aim: at most 1.2)",
        plain / many,
        plain / after
    );
    println!(
        "{}",
        json!({ "case": "workers", "workers": workers, "ratio": plain / many, "ratio_with_failures": plain / after })
    );
    Ok(())
}

fn job(cluster: &Cluster, size: &Size, turns: &Turns<'_>, name: &str, by: &str) -> f64 {
    turns.longest();
    let (_, course) = follow(cluster, name, size.limit);
    let longest = turns.longest();
    println!(
        "  {name} by {by}: {} units in {:.1} s, {:.0} units/s{}; longest turn {:.0} ms",
        course.ended,
        course.seconds,
        course.rate(),
        if course.complete { "" } else { " (NOT ENDED)" },
        longest * 1e3
    );
    println!(
        "{}",
        json!({ "case": "workers", "job": name, "by": by, "units": course.ended, "seconds": course.seconds,
            "units_per_second": course.rate(), "complete": course.complete, "longest_turn_ms": longest * 1e3 })
    );
    course.rate()
}

/// Processor share of an idle coordinator, and its memory.
fn idle(cluster: &Cluster, coordinator: &Running, what: &str) {
    let cpu = || cluster.cpu(&[coordinator])[2].0;
    let (before, started) = (cpu(), Instant::now());
    std::thread::sleep(IDLE);
    let share = (cpu() - before) / started.elapsed().as_secs_f64() * 100.0;
    let (peak, now) = memory(coordinator.pid());
    println!("  idle, {what}: {share:.1} % of a core (aim: under 5), {now:.0} MiB, peak {peak:.0}");
    println!(
        "{}",
        json!({ "case": "workers", "idle": what, "cpu_percent": share, "mib": now, "peak_mib": peak })
    );
}
