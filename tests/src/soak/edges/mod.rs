//! The edges of a cluster under faults: long listings, hundreds of workers, jobs in which everything fails, a database
//! without statistics. Each round is a job that is struck in one of its phases, and judged when it has ended; another job
//! runs all the time and must make progress beside it.
mod round;
mod sizes;
mod strike;
mod victim;
mod watch;

pub use sizes::Sizes;

use super::cluster::{Cluster, Setup};
use crate::crowd::{Crowd, Makeup};
use crate::fleet::DATABASE;
use crate::history::{WATCH_POSTGRES, Witnesses};
use fastrand::Rng;
use round::{Phase, Round};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use testkit::bucket::Bucket;
use victim::Victim;
use watch::Watch;

/// Autovacuum never runs, so that no table has statistics but those that the product asks for.
const SETUP: Setup = Setup {
    settings: &["autovacuum=off"],
    workers: 3,
    slots: "noop=48,transfer=4,qc=0,sync=0",
};
/// Rounds that are open at a time.
const OPEN_MAX: usize = 2;
const TICK: Duration = Duration::from_millis(100);
const SAY_EVERY: Duration = Duration::from_secs(30);
/// Times in a row that a job may be refused: a database that restarts takes none.
const REFUSED_MAX: u32 = 200;
/// For the first start of everything.
const START_MAX: Duration = Duration::from_secs(90);
/// After a fault the cluster is given this long before it counts as whole again.
const CALM_AFTER: Duration = Duration::from_secs(12);

/// Every release of a barrier, and every barrier that was open and closes again: the row itself shows the last of each.
const RELEASES: &str = "
    CREATE TABLE soak_release (job BIGINT NOT NULL, step BIGINT NOT NULL, key TEXT NOT NULL, state TEXT NOT NULL);
    CREATE INDEX soak_release_job ON soak_release (job);
    CREATE FUNCTION soak_note() RETURNS trigger LANGUAGE plpgsql AS
      'BEGIN INSERT INTO soak_release VALUES (NEW.job, NEW.step, NEW.key, NEW.state); RETURN NULL; END';
    CREATE TRIGGER soak_noted AFTER UPDATE ON barrier FOR EACH ROW
      WHEN (OLD.state IS DISTINCT FROM NEW.state AND (OLD.state = 'released' OR NEW.state = 'released'))
      EXECUTE FUNCTION soak_note()";

/// What a soak of the edges came to.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Jobs judged.
    pub jobs: usize,
    /// What struck each phase, and how often.
    pub struck: BTreeMap<(&'static str, &'static str), u32>,
    /// Phases that no leader failover struck.
    pub missed: Vec<&'static str>,
    /// Units of those jobs.
    pub units: u64,
    /// Units that were taken back or tried again.
    pub again: u64,
    /// Faults.
    pub faults: usize,
    /// Write transactions of all coordinators.
    pub turns: u64,
    /// Largest memory of a coordinator, in MiB.
    pub memory: f64,
    /// The longest of them, in seconds, faults of the database and of the process included.
    pub longest: f64,
    /// Those above 250 ms while nothing was broken.
    pub slow: u64,
    /// Longest time without progress of the job beside the rounds: at all, and while nothing was broken.
    pub gaps: (Duration, Duration),
    /// Everything that did not hold.
    pub violations: Vec<String>,
}

/// All of it while it runs.
struct Soak {
    cluster: Cluster,
    crowd: Crowd,
    watch: Watch,
    victim: Victim,
    random: Rng,
    sizes: Sizes,
    started: Instant,
    /// Phases that have not been drawn since all of them had been.
    left: Vec<Phase>,
    /// Phases that no leader failover has struck yet, with the rounds of each that ended before.
    unmet: BTreeMap<Phase, u32>,
    drawn: usize,
    /// Times in a row that no job could be submitted.
    refused: u32,
    open: Vec<Round>,
    /// Rounds that have ended and are not judged yet.
    over: Vec<Round>,
    struck: Instant,
    witnesses: Witnesses,
    read: u64,
    outcome: Outcome,
}

