//! Coordinators and workers as processes of their own over a real PostgreSQL and a real Redis, any number of each.
use crate::cluster::write_rehearsal;
use crate::history::{History, Verdict, WATCH_POSTGRES, assert_within_total, psql};
use serde_json::Value;
use std::process::Command;
use std::time::{Duration, Instant};
use testkit::postgres::PostgresServer;
use testkit::process::{get, wait_until, wait_while_it_moves};
use testkit::redis::Redis;
use testkit::{Ran, Running, Scratch};

/// The database of a fleet.
pub const DATABASE: &str = "showrunner";

/// The servers of one test, and the URLs that its processes get.
pub struct Fleet {
    /// Its directory.
    pub scratch: Scratch,
    /// Its database server.
    pub postgres: PostgresServer,
    /// Its transport.
    pub redis: Redis,
    /// URL that coordinators and commands use: the server itself, or a proxy before it.
    pub database: String,
    /// Name of the database on the server.
    pub name: String,
    /// URL of the transport that coordinators and workers use: the server itself, or a proxy before it.
    pub transport: String,
}

/// A coordinator that serves.
pub struct Coordinator {
    /// The process.
    pub running: Running,
    /// Where it serves.
    pub address: String,
}

impl Coordinator {
    /// Body of `/readyz`; empty when there is no answer in time.
    pub fn role(&self) -> String {
        let answer = std::panic::catch_unwind(|| get(&self.address, "/readyz"));
        answer.map_or_else(|_| String::new(), |(_, body)| body.trim().to_owned())
    }

    /// Whether `/readyz` reports a leader.
    pub fn leads(&self) -> bool {
        self.role().contains("leader")
    }
}

impl Default for Fleet {
    fn default() -> Fleet {
        Fleet::start()
    }
}

impl Fleet {
    /// Servers with nothing in them.
    pub fn start() -> Fleet {
        Fleet::over(PostgresServer::start())
    }

    /// The same over a database server that is there already.
    pub fn over(postgres: PostgresServer) -> Fleet {
        let scratch = Scratch::new();
        let redis = Redis::start(&scratch.path("."));
        Fleet::of(scratch, postgres, redis)
    }

    /// The same over both servers.
    pub fn of(scratch: Scratch, postgres: PostgresServer, redis: Redis) -> Fleet {
        let database = postgres.create_database(DATABASE);
        let transport = redis.url();
        Fleet {
            scratch,
            postgres,
            redis,
            database,
            name: DATABASE.into(),
            transport,
        }
    }

    /// The command of a coordinator.
    pub fn coordinator_command(&self) -> Command {
        let (url, database) = (&self.transport, &self.database);
        let args = [
            "coordinator",
            "--redis",
            url,
            "--database",
            database,
            "--listen",
            "127.0.0.1:0",
            "-v",
        ];
        self.scratch.showrunner(&args)
    }

    /// A coordinator, once it serves.
    pub fn coordinator(&self) -> Coordinator {
        self.coordinator_of(self.coordinator_command())
    }

    /// A coordinator started by this command, once it serves.
    pub fn coordinator_of(&self, command: Command) -> Coordinator {
        let mut running = Running::start(command, &self.scratch.path("."));
        let address = running.address();
        Coordinator { running, address }
    }

    /// A worker with so many slots, once it has said its name.
    pub fn worker(&self, slots: u32, more: &[&str]) -> Running {
        let mut command = self.worker_command(slots);
        command.args(more);
        self.worker_of(command)
    }

    /// The command of a worker with so many slots.
    pub fn worker_command(&self, slots: u32) -> Command {
        let slots = format!("noop={slots},transfer=0,qc=0,sync=0");
        let mut command = self.scratch.showrunner(&[
            "worker",
            "--redis",
            &self.transport,
            "--slots",
            &slots,
            "-v",
        ]);
        command.env("SHOWRUNNER_REHEARSAL_LOG", self.scratch.path("witnesses"));
        command
    }

    /// A worker started by this command, once it has said its name.
    pub fn worker_of(&self, command: Command) -> Running {
        let worker = Running::start(command, &self.scratch.path("."));
        wait_until("the worker says its name", || {
            worker.stderr().contains("worker ")
        });
        worker
    }

    /// Runs a command against the database to its end.
    pub fn run(&self, args: &[&str]) -> Ran {
        let mut command = self.scratch.showrunner(args);
        command.env("SHOWRUNNER_DATABASE", &self.database);
        Ran::of(command)
    }

    /// Submits a rehearsal as [`crate::cluster::Cluster::submit`] does.
    pub fn submit(&self, assets: usize, duration: &str) -> String {
        write_rehearsal(&self.scratch, "rehearsal", assets, duration);
        // The first command makes the schema.
        self.run(&["job", "list"]);
        self.watch();
        self.run(&["job", "submit", "rehearsal.yaml", "-o", "name", "-q"])
            .name()
    }

    /// Has the database note each release of a barrier; one that is away notes nothing.
    pub fn watch(&self) {
        drop(self.postgres.ask(&self.name, WATCH_POSTGRES));
    }

    /// What `job get` says now.
    pub fn look(&self, job: &str) -> Value {
        let summary = self
            .run(&["job", "get", job, "-o", "json"])
            .expect_code(0)
            .json();
        assert_within_total(&summary);
        summary
    }

    /// One number from the server itself, past every proxy; 0 while it does not answer.
    pub fn number(&self, statement: &str) -> u64 {
        self.postgres
            .poll(&self.name, statement)
            .and_then(|text| text.parse().ok())
            .unwrap_or(0)
    }

    /// Units of all jobs that have succeeded.
    pub fn succeeded(&self) -> u64 {
        self.number(
            "SELECT COALESCE(SUM(succeeded), 0) FROM step WHERE kind NOT IN ('barrier', 'seal')",
        )
    }

    /// Waits until so many units have succeeded.
    #[track_caller]
    pub fn wait_for(&self, succeeded: u64) {
        wait_until(&format!("{succeeded} units succeeded"), || {
            self.succeeded() >= succeeded
        });
    }

    /// Waits until a unit more has succeeded than just now, and says how long that took.
    #[track_caller]
    pub fn wait_for_progress(&self) -> Duration {
        let (started, before) = (Instant::now(), self.succeeded());
        self.wait_for(before + 1);
        started.elapsed()
    }

    /// Units that succeed in a second, measured for this long.
    pub fn rate(&self, over: Duration) -> f64 {
        let (started, before) = (Instant::now(), self.succeeded());
        std::thread::sleep(over);
        (self.succeeded() - before) as f64 / started.elapsed().as_secs_f64()
    }

    /// Waits for the end of a rehearsal over `assets` and judges its whole history.
    #[track_caller]
    pub fn assert_exact(&self, job: &str, assets: usize) -> Verdict {
        let open = format!("SELECT COUNT(*) FROM job WHERE id = '{job}' AND ended_at IS NULL");
        let is_over = || {
            std::thread::sleep(Duration::from_millis(100));
            self.postgres.poll(&self.name, &open).as_deref() == Some("0")
        };
        wait_while_it_moves(&format!("{job} ends"), is_over, || self.succeeded());
        self.watch();
        let query = |statement: &str| psql(&self.postgres.sql(&self.name, statement));
        let verdict = History::read(job, &query, &self.scratch.path("witnesses"))
            .assert_exact(2 * assets as u64);
        println!("{job}: {verdict:?}");
        verdict
    }
}
