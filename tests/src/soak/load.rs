//! The jobs of a soak: rehearsals and transfers, submitted one after the other, each judged at the end.
use super::cluster::Cluster;
use super::outcome::Outcome;
use crate::cluster::write_rehearsal;
use crate::history::{History, Rows, Witnesses, psql};
use fastrand::Rng;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::{Duration, Instant};
use testkit::content::{bytes, files};

/// Jobs that are open at a time.
const OPEN_MAX: usize = 3;
/// Files of a transfer.
const FILES: usize = 40;
const SUBMIT_EVERY: Duration = Duration::from_secs(2);
const LOOK_EVERY: Duration = Duration::from_secs(1);

enum Sort {
    /// So many assets.
    Rehearsal(usize),
    /// Into a directory of this name.
    Transfer(String),
}

struct Job {
    id: String,
    sort: Sort,
    ended: bool,
}

/// All jobs so far.
pub(super) struct Load {
    random: Rng,
    jobs: Vec<Job>,
    submitted: usize,
    next: Instant,
    looked: Instant,
    succeeded: u64,
    content: BTreeMap<String, Vec<u8>>,
}

impl Load {
    pub(super) fn new(mut random: Rng) -> Load {
        let content = (0..FILES).map(|n| {
            let length = [0, 100, 5_000, 300_000][n % 4] + random.usize(0..1_000);
            (format!("f{n:02}.bin"), bytes(random.u64(..), length))
        });
        let (content, now) = (content.collect(), Instant::now());
        Load {
            random,
            jobs: Vec::new(),
            submitted: 0,
            next: now,
            looked: now,
            succeeded: 0,
            content,
        }
    }

    pub(super) fn open(&self) -> usize {
        self.jobs.iter().filter(|job| !job.ended).count()
    }

    pub(super) fn ended(&self) -> usize {
        self.jobs.len() - self.open()
    }

    /// Whether there is nothing that could move.
    pub(super) fn is_idle(&self) -> bool {
        self.open() == 0
    }

    /// Submits another job when few are open and it is time.
    pub(super) fn keep_up(&mut self, cluster: &Cluster) {
        if self.open() >= OPEN_MAX || Instant::now() < self.next {
            return;
        }
        self.next = Instant::now() + SUBMIT_EVERY;
        if self.submitted == 0 {
            cluster.fleet.watch();
        }
        let number = self.submitted;
        let (file, sort) = if number % 4 == 3 {
            let into = format!("out-{number:04}");
            self.write_transfer(cluster, &into);
            ("transfer.yaml".to_owned(), Sort::Transfer(into))
        } else {
            let assets = self.random.usize(100..900);
            let duration = ["0ms", "1ms..30ms", "50ms..400ms", "1s..4s"][self.random.usize(0..4)];
            let assets = if duration.ends_with("4s") {
                assets / 4
            } else {
                assets
            };
            let name = format!("rehearsal-{number:04}");
            write_rehearsal(&cluster.fleet.scratch, &name, assets, duration);
            (format!("{name}.yaml"), Sort::Rehearsal(assets))
        };
        let key = format!("soak-{number}");
        let args = [
            "job",
            "submit",
            &file,
            "-o",
            "name",
            "-q",
            "--idempotency-key",
            &key,
        ];
        let ran = cluster.fleet.run(&args);
        // A database that is away says no; another job is drawn then. One whose answer was lost is there all the same,
        // and is not judged.
        self.submitted += 1;
        if ran.code == 0 {
            self.jobs.push(Job {
                id: ran.name(),
                sort,
                ended: false,
            });
        }
    }

    fn write_transfer(&self, cluster: &Cluster, into: &str) {
        let scratch = &cluster.fleet.scratch;
        let mut rows = String::from("asset,title,role,location\n");
        for (n, (name, content)) in self.content.iter().enumerate() {
            if !scratch.path(format!("in/{name}")).exists() {
                scratch.write(format!("in/{name}"), content);
            }
            writeln!(rows, "{name},t{},document,in/{name}", n % 5)
                .expect("writing to memory cannot fail");
        }
        scratch.write("transfer.csv", rows);
        let job = format!(
            "job: transfer\nlibrary: {{ manifest: transfer.csv }}\npartition: {{ max_assets: 3 }}\nsteps:\n  - id: land\n    \
             transfer: {{ to: \"file:./{into}/{{file}}\", verify: xxh128 }}\n    \
             retry: {{ attempts: 20, backoff: 10ms..100ms }}\n"
        );
        scratch.write("transfer.yaml", job);
    }

