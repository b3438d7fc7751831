//! Random faults under load: two coordinators and four workers over PostgreSQL and a Redis with a replica, each process
//! behind proxies of its own. Jobs are submitted all the time; at the end every one of them is judged.
mod cluster;
pub mod edges;
mod fault;
mod load;
mod outcome;

pub use outcome::Outcome;

use cluster::{Cluster, Setup};
use load::Load;
use std::time::{Duration, Instant};

/// Between two lines about how it goes.
const SAY_EVERY: Duration = Duration::from_secs(30);
/// Nothing that is done to the cluster keeps it from progress for this long.
const STANDSTILL_MAX: Duration = Duration::from_secs(120);
/// For what is open when the faults end.
const END_MAX: Duration = Duration::from_secs(240);
const TICK: Duration = Duration::from_millis(100);
const SETUP: Setup = Setup {
    settings: &[],
    workers: 4,
    slots: "noop=24,transfer=4,qc=0,sync=0",
};

/// Runs for `duration` with the faults that `seed` draws, then lets everything end and judges it.
pub fn run(seed: u64, duration: Duration) -> Outcome {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut cluster = Cluster::start(&SETUP);
    let mut load = Load::new(random.fork());
    let started = Instant::now();
    let (mut said, mut moved) = (started, (started, 0));
    let mut next = started + Duration::from_secs(3);
    let mut outcome = Outcome::default();
    loop {
        let (now, calm) = (Instant::now(), started.elapsed() >= duration);
        if calm {
            cluster.heal_everything();
        } else {
            load.keep_up(&cluster);
            if now >= next {
                let what = fault::strike(&mut cluster, &mut random);
                println!("{:7.1} s  {what}", started.elapsed().as_secs_f64());
                outcome.faults += 1;
                next = Instant::now() + Duration::from_millis(random.u64(500..6_000));
            }
        }
        outcome.violations.extend(cluster.supervise());
        load.look(&cluster);
        let succeeded = load.succeeded(&cluster);
        if succeeded != moved.1 || load.is_idle() {
            moved = (Instant::now(), succeeded);
        }
        if said.elapsed() >= SAY_EVERY {
            said = Instant::now();
            println!(
                "{:7.1} s: {succeeded} units succeeded, {} jobs ended and {} open, {} faults, {} violations",
                started.elapsed().as_secs_f64(),
                load.ended(),
                load.open(),
                outcome.faults,
                outcome.violations.len()
            );
        }
        if moved.0.elapsed() > STANDSTILL_MAX || (calm && started.elapsed() > duration + END_MAX) {
            outcome
                .violations
                .push(format!("it stands still: {}", cluster.stories()));
            break;
        }
        if calm && load.open() == 0 {
            break;
        }
        std::thread::sleep(TICK);
    }
    load.judge(&cluster, &mut outcome);
    outcome
}
