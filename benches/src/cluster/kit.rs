//! A cluster of real processes to measure: PostgreSQL, Redis, coordinators, workers.
use serde_json::Value;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::process::Stdio;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use testkit::postgres::PostgresServer;
use testkit::process::get;
use testkit::redis::Redis;
use testkit::{Running, Scratch};

/// Limit of a measured job.
const PATIENCE: &str = "10m";

/// Servers and a directory; processes come and go.
pub(crate) struct Cluster {
    pub(crate) scratch: Scratch,
    pub(crate) postgres: PostgresServer,
    pub(crate) redis: Redis,
    database: String,
}

/// Processor seconds of a group of processes, own and children's.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cpu(pub(crate) f64);

impl Cluster {
    /// Fresh servers with nothing in them.
    pub(crate) fn start() -> Cluster {
        Cluster::start_with(&[])
    }

    /// Fresh servers, the database with these settings besides.
    pub(crate) fn start_with(settings: &[&str]) -> Cluster {
        let scratch = Scratch::new();
        let settings = [&["shared_buffers=1GB", "max_wal_size=8GB"], settings].concat();
        let postgres = PostgresServer::start_with(&settings);
        let redis = Redis::start(&scratch.path("."));
        let database = postgres.create_database("bench");
        Cluster {
            scratch,
            postgres,
            redis,
            database,
        }
    }

    /// Starts a coordinator; returns it and the address it serves on.
    pub(crate) fn coordinator(&self) -> (Running, String) {
        let url = self.redis.url();
        let args = [
            "coordinator",
            "--redis",
            &url,
            "--database",
            &self.database,
            "--listen",
            "127.0.0.1:0",
        ];
        let mut running = self.scratch.start(&args);
        let address = running.address();
        (running, address)
    }

    /// Starts a worker with so many noop slots that may log what it executes.
    pub(crate) fn worker(&self, slots: u32, log: Option<&str>) -> Running {
        let slots = format!("noop={slots},transfer=0,qc=0,sync=0");
        let mut command =
            self.scratch
                .showrunner(&["worker", "--redis", &self.redis.url(), "--slots", &slots]);
        if let Some(log) = log {
            command.env("SHOWRUNNER_REHEARSAL_LOG", self.scratch.path(log));
        }
        Running::start(command, &self.scratch.path("."))
    }

    /// Writes a manifest of so many assets, ten a title, and a job over it.
    pub(crate) fn job(&self, name: &str, assets: usize, steps: &str) -> std::io::Result<()> {
        self.job_of(name, assets, 10, steps)
    }

    /// The same with so many assets a title.
    pub(crate) fn job_of(
        &self,
        name: &str,
        assets: usize,
        per_title: usize,
        steps: &str,
    ) -> std::io::Result<()> {
        let mut out = BufWriter::new(File::create(self.scratch.path(format!("{name}.csv")))?);
        writeln!(out, "asset,title,role,location")?;
        for n in 0..assets {
            writeln!(
                out,
                "asset-{n:08},title-{:07},master,media/asset-{n:08}.mov",
                n / per_title
            )?;
        }
        out.flush()?;
        let job = format!(
            "job: {name}\nlibrary: {{ manifest: {name}.csv }}\npartition: {{ max_assets: 1 }}\nsteps:\n{steps}"
        );
        self.scratch.write(format!("{name}.yaml"), job);
        Ok(())
    }

    fn command(&self, args: &[&str]) -> testkit::Ran {
        let mut command = self.scratch.showrunner(args);
        command
            .env("SHOWRUNNER_DATABASE", &self.database)
            .stdin(Stdio::null());
        testkit::Ran::of(command)
    }

    /// Submits a job; returns its id and the moment (µs) before the submission.
    pub(crate) fn submit(&self, name: &str) -> (String, i64) {
        let before = now_us();
        let ran = self.command(&["job", "submit", &format!("{name}.yaml"), "-o", "name", "-q"]);
        ran.expect_code(0);
        (ran.name(), before)
    }

    /// Waits for the end of a job; returns its account and when it ended (µs).
    pub(crate) fn finish(&self, id: &str) -> (Value, i64) {
        let ran = self.command(&["job", "wait", id, "--timeout", PATIENCE, "-o", "json", "-q"]);
        ran.expect_code(0);
        let ended = self.postgres.sql(
            "bench",
            &format!("SELECT ended_at FROM job WHERE id = '{id}'"),
        );
        (
            ran.json(),
            ended.parse().expect("an ended job has a moment"),
        )
    }

    /// One number of a process's metrics; samples of the same name are summed.
    pub(crate) fn metric(&self, address: &str, name: &str) -> f64 {
        let (_, text) = get(address, "/metrics");
        let own = |line: &&str| {
            line.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with([' ', '{']))
        };
        text.lines()
            .filter(own)
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }

    /// Processor seconds of the database, the transport and these processes so far.
    pub(crate) fn cpu(&self, processes: &[&Running]) -> [Cpu; 3] {
        let ours = processes.iter().map(|p| cpu_of_tree(p.pid())).sum();
        [
            Cpu(cpu_of_tree(self.postgres.pid())),
            Cpu(cpu_of_tree(self.redis.pid())),
            Cpu(ours),
        ]
    }
}

/// The moment in microseconds UTC.
pub(crate) fn now_us() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// Least, median and greatest of some measurements.
pub(crate) fn spread(mut values: Vec<f64>) -> (f64, f64, f64) {
    values.sort_by(f64::total_cmp);
    let at = |q: f64| values[((values.len() - 1) as f64 * q).round() as usize];
    (at(0.0), at(0.5), at(1.0))
}

/// The value below which this share of the measurements lies.
pub(crate) fn quantile(values: &mut [f64], q: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * q).round() as usize]
}

/// Waits until a condition holds; returns the time it took.
pub(crate) fn until(what: &str, is_so: impl FnMut() -> bool) -> Duration {
    let started = std::time::Instant::now();
    testkit::process::wait_until(what, is_so);
    started.elapsed()
}

/// Processor seconds of a process, its ended children, and its living descendants.
fn cpu_of_tree(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields: Vec<&str> = stat
        .rsplit(") ")
        .next()
        .unwrap_or_default()
        .split(' ')
        .collect();
    // Fields 14 to 17 of proc(5): own and waited-for children's time, in hundredths of a second.
    let ticks: u64 = (11..15)
        .filter_map(|n| fields.get(n)?.parse::<u64>().ok())
        .sum();
    let children =
        std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let below: f64 = children
        .split_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .map(cpu_of_tree)
        .sum();
    ticks as f64 / 100.0 + below
}