    /// Notes which jobs have ended; a server that is away answers nothing.
    pub(super) fn look(&mut self, cluster: &Cluster) {
        if self.looked.elapsed() < LOOK_EVERY {
            return;
        }
        self.looked = Instant::now();
        let ask = |statement: &str| cluster.fleet.postgres.ask(&cluster.fleet.name, statement);
        let Some(ended) = ask("SELECT id FROM job WHERE ended_at IS NOT NULL") else {
            return;
        };
        for job in &mut self.jobs {
            job.ended |= ended.lines().any(|id| id == job.id);
        }
        let units = ask("SELECT COALESCE(SUM(succeeded), 0) FROM step");
        self.succeeded = units
            .and_then(|text| text.parse().ok())
            .unwrap_or(self.succeeded);
    }

    /// Units of all jobs that had succeeded at the last look.
    pub(super) fn succeeded(&self, _: &Cluster) -> u64 {
        self.succeeded
    }

    /// Judges every job.
    pub(super) fn judge(&self, cluster: &Cluster, outcome: &mut Outcome) {
        let fleet = &cluster.fleet;
        fleet.watch();
        let witnesses = Witnesses::read(&fleet.scratch.path("witnesses"));
        let query = |statement: &str| psql(&fleet.postgres.sql(&fleet.name, statement));
        for job in &self.jobs {
            outcome.jobs += 1;
            let wrong: Vec<String> = match &job.sort {
                Sort::Rehearsal(assets) => {
                    let (verdict, violations) =
                        History::among(&job.id, &query, &witnesses).verdict(2 * *assets as u64);
                    outcome.units += verdict.units;
                    outcome.again += verdict.again;
                    outcome.adopted += verdict.adopted;
                    violations
                        .into_iter()
                        .chain(deaths(&query, &job.id))
                        .collect()
                }
                Sort::Transfer(into) => {
                    outcome.units += (FILES as u64).div_ceil(3);
                    self.judge_transfer(cluster, &job.id, into)
                }
            };
            outcome
                .violations
                .extend(wrong.into_iter().map(|what| format!("{}: {what}", job.id)));
        }
    }

    /// Every file has arrived whole, and nothing else.
    fn judge_transfer(&self, cluster: &Cluster, id: &str, into: &str) -> Vec<String> {
        let state = cluster.fleet.postgres.ask(
            &cluster.fleet.name,
            &format!("SELECT state FROM job WHERE id = '{id}'"),
        );
        let mut wrong = Vec::new();
        if state.as_deref() != Some("succeeded") {
            wrong.push(format!("it is {state:?}"));
        }
        let found = files(&cluster.fleet.scratch.path(into));
        let same = |name: &String, content: &Vec<u8>| {
            found
                .get(name)
                .and_then(|path| std::fs::read(path).ok())
                .is_some_and(|there| there == *content)
        };
        let bad = self
            .content
            .iter()
            .filter(|(name, content)| !same(name, content))
            .map(|(name, _)| name);
        wrong.extend(bad.map(|name| format!("{into}/{name} is not what was sent")));
        if found.len() > FILES {
            wrong.push(format!(
                "{into} holds {} files, {FILES} were sent",
                found.len()
            ));
        }
        wrong
    }
}

/// No unit of a rehearsal fails by itself: a dead unit was blamed for the failure of another.
fn deaths(query: &dyn Fn(&str) -> Rows, id: &str) -> Vec<String> {
    let dead = query(&format!(
        "SELECT f.step, f.part, f.reason, f.message FROM failure f JOIN job j ON j.no = f.job WHERE j.id = '{id}'"
    ));
    dead.into_iter()
        .map(|row| format!("a unit died: {}", row.join(" ")))
        .collect()
}
