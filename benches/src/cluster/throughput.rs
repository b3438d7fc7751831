//! Units of zero length, from the submission of the job to its open barrier.
use crate::cluster::kit::{Cluster, spread};

const WORKERS: usize = 2;
const SLOTS: u32 = 1024;
const STEPS: &str = "  - id: work\n    noop: { duration: 0ms }\n  - id: all\n    needs: [work]\n    barrier: { scope: job, require: all }\n";

pub(crate) fn run(quick: bool) -> std::io::Result<()> {
    let sizes: &[(usize, usize)] = if quick {
        &[(100_000, 1)]
    } else {
        &[(100_000, 3), (1_000_000, 3)]
    };
    println!(
        "{:>10} {:>10} {:>22} {:>30}",
        "units", "seconds", "units/s (spread)", "cpu µs/unit: pg, redis, ours"
    );
    for (units, rounds) in sizes {
        let mut rates = Vec::new();
        let mut costs = Vec::new();
        for _ in 0..*rounds {
            let (seconds, cost) = round(*units)?;
            rates.push(*units as f64 / seconds);
            costs.push(cost);
        }
        let (least, median, most) = spread(rates);
        let mean = |n: usize| costs.iter().map(|c| c[n]).sum::<f64>() / costs.len() as f64;
        let cost = [mean(0), mean(1), mean(2)];
        println!(
            "{units:>10} {:>10.2} {median:>10.0} ({least:.0}–{most:.0}) {:>10.1} {:>6.1} {:>6.1}",
            *units as f64 / median,
            cost[0],
            cost[1],
            cost[2]
        );
        println!(
            "{}",
            serde_json::json!({ "case": "throughput", "units": units, "units_per_second": [least, median, most],
                "cpu_us_per_unit": { "postgres": cost[0], "redis": cost[1], "showrunner": cost[2] } })
        );
    }
    Ok(())
}

/// Seconds, and processor microseconds a unit of database, transport and our processes.
fn round(units: usize) -> std::io::Result<(f64, [f64; 3])> {
    let cluster = Cluster::start();
    let (coordinator, _) = cluster.coordinator();
    let workers: Vec<_> = (0..WORKERS).map(|_| cluster.worker(SLOTS, None)).collect();
    cluster.job("bench", units, STEPS)?;
    // The first job pays for connections and prepared statements.
    cluster.job("warm", 200, STEPS)?;
    let (warm, _) = cluster.submit("warm");
    cluster.finish(&warm);
    let mut processes = vec![&coordinator];
    processes.extend(&workers);
    let before = cluster.cpu(&processes);
    let (id, started) = cluster.submit("bench");
    let (account, ended) = cluster.finish(&id);
    assert_eq!(account["units"]["succeeded"], units, "{account:#}");
    assert_eq!(account["barriers"][0]["released"], 1, "{account:#}");
    let after = cluster.cpu(&processes);
    let cost = std::array::from_fn(|n| (after[n].0 - before[n].0) * 1e6 / units as f64);
    Ok(((ended - started) as f64 / 1e6, cost))
}
