//! Random faults under load. `SHOWRUNNER_SOAK=30m` runs it for longer (`make soak`), `SHOWRUNNER_SEED` draws the same faults
//! again.
use protocol::quantity::Span;
use std::time::Duration;

const SHORT: Duration = Duration::from_secs(30);

#[test]
fn random_faults_under_load_break_no_promise() {
    let seed = std::env::var("SHOWRUNNER_SEED").ok().and_then(|text| text.parse().ok());
    let seed: u64 = seed.unwrap_or_else(|| fastrand::u64(..1_000_000));
    let asked = std::env::var("SHOWRUNNER_SOAK").ok();
    let duration = asked.map_or(SHORT, |text| Span::parse(&text).expect("SHOWRUNNER_SOAK is a length of time").0);
    println!("SHOWRUNNER_SEED={seed}, for {duration:?}");
    let outcome = testkit::soak::run(seed, duration);
    println!(
        "seed {seed}: {} faults, {} jobs with {} units, {} of them given again, {} with a copy that lost, {} violations",
        outcome.faults,
        outcome.jobs,
        outcome.units,
        outcome.again,
        outcome.adopted,
        outcome.violations.len()
    );
    assert!(outcome.violations.is_empty(), "SHOWRUNNER_SEED={seed}:\n{}", outcome.violations.join("\n"));
    assert!(outcome.jobs > 2 && outcome.faults > 3, "a soak that does nothing proves nothing");
}
