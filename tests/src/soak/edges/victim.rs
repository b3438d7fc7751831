//! The job beside the rounds: small units all the time, so that any standstill of the cluster stops them. It belongs to a tenant
//! of its own: among the jobs of one tenant the one with less slack goes first, and the rounds have more to do.
use super::super::cluster::Cluster;
use std::fmt::Write;
use std::time::{Duration, Instant};

const UNITS: usize = 600;
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Between two looks; longer than this means that the soak did something else.
const UNSEEN: Duration = Duration::from_secs(2);
/// No fault keeps it from progress for this long.
const WAIT_MAX: Duration = Duration::from_secs(100);

pub(super) struct Victim {
    looked: Instant,
    submitted: usize,
    /// Units that have ended, of all of its jobs.
    ended: u64,
    moved: Instant,
    /// Since when nothing has been broken.
    calm_since: Option<Instant>,
    longest: (Duration, Duration),
    said: bool,
}

impl Victim {
    pub(super) fn new() -> Victim {
        let now = Instant::now();
        Victim {
            looked: now,
            submitted: 0,
            ended: 0,
            moved: now,
            calm_since: None,
            longest: Default::default(),
            said: false,
        }
    }

    /// Longest time without the end of a unit: at all, and while nothing was broken.
    pub(super) fn gaps(&self) -> (Duration, Duration) {
        self.longest
    }

    /// Looks how far it is, and submits it again when it has ended.
    pub(super) fn look(&mut self, cluster: &Cluster, calm: bool) {
        if self.looked.elapsed() < LOOK_EVERY {
            return;
        }
        // After a job of a million units was judged nothing is known of the time in between.
        let unseen = self.looked.elapsed() > UNSEEN;
        self.looked = Instant::now();
        self.calm_since = if calm {
            self.calm_since.or(Some(self.looked))
        } else {
            None
        };
        let answer = cluster.fleet.postgres.ask(
            &cluster.fleet.name,
            "SELECT COALESCE(SUM(step.succeeded + step.dead), 0), COUNT(*) FILTER (WHERE job.ended_at IS NULL)
             FROM job JOIN step ON step.job = job.no WHERE job.name = 'victim'",
        );
        // A database that is away makes no progress either.
        let numbers = answer.as_deref().and_then(|text| text.split_once('|'));
        let ended = numbers
            .and_then(|(ended, _)| ended.parse::<u64>().ok())
            .unwrap_or(self.ended);
        if unseen && ended > self.ended {
            self.moved = self.looked;
        }
        let gap = self.moved.elapsed();
        self.longest.0 = self.longest.0.max(gap);
        if let Some(since) = self.calm_since {
            self.longest.1 = self.longest.1.max(gap.min(since.elapsed()));
        }
        if ended > self.ended {
            (self.ended, self.moved) = (ended, Instant::now());
        }
        if numbers.is_some_and(|(_, open)| open == "0") {
            self.submit(cluster);
        }
    }

    fn submit(&mut self, cluster: &Cluster) {
        let scratch = &cluster.fleet.scratch;
        if self.submitted == 0 {
            let mut rows = String::from("asset,title,role,location\n");
            for n in 0..UNITS {
                writeln!(rows, "v{n:05},victim,document,none/{n}")
                    .expect("writing to memory cannot fail");
            }
            scratch.write("victim.csv", rows);
            scratch.write(
                "victim.yaml",
                "job: victim\ntenant: victim\nlibrary: { manifest: victim.csv }\npartition: { max_assets: 1 }\nsteps:\n  - id: one\n    \
                 noop: { duration: 20ms..200ms }\n    retry: { attempts: 20, backoff: 10ms..100ms }\n",
            );
        }
        self.submitted += 1;
        let key = format!("victim-{}", self.submitted);
        let args = [
            "job",
            "submit",
            "victim.yaml",
            "-o",
            "name",
            "-q",
            "--idempotency-key",
            &key,
        ];
        if cluster.fleet.run(&args).code == 0 {
            self.moved = Instant::now();
        }
    }

    /// That it waits for too long, once.
    pub(super) fn violation(&mut self) -> Option<String> {
        let late = self.moved.elapsed() > WAIT_MAX && !self.said;
        self.said |= late;
        late.then(|| {
            format!(
                "the job beside the rounds has not moved for {:?}",
                self.moved.elapsed()
            )
        })
    }
}