/// Runs for `duration`, and until a leader failover has struck each phase, with what `seed` draws; then lets everything
/// end.
pub fn run(seed: u64, duration: Duration) -> Outcome {
    let mut soak = Soak::start(seed, Sizes::of(duration));
    let mut said = Instant::now();
    while soak.outcome.violations.len() < 20 {
        let calm = soak.started.elapsed() >= duration && soak.has_met_all();
        if calm {
            soak.cluster.heal_everything();
            if soak.open.is_empty() {
                break;
            }
        } else if soak.open.len() < OPEN_MAX && !soak.awaits_failover() {
            soak.draw(soak.started.elapsed() < duration);
        }
        soak.tick();
        if said.elapsed() >= SAY_EVERY {
            said = Instant::now();
            soak.say();
        }
        std::thread::sleep(TICK);
    }
    soak.end()
}

impl Soak {
    fn start(seed: u64, sizes: Sizes) -> Soak {
        let mut cluster = Cluster::start(&SETUP);
        let bucket = Bucket::invent(sizes.rows);
        cluster
            .fleet
            .scratch
            .write("storage.yaml", bucket.settings());
        let (started, mut violations) = (Instant::now(), Vec::new());
        while cluster.leader().is_none() {
            assert!(
                started.elapsed() < START_MAX,
                "no coordinator leads: {}",
                cluster.stories()
            );
            violations.extend(cluster.supervise());
            std::thread::sleep(TICK);
        }
        cluster.fleet.postgres.sql(DATABASE, RELEASES);
        cluster.fleet.postgres.sql(DATABASE, WATCH_POSTGRES);
        let crowd = Crowd::start(Makeup {
            port: cluster.fleet.redis.port(),
            workers: sizes.workers,
            slots: 2,
            name: "crowd".into(),
            witnesses: Some(cluster.fleet.scratch.path("witnesses")),
        });
        Soak {
            cluster,
            crowd,
            watch: Watch::start(),
            victim: Victim::new(),
            random: Rng::with_seed(seed),
            sizes,
            started: Instant::now(),
            left: Vec::new(),
            unmet: Phase::ALL.map(|phase| (phase, 0)).into(),
            drawn: 0,
            refused: 0,
            open: Vec::new(),
            over: Vec::new(),
            struck: Instant::now(),
            witnesses: Witnesses::default(),
            read: 0,
            outcome: Outcome {
                violations,
                ..Outcome::default()
            },
        }
    }

    fn log(&self) -> PathBuf {
        self.cluster.fleet.scratch.path("witnesses")
    }

    fn tell(&self, what: &str) {
        println!("{:7.1} s  {what}", self.started.elapsed().as_secs_f64());
    }

    /// Whether each phase has been struck by a leader failover, or has missed it too often.
    fn has_met_all(&self) -> bool {
        self.unmet
            .values()
            .all(|missed| *missed >= round::MISSED_MAX)
    }

    /// Whether an open round has not met its leader failover yet. Its phase may be short, so nothing that takes long is done
    /// then: no round begins, and none is judged.
    fn awaits_failover(&self) -> bool {
        self.open.iter().any(Round::awaits_failover)
    }

    /// Begins another round: each phase once before any comes again, and those first that have met no leader failover;
    /// no others unless `again`.
    fn draw(&mut self, again: bool) {
        if self.left.is_empty() {
            let open: Vec<Phase> = self.open.iter().map(Round::phase).collect();
            let unmet = self
                .unmet
                .iter()
                .filter(|(_, missed)| **missed < round::MISSED_MAX)
                .map(|(phase, _)| *phase);
            self.left = unmet.filter(|phase| !open.contains(phase)).collect();
            if self.left.is_empty() && again {
                self.left = Phase::ALL.to_vec();
            }
            self.random.shuffle(&mut self.left);
        }
        let Some(phase) = self.left.last().copied() else {
            return;
        };
        // A database that is away takes no job; the same phase is drawn at the next look.
        let drawn = (phase, self.unmet.get(&phase).copied());
        let begun = Round::begin(
            drawn,
            self.drawn,
            &self.sizes,
            &self.cluster,
            &mut self.random,
        );
        let Some(round) = begun else {
            self.refused += 1;
            if self.refused == REFUSED_MAX {
                self.outcome
                    .violations
                    .push(format!("no job of {} can be submitted", phase.name()));
            }
            return;
        };
        self.refused = 0;
        self.left.pop();
        self.drawn += 1;
        self.tell(&format!("{} begins: {}", round.id(), round.what()));
        self.open.push(round);
    }

