//! A coordinator and workers as processes of their own over a real Redis, and a rehearsal whose history can be judged.
use crate::history::{History, Rows, Verdict, assert_within_total, sqlite, watch_sqlite};
use serde_json::Value;
use std::cell::Cell;
use std::fmt::Write;
use std::time::{Duration, Instant};
use testkit::process::{wait_until, wait_while_it_moves};
use testkit::redis::Redis;
use testkit::{Running, Scratch};

/// Titles of a rehearsal: each has a barrier.
const TITLES: usize = 40;

/// The cluster of one test.
pub struct Cluster {
    /// Its directory.
    pub scratch: Scratch,
    /// Its server.
    pub redis: Redis,
    /// Its coordinator.
    pub coordinator: Running,
    /// The coordinator's arguments, for the next one.
    arguments: Vec<String>,
}

impl Default for Cluster {
    fn default() -> Cluster {
        Cluster::start()
    }
}

impl Cluster {
    /// Redis and a coordinator, no workers yet.
    pub fn start() -> Cluster {
        let scratch = Scratch::new();
        let redis = Redis::start(&scratch.path("."));
        let url = redis.url();
        Cluster::over(scratch, redis, &["--redis", &url])
    }

    /// A coordinator with these arguments.
    pub fn over(scratch: Scratch, redis: Redis, arguments: &[&str]) -> Cluster {
        let arguments: Vec<String> = arguments
            .iter()
            .map(|&argument| argument.to_owned())
            .collect();
        let coordinator = coordinator(&scratch, &arguments);
        Cluster {
            scratch,
            redis,
            coordinator,
            arguments,
        }
    }

    /// Starts the coordinator again; the one before must have ended or been killed.
    pub fn restart_coordinator(&mut self) {
        wait_until("the coordinator has ended", || self.coordinator.has_ended());
        self.coordinator = coordinator(&self.scratch, &self.arguments);
    }

    /// A worker with 32 slots that talks to the server itself.
    pub fn worker(&self) -> Running {
        self.worker_with(&["--redis", &self.redis.url(), "--slots", "noop=32"])
    }

    /// A worker with these arguments, once it has said its name.
    pub fn worker_with(&self, arguments: &[&str]) -> Running {
        let mut command = self.scratch.showrunner(&["worker", "-v"]);
        command
            .args(arguments)
            .env("SHOWRUNNER_REHEARSAL_LOG", self.scratch.path("witnesses"));
        let worker = Running::start(command, &self.scratch.path("."));
        wait_until("the worker says its name", || {
            worker.stderr().contains("worker ")
        });
        worker
    }

    /// Submits a rehearsal: `assets` units that take `duration` each, a barrier for each title, and as many units behind
    /// the barriers. Returns its id.
    pub fn submit(&self, assets: usize, duration: &str) -> String {
        write_rehearsal(&self.scratch, "rehearsal", assets, duration);
        watch_sqlite(&self.scratch.path("data/showrunner.db"));
        self.scratch
            .run(&["job", "submit", "rehearsal.yaml", "-o", "name", "-q"])
            .name()
    }

    /// What `job get` says now.
    pub fn look(&self, job: &str) -> Value {
        let summary = self
            .scratch
            .run(&["job", "get", job, "-o", "json"])
            .expect_code(0)
            .json();
        assert_within_total(&summary);
        summary
    }

    /// Units that have succeeded.
    pub fn succeeded(&self, job: &str) -> u64 {
        self.look(job)["units"]["succeeded"].as_u64().unwrap_or(0)
    }

    /// Waits until so many units have succeeded.
    #[track_caller]
    pub fn wait_for(&self, job: &str, succeeded: u64) {
        wait_until(&format!("{succeeded} units of {job} succeeded"), || {
            self.succeeded(job) >= succeeded
        });
    }

    /// Waits until a unit more has succeeded than just now, and says how long that took.
    #[track_caller]
    pub fn wait_for_progress(&self, job: &str) -> Duration {
        let (started, before) = (Instant::now(), self.succeeded(job));
        self.wait_for(job, before + 1);
        started.elapsed()
    }

    /// Waits for the end of a rehearsal over `assets` and judges its whole history.
    #[track_caller]
    pub fn assert_exact(&self, job: &str, assets: usize) -> Verdict {
        let ended = |summary: &Value| summary["state"] != "running" && summary["state"] != "queued";
        let succeeded = Cell::new(0);
        let is_over = || {
            std::thread::sleep(Duration::from_millis(100));
            let summary = self.look(job);
            succeeded.set(summary["units"]["succeeded"].as_u64().unwrap_or(0));
            ended(&summary)
        };
        wait_while_it_moves(&format!("{job} ends"), is_over, || succeeded.get());
        let database = self.scratch.path("data/showrunner.db");
        watch_sqlite(&database);
        let query = |statement: &str| -> Rows { sqlite(&database, statement) };
        let verdict = History::read(job, &query, &self.scratch.path("witnesses"))
            .assert_exact(2 * assets as u64);
        println!("{job}: {verdict:?}");
        verdict
    }
}

/// Writes the manifest and the job file of a rehearsal: `assets` units that take `duration` each, a barrier for each title,
/// and as many units behind the barriers. A library is read after its job was submitted: those of several jobs need names of
/// their own, unless they are the same.
pub(crate) fn write_rehearsal(scratch: &Scratch, name: &str, assets: usize, duration: &str) {
    let mut rows = String::from("asset,title,role,location\n");
    for n in 0..assets {
        let title = n % TITLES;
        writeln!(rows, "a{n:06},t{title:02},document,none/{n}")
            .expect("writing to memory cannot fail");
    }
    scratch.write(format!("{name}.csv"), rows);
    let job = format!(
        "job: rehearsal\nlibrary: {{ manifest: {name}.csv }}\npartition: {{ by: title, max_assets: 1 }}\nsteps:\n\
         \x20 - id: work\n    noop: {{ duration: {duration} }}\n    retry: {{ attempts: 20, backoff: 10ms..100ms }}\n\
         \x20 - id: together\n    needs: [work]\n    barrier: {{ scope: title, require: all }}\n\
         \x20 - id: behind\n    needs: [together]\n    noop: {{ duration: 0ms }}\n"
    );
    scratch.write(format!("{name}.yaml"), job);
}

fn coordinator(scratch: &Scratch, arguments: &[String]) -> Running {
    let mut command = scratch.showrunner(&["coordinator", "--listen", "127.0.0.1:0", "-v"]);
    command.args(arguments);
    let mut running = Running::start(command, &scratch.path("."));
    running.address();
    running
}
