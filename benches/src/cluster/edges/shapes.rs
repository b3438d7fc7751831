//! Jobs with a barrier for each title: every asset a title of its own, or all of them one.
use super::Size;
use super::gauge::{Turns, follow, latency, memory};
use crate::cluster::kit::Cluster;

const SLOTS: u32 = 1024;
const PLAIN: &str = "  - id: one\n    noop: { duration: 0ms }\n  - id: two\n    needs: [one]\n    noop: { duration: 0ms }\n";
const BARRIERS: &str = "  - id: one\n    noop: { duration: 0ms }\n  - id: all\n    needs: [one]\n    \
                        barrier: { scope: title, require: all }\n  - id: two\n    needs: [all]\n    noop: { duration: 0ms }\n";

/// Runs the plain job and the one with barriers in one cluster.
pub(super) fn run(size: &Size, case: &str, per_title: usize) -> std::io::Result<()> {
    let cluster = Cluster::start_with(&size.settings);
    let (coordinator, address) = cluster.coordinator();
    let workers = [cluster.worker(SLOTS, None), cluster.worker(SLOTS, None)];
    cluster.job("warm", 200, PLAIN)?;
    let (warm, _) = cluster.submit("warm");
    cluster.finish(&warm);
    let turns = Turns::watch(&cluster);
    let mut rates = Vec::new();
    let mut last = String::new();
    println!("{case}, {} assets, {per_title} a title", size.units);
    for (name, steps) in [("plain", PLAIN), ("barriers", BARRIERS)] {
        cluster.job_of(name, size.units, per_title, steps)?;
        turns.longest();
        let (id, course) = follow(&cluster, name, size.limit);
        let (longest, (peak, _)) = (turns.longest(), memory(coordinator.pid()));
        let worker = workers
            .iter()
            .map(|worker| memory(worker.pid()).0)
            .fold(0.0, f64::max);
        println!(
            "  {name:<9} {:>9} units in {:>7.1} s, {:>7.0} units/s{}; longest turn {:>6.0} ms; peak MiB: coordinator {peak:.0}, worker {worker:.0}",
            course.ended,
            course.seconds,
            course.rate(),
            if course.complete { "" } else { " (NOT ENDED)" },
            longest * 1e3
        );
        println!(
            "{}",
            serde_json::json!({ "case": case, "job": name, "assets": size.units, "units": course.ended, "seconds": course.seconds,
                "units_per_second": course.rate(), "complete": course.complete, "longest_turn_ms": longest * 1e3,
                "coordinator_peak_mib": peak, "worker_peak_mib": worker })
        );
        rates.push(course.rate());
        last = id;
    }
    println!(
        "  plain / barriers: {:.2} (aim: at most 1.2)",
        rates[0] / rates[1]
    );
    println!(
        "{}",
        serde_json::json!({ "case": case, "ratio": rates[0] / rates[1] })
    );
    reads(case, &address, &last);
    Ok(())
}

/// Response times of the usual queries about a job.
pub(super) fn reads(case: &str, address: &str, id: &str) {
    let mut paths = vec![("job get".to_owned(), format!("/api/v1/jobs/{id}"))];
    paths.push((
        "unit list".into(),
        format!("/api/v1/jobs/{id}/units?limit=10"),
    ));
    for state in ["dead", "leased", "cancelled", "ready", "succeeded"] {
        paths.push((
            format!("unit list --state {state}"),
            format!("/api/v1/jobs/{id}/units?state={state}&limit=10"),
        ));
    }
    for (what, path) in paths {
        let (least, greatest, status) = latency(address, &path);
        println!(
            "  {what:<28} {least:>8.1} to {greatest:>8.1} ms, status {status} (aim: at most 100 ms)"
        );
        println!(
            "{}",
            serde_json::json!({ "case": case, "read": what, "least_ms": least, "greatest_ms": greatest, "status": status })
        );
    }
}
