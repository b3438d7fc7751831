//! Whole jobs of `noop` units through one process and SQLite: units a second, peak memory, size of the database.
//!
//! `bench job [--quick]` runs the `showrunner` binary beside it over manifests it makes, prints a table for people and one
//! JSON line. Cost per unit at a million is compared with that at a hundred thousand of the same run.
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Runs of each size; the median is quoted.
const ROUNDS: usize = 3;

struct Case {
    name: &'static str,
    assets: u64,
    assets_per_unit: u64,
    rounds: usize,
}

const CASES: [Case; 3] = [
    Case {
        name: "100,000 × 1",
        assets: 100_000,
        assets_per_unit: 1,
        rounds: ROUNDS,
    },
    Case {
        name: "1,000,000 × 1",
        assets: 1_000_000,
        assets_per_unit: 1,
        rounds: ROUNDS,
    },
    Case {
        name: "10,000,000 at 100 a unit",
        assets: 10_000_000,
        assets_per_unit: 100,
        rounds: 1,
    },
];

#[derive(Clone, Copy)]
struct Measured {
    seconds: f64,
    cpu_seconds: f64,
    peak_mib: f64,
    database_mib: f64,
}

/// Runs all sizes, or the small one with `--quick`.
pub(crate) fn run(arguments: &[String]) -> std::io::Result<()> {
    let quick = arguments.iter().any(|arg| arg == "--quick");
    let binary = std::env::current_exe()?.with_file_name("showrunner");
    let dir = tempfile::tempdir()?;
    println!(
        "{:<26} {:>10} {:>12} {:>12} {:>10} {:>10}",
        "job", "seconds", "units/s", "cpu µs/unit", "peak MiB", "db MiB"
    );
    let mut lines = Vec::new();
    for case in CASES.iter().filter(|case| !quick || case.assets <= 100_000) {
        let manifest = write_manifest(dir.path(), case)?;
        let mut runs: Vec<Measured> = (0..case.rounds)
            .map(|_| run_once(&binary, dir.path(), &manifest, case))
            .collect::<Result<_, _>>()?;
        runs.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
        let median = runs[runs.len() / 2];
        let units = case.assets / case.assets_per_unit;
        let rate = units as f64 / median.seconds;
        let cpu_us = median.cpu_seconds * 1e6 / units as f64;
        let spread = format!("{:.1}–{:.1}", runs[0].seconds, runs[runs.len() - 1].seconds);
        println!(
            "{:<26} {:>10.2} {:>12.0} {:>12.1} {:>10.0} {:>10.0}   ({spread})",
            case.name, median.seconds, rate, cpu_us, median.peak_mib, median.database_mib
        );
        lines.push((case, median, rate, cpu_us));
        std::fs::remove_file(&manifest)?;
    }
    if let [(_, _, _, small), (_, _, _, large), ..] = lines.as_slice() {
        println!(
            "cost per unit at 1,000,000 is {:.2} × that at 100,000",
            large / small
        );
    }
    let json: Vec<serde_json::Value> = lines
        .iter()
        .map(|(case, m, rate, cpu_us)| {
            serde_json::json!({ "job": case.name, "assets": case.assets, "seconds": m.seconds, "units_per_second": rate,
                "cpu_us_per_unit": cpu_us, "peak_mib": m.peak_mib, "database_mib": m.database_mib })
        })
        .collect();
    println!("{}", serde_json::Value::Array(json));
    Ok(())
}

fn write_manifest(dir: &Path, case: &Case) -> std::io::Result<PathBuf> {
    let path = dir.join("library.csv");
    let mut out = BufWriter::new(File::create(&path)?);
    writeln!(out, "asset,title,role,location")?;
    for n in 0..case.assets {
        writeln!(
            out,
            "asset-{n:08},title-{:07},master,media/asset-{n:08}.mov",
            n / 10
        )?;
    }
    out.flush()?;
    std::fs::write(
        dir.join("job.yaml"),
        format!(
            "job: bench\nlibrary: {{ manifest: library.csv }}\npartition: {{ max_assets: {} }}\nsteps:\n  - id: work\n    noop: {{ duration: 0ms }}\n",
            case.assets_per_unit
        ),
    )?;
    Ok(path)
}

fn run_once(binary: &Path, dir: &Path, _manifest: &Path, case: &Case) -> std::io::Result<Measured> {
    let data = dir.join("data");
    let started = Instant::now();
    let mut child = Command::new(binary)
        .args(["run", "job.yaml", "--data", "data", "-o", "json"])
        .current_dir(dir)
        .stdout(Stdio::piped())
        .spawn()?;
    let (mut peak_kib, mut ticks) = (0, 0);
    let status = loop {
        // The kernel keeps the high-water mark; the last look before the end has it.
        if let Some((peak, cpu)) = usage(child.id()) {
            (peak_kib, ticks) = (peak_kib.max(peak), ticks.max(cpu));
        }
        if let Some(status) = child.try_wait()? {
            break status;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let seconds = started.elapsed().as_secs_f64();
    let output = child
        .stdout
        .take()
        .map(std::io::read_to_string)
        .transpose()?
        .unwrap_or_default();
    let summary: serde_json::Value = serde_json::from_str(&output)?;
    let expected = case.assets / case.assets_per_unit;
    assert!(
        status.success() && summary["units"]["succeeded"] == expected,
        "the job did not run as it should: {output}"
    );
    let database = std::fs::metadata(data.join("showrunner.db"))?.len();
    std::fs::remove_dir_all(&data)?;
    Ok(Measured {
        seconds,
        cpu_seconds: ticks as f64 / 100.0,
        peak_mib: peak_kib as f64 / 1024.0,
        database_mib: database as f64 / (1024.0 * 1024.0),
    })
}

/// Peak resident KiB and processor ticks (hundredths of a second on Linux) of a process.
fn usage(pid: u32) -> Option<(u64, u64)> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let peak = status
        .lines()
        .find_map(|l| l.strip_prefix("VmHWM:"))?
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .ok()?;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit(") ").next()?.split(' ').collect();
    let ticks = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some((peak, ticks))
}
