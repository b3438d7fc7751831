//! Cases 57 and 28: the leader ends as a crash would at every place between reading, committing, publishing and saying that it
//! has, at moments drawn by a seed; another takes over each time.
use std::time::Duration;
use tests::fleet::{DATABASE, Fleet};

/// Places in the coordinator: see `coordinator/src/failpoint.rs`.
const PLACES: [&str; 6] = [
    "reports-read",
    "before-commit",
    "reports-stored",
    "turn-committed",
    "units-committed",
    "units-published",
];
const ROUNDS: usize = 2;
const ASSETS: usize = 3_000;

fn seed() -> u64 {
    let asked = std::env::var("SHOWRUNNER_SEED")
        .ok()
        .and_then(|text| text.parse().ok());
    let seed = asked.unwrap_or_else(|| fastrand::u64(..1_000_000));
    println!("SHOWRUNNER_SEED={seed}");
    seed
}

#[test]
fn leader_killed_at_each_failpoint_keeps_jobs_exact() {
    let fleet = Fleet::start();
    let mut random = fastrand::Rng::with_seed(seed());
    let _workers = [fleet.worker(32, &[]), fleet.worker(32, &[])];
    let mut jobs = Vec::new();
    for place in PLACES.into_iter().cycle().take(PLACES.len() * ROUNDS) {
        let times = random.u32(1..40);
        let mut command = fleet.coordinator_command();
        command.env("SHOWRUNNER_FAILPOINT", format!("{place}:{times}"));
        // Its predecessor is dead: the next leader need not wait for the end of the lease.
        fleet
            .postgres
            .ask(DATABASE, "UPDATE leader SET expires_at = 0");
        let mut coordinator = fleet.coordinator_of(command);
        let mut looked = 0;
        while !coordinator.running.has_ended() {
            if fleet.number("SELECT COUNT(*) FROM job WHERE ended_at IS NULL") == 0 {
                jobs.push(fleet.submit(ASSETS, "5ms..20ms"));
            }
            std::thread::sleep(Duration::from_millis(50));
            looked += 1;
            assert!(
                looked < 1_200,
                "{place}:{times} is never reached: {}",
                coordinator.running.stderr()
            );
        }
        let ran = coordinator.running.wait();
        assert!(
            ran.stderr.contains(&format!("failpoint {place}")),
            "it ended for another reason: {ran:#?}"
        );
    }
    let _last = fleet.coordinator();
    for job in &jobs {
        fleet.assert_exact(job, ASSETS);
    }
}
