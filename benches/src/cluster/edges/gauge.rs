//! Measurements from outside the process, so that they are the same for every build.
use crate::cluster::kit::Cluster;
use std::time::{Duration, Instant};
use testkit::http::ask;
use testkit::postgres::Held;
use testkit::process::get;

/// Interval between two checks of the database sessions.
const LOOK_SECONDS: f64 = 0.005;
/// Requests of each kind.
const REQUESTS: usize = 10;

/// The longest write transaction, as the database server sees it: that of a turn or of a command.
pub(super) struct Turns<'a> {
    cluster: &'a Cluster,
    _session: Held,
}

impl Turns<'_> {
    /// Starts the checks. They run in another database, so that they keep no row of this one alive.
    pub(super) fn watch(cluster: &Cluster) -> Turns<'_> {
        cluster.postgres.sql(
            "postgres",
            "CREATE TABLE longest (seconds DOUBLE PRECISION NOT NULL)",
        );
        cluster
            .postgres
            .sql("postgres", "INSERT INTO longest VALUES (0)");
        let look = format!(
            "DO $$ DECLARE age DOUBLE PRECISION; BEGIN LOOP
               SELECT MAX(EXTRACT(EPOCH FROM clock_timestamp() - xact_start)) INTO age FROM pg_stat_activity
               WHERE datname = 'bench' AND backend_type = 'client backend' AND backend_xid IS NOT NULL;
               UPDATE longest SET seconds = age WHERE seconds < age;
               COMMIT; PERFORM pg_stat_clear_snapshot(); PERFORM pg_sleep({LOOK_SECONDS});
             END LOOP; END $$"
        );
        Turns {
            cluster,
            _session: cluster.postgres.hold("postgres", &look),
        }
    }

    /// Seconds of the longest one since the last call.
    pub(super) fn longest(&self) -> f64 {
        let seconds = self
            .cluster
            .postgres
            .sql("postgres", "SELECT seconds FROM longest");
        self.cluster
            .postgres
            .sql("postgres", "UPDATE longest SET seconds = 0");
        seconds.parse().unwrap_or(0.0)
    }
}

/// Progress of a job at its end or at the limit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Course {
    pub(super) seconds: f64,
    /// Units that ended, with any result.
    pub(super) ended: u64,
    /// Whether the job ended before the limit.
    pub(super) complete: bool,
}

impl Course {
    pub(super) fn rate(&self) -> f64 {
        self.ended as f64 / self.seconds
    }
}

/// Submits a job and waits until it has ended or the limit has passed.
pub(super) fn follow(cluster: &Cluster, name: &str, limit: Duration) -> (String, Course) {
    let (id, submitted) = cluster.submit(name);
    let course = wait(cluster, &id, submitted, limit);
    (id, course)
}

/// Waits for a job that was submitted at this moment (µs).
pub(super) fn wait(cluster: &Cluster, id: &str, submitted: i64, limit: Duration) -> Course {
    let started = Instant::now();
    let sql = |statement: String| {
        cluster
            .postgres
            .ask("bench", &statement)
            .unwrap_or_default()
    };
    let mut at = String::new();
    while at.is_empty() && started.elapsed() < limit {
        std::thread::sleep(Duration::from_millis(200));
        at = sql(format!("SELECT ended_at FROM job WHERE id = '{id}'"));
    }
    let ended = sql(format!(
        "SELECT SUM(succeeded + dead + step.cancelled) FROM step JOIN job ON job.no = step.job
         WHERE job.id = '{id}' AND kind NOT IN ('barrier', 'seal')"
    ));
    let complete = !at.is_empty();
    let until = at.parse().unwrap_or_else(|_| crate::cluster::kit::now_us());
    Course {
        seconds: (until - submitted) as f64 / 1e6,
        ended: ended.parse().unwrap_or(0),
        complete,
    }
}

/// Largest resident memory of a process so far, and its memory now, in MiB.
pub(super) fn memory(pid: u32) -> (f64, f64) {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let of = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim()
            .trim_end_matches(" kB")
            .parse::<f64>()
            .ok()
            .map(|kib| kib / 1024.0)
    };
    (of("VmHWM:").unwrap_or(0.0), of("VmRSS:").unwrap_or(0.0))
}

/// Asks for a page again and again: least and greatest time in ms, and the last status.
pub(super) fn latency(address: &str, path: &str) -> (f64, f64, u16) {
    let (mut least, mut greatest, mut status) = (f64::MAX, 0.0f64, 0);
    for _ in 0..REQUESTS {
        let started = Instant::now();
        status = ask(address, "GET", path, &[], &[]).status;
        let millis = started.elapsed().as_secs_f64() * 1e3;
        (least, greatest) = (least.min(millis), greatest.max(millis));
        // One that takes seconds will not get better by being asked again.
        if greatest > 5_000.0 {
            break;
        }
    }
    (least, greatest, status)
}

/// Units that have ended on this coordinator.
pub(super) fn ended(address: &str) -> f64 {
    let (_, text) = get(address, "/metrics");
    let own = text
        .lines()
        .filter(|line| line.starts_with("showrunner_units_finished_total"));
    own.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}

/// The longest time between two looks in which no unit ended, in ms, while `is_on` holds.
pub(super) fn longest_gap(address: &str, mut is_on: impl FnMut() -> bool) -> f64 {
    let (mut seen, mut at, mut gap) = (ended(address), Instant::now(), 0.0f64);
    while is_on() {
        std::thread::sleep(Duration::from_millis(5));
        let now = ended(address);
        gap = gap.max(at.elapsed().as_secs_f64() * 1e3);
        if now > seen {
            (seen, at) = (now, Instant::now());
        }
    }
    gap
}
