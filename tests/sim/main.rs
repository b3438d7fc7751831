//! Seeded simulation of the cluster: the real engine, collector, rescuer and leases over the store in memory, in virtual
//! time, with a transport and processes that fail. One seed is one run, the same every time.
//!
//! `SHOWRUNNER_SIM_SEED=n` replays one seed with its event log, `SHOWRUNNER_SIM_SEEDS=n` runs more of them, from
//! `SHOWRUNNER_SIM_FROM=n` on. Seeds that
//! once found something are kept in `seeds/` and run every time.

mod effects;
mod faults;
mod history;
mod invariants;
mod model;
mod network;
mod operators;
mod process;
mod rescue;
mod scenario;
mod stats;
mod tend;
mod worker;
mod world;

use faults::Plant;
use stats::Stats;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;
use world::World;

const SEEDS: u64 = 300;
/// Seeds within which a planted bug is caught.
const PLANT_SEEDS: u64 = 200;

/// What a run showed: its counts and the digest of its event log, or what was wrong with the last events.
fn run(seed: u64, plant: Option<Plant>) -> Result<(Stats, u64), String> {
    let mut world = World::new(seed, plant);
    // Production code asserts its own invariants in debug builds: its panics are findings like any other.
    let verdict = catch_unwind(AssertUnwindSafe(|| world.run())).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        Err(text
            .or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()))
            .unwrap_or_default())
    });
    match verdict {
        Ok(()) => Ok((world.stats, world.history.digest)),
        Err(what) => Err(format!(
            "seed {seed}: {what}\n\n{}\n\nthe last events:\n{}\n\nreplay: SHOWRUNNER_SIM_SEED={seed} cargo nextest run \
             --workspace -E 'binary(sim)' --no-capture",
            world.outline(),
            world.history.tail()
        )),
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

#[test]
fn many_seeds() {
    let seeds = match number("SHOWRUNNER_SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => {
            let first = number("SHOWRUNNER_SIM_FROM").unwrap_or(0);
            first..first + number("SHOWRUNNER_SIM_SEEDS").unwrap_or(SEEDS)
        }
    };
    let (started, count, mut all) = (Instant::now(), seeds.end - seeds.start, Stats::default());
    let mut failed: Vec<String> = Vec::new();
    for seed in seeds {
        match run(seed, None) {
            Ok((stats, _)) => all.add(&stats),
            Err(report) => {
                println!("{}", report.lines().next().unwrap_or_default());
                failed.push(report);
            }
        }
    }
    let per_minute = count as f64 / started.elapsed().as_secs_f64() * 60.0;
    println!("{count} seeds, {per_minute:.0} a minute: {all:?}");
    let lines: Vec<&str> = failed
        .iter()
        .filter_map(|report| report.lines().next())
        .collect();
    assert!(
        failed.is_empty(),
        "{} of {count} seeds failed:\n{}\n\n{}",
        failed.len(),
        lines.join("\n"),
        failed[0]
    );
    if count >= SEEDS {
        assert_not_vacuous(&all);
    }
}

/// A simulation in which work does not get done, or nothing goes wrong, would pass for the wrong reason.
fn assert_not_vacuous(all: &Stats) {
    assert!(
        all.succeeded * 2 > all.units,
        "less than half of all units succeeded: {all:?}"
    );
    assert!(
        all.jobs.iter().all(|n| *n > 0),
        "no job ended in one of the ways a job can end: {all:?}"
    );
    let happened = [
        all.lost,
        all.rejected,
        all.retried,
        all.taken_back,
        all.copies,
        all.withdrawn,
        all.splits,
        all.released,
        all.held,
        all.redriven,
        all.effects_refused,
        all.store_errors,
        all.coordinator_deaths,
        all.worker_deaths,
        all.torn,
        all.fruitless,
    ];
    assert!(
        all.parked > 0 && all.quarantined > 0,
        "no unit was parked or no worker put aside: {all:?}"
    );
    assert!(
        happened.iter().all(|n| *n > 10),
        "something hardly ever happened: {all:?}"
    );
}

#[test]
fn a_seed_repeats_itself() {
    for seed in 0..10 {
        let digest = |_| run(seed, None).map(|(_, digest)| digest);
        assert_eq!(digest(()), digest(()), "seed {seed}");
    }
}

#[test]
fn saved_seeds() {
    let files = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("sim/seeds");
    let mut ran = 0;
    for entry in std::fs::read_dir(files).expect("the saved seeds are part of the source") {
        let path = entry.expect("the directory can be listed").path();
        let text = std::fs::read_to_string(&path).expect("a saved seed can be read");
        for line in text
            .lines()
            .filter(|line| !line.starts_with('#') && !line.trim().is_empty())
        {
            let seed = line.trim().parse().expect("a saved seed is a number");
            if let Err(report) = run(seed, None) {
                panic!("{}: {report}", path.display());
            }
            ran += 1;
        }
    }
    assert!(ran > 0, "there are saved seeds");
}

#[test]
fn planted_bugs() {
    for plant in Plant::ALL {
        let caught = (0..PLANT_SEEDS)
            .find_map(|seed| run(seed, Some(plant)).err().map(|report| (seed, report)));
        let Some((seed, report)) = caught else {
            panic!("{plant:?} was not caught in {PLANT_SEEDS} seeds");
        };
        println!(
            "{plant:?}: caught after {} seeds: {}",
            seed + 1,
            report.lines().next().unwrap_or_default()
        );
    }
}
