//! Units of 5 ms over more and more workers, between a tenth and nine tenths of the job.
use crate::cluster::kit::Cluster;
use std::time::Instant;

const SLOTS: u32 = 16;
const STEPS: &str = "  - id: work\n    noop: { duration: 5ms }\n";

pub(crate) fn run() -> std::io::Result<()> {
    println!(
        "{:>8} {:>10} {:>12} {:>10}",
        "workers", "units/s", "of linear", "cores"
    );
    let mut single = 0.0;
    for workers in [1usize, 2, 4, 8] {
        let units = 15_000 * workers;
        let cluster = Cluster::start();
        let (coordinator, address) = cluster.coordinator();
        let running: Vec<_> = (0..workers).map(|_| cluster.worker(SLOTS, None)).collect();
        cluster.job("warm", 200, STEPS)?;
        let (warm, _) = cluster.submit("warm");
        cluster.finish(&warm);
        cluster.job("scale", units, STEPS)?;
        let before = cluster.metric(&address, "showrunner_units_finished_total");
        let (id, _) = cluster.submit("scale");
        let mut processes = vec![&coordinator];
        processes.extend(&running);
        let mut marks = Vec::new();
        for share in [0.1, 0.9] {
            let wanted = before + units as f64 * share;
            let mut seen = 0.0;
            crate::cluster::kit::until("units finish", || {
                seen = cluster.metric(&address, "showrunner_units_finished_total");
                seen >= wanted
            });
            let cpu: f64 = cluster.cpu(&processes).iter().map(|c| c.0).sum();
            marks.push((Instant::now(), seen, cpu));
        }
        cluster.finish(&id);
        let seconds = marks[1].0.duration_since(marks[0].0).as_secs_f64();
        let rate = (marks[1].1 - marks[0].1) / seconds;
        let cores = (marks[1].2 - marks[0].2) / seconds;
        if workers == 1 {
            single = rate;
        }
        let linear = rate / (single * workers as f64);
        println!("{workers:>8} {rate:>10.0} {linear:>12.3} {cores:>10.2}");
        println!(
            "{}",
            serde_json::json!({ "case": "scale", "workers": workers, "units_per_second": rate, "of_linear": linear, "cores": cores })
        );
    }
    Ok(())
}
