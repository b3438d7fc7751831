//! A job in which every unit fails: time of the usual queries, and effect of its retry on another job.
use super::Size;
use super::gauge::{Turns, follow, longest_gap, memory};
use super::shapes::reads;
use crate::cluster::kit::Cluster;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use testkit::http::post;

const SLOTS: u32 = 1024;
const VICTIM_SLOTS: u32 = 16;
/// Time for which the other job is observed, with no other work and while failed units run again.
const CALM: Duration = Duration::from_secs(5);

fn steps(fail: u32) -> String {
    format!(
        "  - id: one\n    noop: {{ duration: 0ms, fail: {fail}% }}\n    retry: {{ attempts: 1 }}\n"
    )
}

pub(super) fn run(size: &Size) -> std::io::Result<()> {
    let cluster = Cluster::start_with(&size.settings);
    let (coordinator, address) = cluster.coordinator();
    let workers = [cluster.worker(SLOTS, None), cluster.worker(SLOTS, None)];
    cluster.job("warm", 200, &steps(0))?;
    let (warm, _) = cluster.submit("warm");
    cluster.finish(&warm);
    let turns = Turns::watch(&cluster);
    let mut rates = Vec::new();
    let mut dead = String::new();
    println!("failures, {} assets", size.units);
    for (name, fail) in [("plain", 0), ("dead", 100)] {
        cluster.job(name, size.units, &steps(fail))?;
        turns.longest();
        let (id, course) = follow(&cluster, name, size.limit);
        let (longest, (peak, _)) = (turns.longest(), memory(coordinator.pid()));
        println!(
            "  {name:<9} {:>9} units in {:>7.1} s, {:>7.0} units/s{}; longest turn {:>6.0} ms; coordinator's peak {peak:.0} MiB",
            course.ended,
            course.seconds,
            course.rate(),
            if course.complete { "" } else { " (NOT ENDED)" },
            longest * 1e3
        );
        println!(
            "{}",
            json!({ "case": "failures", "job": name, "units": course.ended, "seconds": course.seconds,
                "units_per_second": course.rate(), "complete": course.complete, "longest_turn_ms": longest * 1e3,
                "coordinator_peak_mib": peak })
        );
        rates.push(course.rate());
        dead = id;
    }
    println!(
        "  plain / dead: {:.2} (aim: at most 1.2)",
        rates[0] / rates[1]
    );
    println!(
        "{}",
        json!({ "case": "failures", "ratio": rates[0] / rates[1] })
    );
    reads("failures", &address, &dead);
    drop(workers);
    retries(&cluster, &turns, &address, &dead)?;
    println!(
        "  coordinator's peak {:.0} MiB",
        memory(coordinator.pid()).0
    );
    Ok(())
}

/// The other job's longest wait for the end of a unit: beside nothing, a dry run, a retry.
fn retries(cluster: &Cluster, turns: &Turns<'_>, address: &str, dead: &str) -> std::io::Result<()> {
    let _worker = cluster.worker(VICTIM_SLOTS, None);
    cluster.job(
        "victim",
        200_000,
        "  - id: one\n    noop: { duration: 4ms..6ms }\n",
    )?;
    let (victim, _) = cluster.submit("victim");
    let before = super::gauge::ended(address);
    crate::cluster::kit::until("the victim runs", || {
        super::gauge::ended(address) > before + 1_000.0
    });
    let started = Instant::now();
    turns.longest();
    let gap = longest_gap(address, || started.elapsed() < CALM);
    say("nothing", gap, turns.longest(), 0.0, &Value::Null);
    for dry_run in [true, false] {
        let path = format!("/api/v1/jobs/{dead}/retry");
        let started = Instant::now();
        let (answer, gap, took) = std::thread::scope(|scope| {
            let asked = scope.spawn(|| {
                let answer = post(address, &path, &json!({ "all": true, "dry_run": dry_run }));
                (answer, started.elapsed().as_secs_f64())
            });
            // A retry continues after its answer: its units run.
            let on = || !asked.is_finished() || (!dry_run && started.elapsed() < CALM);
            let gap = longest_gap(address, on);
            let (answer, took) = asked.join().expect("a request returns");
            (answer, gap, took)
        });
        let said = json!({ "status": answer.status, "body": answer.body.chars().take(200).collect::<String>() });
        say(
            if dry_run {
                "retry --all --dry-run"
            } else {
                "retry --all"
            },
            gap,
            turns.longest(),
            took,
            &said,
        );
    }
    let _ended = post(
        address,
        &format!("/api/v1/jobs/{victim}/cancel"),
        &json!({}),
    );
    Ok(())
}

fn say(beside: &str, gap: f64, longest: f64, took: f64, answer: &Value) {
    println!(
        "  another job beside {beside}: longest gap between ends {gap:.0} ms, longest turn {:.0} ms; answered after {took:.2} s: {answer}",
        longest * 1e3
    );
    println!(
        "{}",
        json!({ "case": "failures", "beside": beside, "gap_ms": gap, "longest_turn_ms": longest * 1e3, "seconds": took, "answer": answer })
    );
}