    fn tick(&mut self) {
        self.outcome.violations.extend(self.cluster.supervise());
        let calm = self.cluster.is_whole() && self.struck.elapsed() > CALM_AFTER;
        self.watch.serve(self.cluster.addresses(), calm);
        self.victim.look(&self.cluster, calm);
        self.outcome.violations.extend(self.victim.violation());
        round::look(&self.cluster, &mut self.open);
        for number in 0..self.open.len() {
            let round = &mut self.open[number];
            if round.wants_strike(&mut self.random) {
                self.strike(number);
            }
            self.open[number].act(&mut self.cluster);
        }
        let (over, open): (Vec<Round>, Vec<Round>) = std::mem::take(&mut self.open)
            .into_iter()
            .partition(Round::is_over);
        self.open = open;
        for round in &over {
            if let Some(missed) = self
                .unmet
                .get_mut(&round.phase())
                .filter(|_| round.awaits_failover())
            {
                *missed += 1;
            }
        }
        self.over.extend(over);
        if !self.awaits_failover() {
            std::mem::take(&mut self.over)
                .into_iter()
                .for_each(|round| self.judge(&round));
        }
    }

    /// Strikes an open round. The first strike of a phase is a leader failover; without a leader it waits for the next look.
    fn strike(&mut self, number: usize) {
        let phase = self.open[number].phase();
        let (fault, what) = match self.open[number].awaits_failover() {
            true => match strike::failover(&mut self.cluster, &mut self.random) {
                Some(what) => {
                    self.unmet.remove(&phase);
                    ("leader killed", what)
                }
                None => return,
            },
            false => strike::strike(&mut self.cluster, &self.crowd, &mut self.random),
        };
        self.struck = Instant::now();
        self.outcome.faults += 1;
        *self
            .outcome
            .struck
            .entry((phase.name(), fault))
            .or_default() += 1;
        self.open[number].on_strike(&mut self.random);
        let round = &self.open[number];
        self.tell(&format!("{} ({}): {what}", round.id(), round.progress()));
    }

    fn judge(&mut self, round: &Round) {
        self.read = self.witnesses.read_on(&self.log(), self.read);
        let (verdict, violations) = round.judge(&self.cluster, &self.witnesses);
        self.witnesses.forget(round.number());
        self.tell(&format!("{} is over: {verdict:?}", round.id()));
        self.outcome.jobs += 1;
        self.outcome.units += verdict.units;
        self.outcome.again += verdict.again;
        for violation in violations {
            self.tell(&format!("VIOLATION {violation}"));
            self.outcome
                .violations
                .push(format!("{} ({}): {violation}", round.id(), round.what()));
        }
    }

    fn say(&self) {
        let seen = self.watch.seen();
        self.tell(&format!(
            "{} jobs judged, {} open, {} faults, crowd ended {}, {} turns, longest {:.2} s, {} above 250 ms in calm, {:.0} MiB, victim waited \
             {:.1?} at most ({:.1?} in calm), {} violations",
            self.outcome.jobs,
            self.open.len(),
            self.outcome.faults,
            self.crowd.ended(),
            seen.turns,
            seen.longest,
            seen.slow,
            seen.memory,
            self.victim.gaps().0,
            self.victim.gaps().1,
            self.outcome.violations.len()
        ));
    }

    fn end(mut self) -> Outcome {
        self.say();
        if !self.outcome.violations.is_empty() {
            println!("{}", self.cluster.stories());
        }
        for ((phase, fault), times) in &self.outcome.struck {
            println!("  {phase}: {fault} {times} times");
        }
        self.outcome.missed = self.unmet.keys().map(|phase| phase.name()).collect();
        let seen = self.watch.seen();
        (self.outcome.turns, self.outcome.longest, self.outcome.slow) =
            (seen.turns, seen.longest, seen.slow);
        self.outcome.memory = seen.memory;
        self.outcome.gaps = self.victim.gaps();
        self.outcome
    }
}
