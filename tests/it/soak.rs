//! Random faults under load, and faults in each phase of jobs at the edges. `SHOWRUNNER_SOAK=30m` runs them for longer
//! (`make soak`, `make soak PROFILE=edges`), `SHOWRUNNER_SEED` draws the same faults again.
use protocol::quantity::Span;
use std::time::Duration;

const SHORT: Duration = Duration::from_secs(30);
/// The short form ends once a leader failover has struck each phase.
const EDGES_SHORT: Duration = Duration::ZERO;

/// Seed and length: those that were asked for, or a random seed and the length of the short form.
fn asked(short: Duration) -> (u64, Duration) {
    let asked = std::env::var("SHOWRUNNER_SOAK").ok();
    let seed = std::env::var("SHOWRUNNER_SEED")
        .ok()
        .and_then(|text| text.parse().ok());
    let seed: u64 = seed.unwrap_or_else(|| fastrand::u64(..1_000_000));
    let duration = asked.map_or(short, |text| {
        Span::parse(&text)
            .expect("SHOWRUNNER_SOAK is a length of time")
            .0
    });
    println!("SHOWRUNNER_SEED={seed}, for {duration:?}");
    (seed, duration)
}

#[test]
fn random_faults_under_load_keep_all_invariants() {
    let (seed, duration) = asked(SHORT);
    let outcome = tests::soak::run(seed, duration);
    println!(
        "seed {seed}: {} faults, {} jobs with {} units, {} of them given again, {} with a copy that lost, {} violations",
        outcome.faults,
        outcome.jobs,
        outcome.units,
        outcome.again,
        outcome.adopted,
        outcome.violations.len()
    );
    assert!(
        outcome.violations.is_empty(),
        "SHOWRUNNER_SEED={seed}:\n{}",
        outcome.violations.join("\n")
    );
    assert!(
        outcome.jobs > 2 && outcome.faults > 3,
        "a soak that does nothing proves nothing"
    );
}

#[test]
fn edges_under_faults_keep_all_invariants() {
    let (seed, duration) = asked(EDGES_SHORT);
    let outcome = tests::soak::edges::run(seed, duration);
    println!(
        "seed {seed}: {} jobs with {} units, {} of them given again, {} faults; {} turns, longest {:.2} s, {} above 250 ms while \
         nothing was broken; a coordinator took {:.0} MiB at most; the job beside them waited {:.1?} at most, {:.1?} while nothing was broken; {} violations",
        outcome.jobs,
        outcome.units,
        outcome.again,
        outcome.faults,
        outcome.turns,
        outcome.longest,
        outcome.slow,
        outcome.memory,
        outcome.gaps.0,
        outcome.gaps.1,
        outcome.violations.len()
    );
    assert!(
        outcome.violations.is_empty(),
        "SHOWRUNNER_SEED={seed}:\n{}",
        outcome.violations.join("\n")
    );
    assert!(
        outcome.missed.is_empty(),
        "SHOWRUNNER_SEED={seed}: no leader failover in {}",
        outcome.missed.join(", ")
    );
}
