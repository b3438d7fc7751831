//! Time from the end of a unit's last dependency to its start: report, settle, publish and delivery, each durable where it must be.
//!
//! The first step's units take 0 to 10 s each, all at once, so that the second step's become ready at 200 a second, evenly
//! and at random moments.
use crate::cluster::kit::{Cluster, quantile};
use std::collections::HashMap;

const UNITS: usize = 2_000;
const STEPS: &str = "  - id: before\n    noop: { duration: 0ms..10s }\n  - id: after\n    needs: [before]\n    noop: { duration: 0ms }\n";

pub(crate) fn run() -> std::io::Result<()> {
    let cluster = Cluster::start();
    let (_coordinator, _) = cluster.coordinator();
    // Every unit of the first step runs at once, and there are slots left for the second.
    let _workers = [
        cluster.worker(1_500, Some("a.log")),
        cluster.worker(1_500, Some("b.log")),
    ];
    cluster.job("latency", UNITS, STEPS)?;
    cluster.job("warm", 200, STEPS.replace("10s", "100ms").as_str())?;
    let (warm, _) = cluster.submit("warm");
    cluster.finish(&warm);
    for log in ["a.log", "b.log"] {
        std::fs::write(cluster.scratch.path(log), "")?;
    }
    let (id, _) = cluster.submit("latency");
    cluster.finish(&id);
    let mut ended: HashMap<i64, i64> = HashMap::new();
    let mut started: HashMap<i64, i64> = HashMap::new();
    for log in ["a.log", "b.log"] {
        for line in std::fs::read_to_string(cluster.scratch.path(log))?.lines() {
            // unit epoch attempt worker event nanoseconds
            let fields: Vec<&str> = line.split(' ').collect();
            let [unit, _, _, _, event, at] = fields.as_slice() else {
                continue;
            };
            let mut parts = unit.split('/');
            let (Some(step), Some(part)) = (parts.nth(1), parts.next()) else {
                continue;
            };
            let (Ok(part), Ok(at)) = (part.parse(), at.parse()) else {
                continue;
            };
            match (step, *event) {
                ("0", "end") => drop(ended.insert(part, at)),
                ("1", "start") => drop(started.insert(part, at)),
                _ => {}
            }
        }
    }
    let mut waits: Vec<f64> = started
        .iter()
        .filter_map(|(part, at)| Some((at - ended.get(part)?) as f64 / 1e6))
        .collect();
    assert_eq!(waits.len(), UNITS, "every unit was seen");
    let (p50, p99, max) = (
        quantile(&mut waits, 0.5),
        quantile(&mut waits, 0.99),
        quantile(&mut waits, 1.0),
    );
    println!(
        "from ready to started at 200 units/s, ms: p50 {p50:.2}, p99 {p99:.2}, longest {max:.2}"
    );
    println!(
        "{}",
        serde_json::json!({ "case": "latency", "p50_ms": p50, "p99_ms": p99, "max_ms": max })
    );
    Ok(())
}
