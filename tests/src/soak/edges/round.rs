//! One job that is struck in one of its phases, and judged when it has ended.
use super::super::cluster::Cluster;
use super::sizes::Sizes;
use crate::history::{Expected, History, Rows, Verdict, Witnesses, psql};
use fastrand::Rng;
use std::fmt::Write;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use testkit::http::send;
use testkit::scratch::Scratch;

/// For a job, and for each of its units.
const END_MAX: Duration = Duration::from_secs(240);
const UNIT_MAX: Duration = Duration::from_millis(3);
const ANSWER_MAX: Duration = Duration::from_secs(40);
/// Faults in one round.
const STRIKES: std::ops::Range<u32> = 1..4;
/// Rounds of a phase that end before a leader failover strikes them, in a row, at most.
pub(super) const MISSED_MAX: u32 = 5;
const BETWEEN_MS: std::ops::Range<u64> = 300..6_000;
/// From a request to the coordinator to the first strike.
const FIRST_MS: std::ops::Range<u64> = 0..400;
const NOOP: &str =
    "    noop: { duration: 0ms..2ms }\n    retry: { attempts: 20, backoff: 10ms..100ms }\n";

/// Assets of one unit and bytes of a location: a unit of 3.4 MB, a unit of 7 MB, a report of 3 MB, a report of 4.3 MB. The
/// limit of both is 4 MiB.
const LONG: [(usize, usize); 4] = [(6_000, 270), (12_500, 270), (30_000, 20), (40_000, 20)];
/// Assets of a unit where the listing is what counts.
const LISTED_A_UNIT: usize = 20;
/// Units with long messages in a job, at least.
const LONG_UNITS: usize = 2;

/// When a job is struck.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// While its folder is listed.
    Folder,
    /// While its manifest is listed.
    Manifest,
    /// While its bucket is listed.
    Bucket,
    /// When its first units are handed out.
    Publishing,
    /// At any moment while its units run.
    Running,
    /// When the barriers of its titles are released.
    Titles,
    /// When the one barrier of the job is released.
    Release,
    /// When all of its units, which have failed, are retried.
    Retry,
    /// When it is cancelled.
    Cancellation,
    /// When its messages are near the limit of their size or above it.
    Messages,
}

impl Phase {
    pub(super) const ALL: [Phase; 10] = [
        Phase::Folder,
        Phase::Manifest,
        Phase::Bucket,
        Phase::Publishing,
        Phase::Running,
        Phase::Titles,
        Phase::Release,
        Phase::Retry,
        Phase::Cancellation,
        Phase::Messages,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Phase::Folder => "listing of a folder",
            Phase::Manifest => "listing of a manifest",
            Phase::Bucket => "listing of a bucket",
            Phase::Publishing => "publishing",
            Phase::Running => "running",
            Phase::Titles => "barriers of titles",
            Phase::Release => "barrier of the job",
            Phase::Retry => "retry",
            Phase::Cancellation => "cancellation",
            Phase::Messages => "messages at the limit",
        }
    }

    /// Assets of its job.
    fn assets(self, sizes: &Sizes) -> usize {
        match self {
            Phase::Folder | Phase::Manifest | Phase::Bucket => sizes.rows,
            Phase::Titles => sizes.titles,
            Phase::Retry => sizes.failures,
            Phase::Publishing | Phase::Running | Phase::Release | Phase::Cancellation => {
                sizes.rows / 4
            }
            // Each job draws its own.
            Phase::Messages => 0,
        }
    }

    /// Whether it is about the listing: units hold many assets then.
    fn lists(self) -> bool {
        matches!(self, Phase::Folder | Phase::Manifest | Phase::Bucket)
    }

    fn steps(self) -> String {
        let barrier = |scope: &str| {
            format!(
                "  - id: one\n{NOOP}  - id: all\n    needs: [one]\n    barrier: {{ scope: {scope}, require: all }}\n  \
                 - id: two\n    needs: [all]\n{NOOP}"
            )
        };
        match self {
            Phase::Titles => barrier("title"),
            Phase::Release => barrier("job"),
            Phase::Retry => {
                "  - id: one\n    noop: { duration: 0ms..2ms, fail: 100% }\n    retry: { attempts: 1 }\n".into()
            }
            // No source is there: the report names each of them.
            Phase::Messages => {
                "  - id: one\n    transfer: { to: \"file:./out/{title}/{file}\" }\n    retry: { attempts: 1 }\n".into()
            }
            _ => format!("  - id: one\n{NOOP}"),
        }
    }
}

/// What the database says of a job.
#[derive(Debug, Clone, Default)]
struct Account {
    number: i64,
    scanning: bool,
    ended: bool,
    assets: u64,
    /// Units that ended, with any result.
    done: u64,
    released: bool,
    /// An operation on it is being carried out.
    operated: bool,
}

/// What is asked of the coordinator in this round.
enum Order {
    /// Nothing.
    None,
    /// Once its moment has come.
    Due,
    /// An answer is awaited: beside everything else, since it takes as long as the coordinator does.
    Asked(JoinHandle<bool>),
    /// It has been accepted at this moment.
    Given(Instant),
}

/// A round.
pub(super) struct Round {
    phase: Phase,
    id: String,
    assets: usize,
    began: Instant,
    /// Share of the phase after which it is struck first.
    at: f64,
    strikes: u32,
    next: Option<Instant>,
    /// Whether it is struck first by a leader failover.
    failover: bool,
    account: Account,
    order: Order,
    stuck: bool,
}

impl Round {
    /// Submits a job; nothing when the database does not take it now. `missed` counts the rounds of a phase that no leader
    /// failover has struck yet: one strikes this job first, which is twice as long for each round that ended too early.
    pub(super) fn begin(
        (phase, missed): (Phase, Option<u32>),
        number: usize,
        sizes: &Sizes,
        cluster: &Cluster,
        random: &mut Rng,
    ) -> Option<Round> {
        let (per_unit, location) = match phase {
            Phase::Messages => LONG[random.usize(0..LONG.len())],
            _ if phase.lists() => (LISTED_A_UNIT, 20),
            _ => (1, 20),
        };
        let assets = match phase {
            Phase::Messages => per_unit * LONG_UNITS,
            // One library serves all jobs that list it.
            _ if phase.lists() => phase.assets(sizes),
            _ => phase.assets(sizes) << missed.unwrap_or(0),
        };
        let file = write(phase, assets, (per_unit, location), cluster);
        let key = format!("round-{number}");
        let ran = cluster.fleet.run(&[
            "job",
            "submit",
            &file,
            "-o",
            "name",
            "-q",
            "--idempotency-key",
            &key,
        ]);
        if ran.code != 0 {
            return None;
        }
        let order = if matches!(phase, Phase::Retry | Phase::Cancellation) {
            Order::Due
        } else {
            Order::None
        };
        Some(Round {
            phase,
            id: ran.name(),
            assets,
            began: Instant::now(),
            // A short listing is over before a late strike.
            at: if phase.lists() {
                0.3 * random.f64()
            } else {
                0.02 + 0.7 * random.f64()
            },
            strikes: random.u32(STRIKES),
            next: None,
            failover: missed.is_some(),
            account: Account::default(),
            order,
            stuck: false,
        })
    }

    /// Whether a leader failover is the next that strikes it.
    pub(super) fn awaits_failover(&self) -> bool {
        self.failover
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn phase(&self) -> Phase {
        self.phase
    }

    /// Number of its job in the database.
    pub(super) fn number(&self) -> i64 {
        self.account.number
    }

    pub(super) fn what(&self) -> String {
        format!("{}, {} assets", self.phase.name(), self.assets)
    }

    pub(super) fn progress(&self) -> String {
        format!(
            "{}, {} listed, {} ended",
            self.phase.name(),
            self.account.assets,
            self.account.done
        )
    }

    fn units(&self) -> u64 {
        match self.phase {
            Phase::Titles | Phase::Release => 2 * self.assets as u64,
            Phase::Messages => LONG_UNITS as u64,
            _ if self.phase.lists() => self.assets.div_ceil(LISTED_A_UNIT) as u64,
            _ => self.assets as u64,
        }
    }

    /// Whether the phase in which it is struck has come.
    fn has_come(&self) -> bool {
        let Account {
            scanning,
            ended,
            assets,
            done,
            released,
            ..
        } = self.account;
        let share = |n: u64, of: u64| n as f64 >= self.at * of as f64;
        match self.phase {
            Phase::Folder | Phase::Manifest | Phase::Bucket => {
                assets > 0 && (share(assets, self.assets as u64) || !scanning)
            }
            Phase::Publishing => done > 0,
            Phase::Messages => !scanning && assets > 0,
            Phase::Running | Phase::Cancellation => done > 0 && share(done, self.units()),
            Phase::Titles => released,
            Phase::Release => released || done as f64 >= 0.49 * self.units() as f64,
            Phase::Retry => ended,
        }
    }

    /// Whether it is to be struck now. What is asked of the coordinator is struck once it has been asked.
    pub(super) fn wants_strike(&mut self, random: &mut Rng) -> bool {
        let ready = match self.order {
            Order::None => self.has_come() && !self.account.ended,
            Order::Due => false,
            Order::Asked(_) | Order::Given(_) => !self.is_over(),
        };
        if self.strikes == 0 || !ready {
            return false;
        }
        if self.next.is_none() {
            let wait = if matches!(self.order, Order::None) {
                0
            } else {
                random.u64(FIRST_MS)
            };
            self.next = Some(Instant::now() + Duration::from_millis(wait));
        }
        self.next.is_some_and(|next| next <= Instant::now())
    }

    /// It has been struck.
    pub(super) fn on_strike(&mut self, random: &mut Rng) {
        self.failover = false;
        self.strikes -= 1;
        self.next = Some(Instant::now() + Duration::from_millis(random.u64(BETWEEN_MS)));
    }

    /// Sends the command of this round to the coordinator, again until a leader has accepted it.
    pub(super) fn act(&mut self, cluster: &mut Cluster) {
        self.stuck |= self.began.elapsed() > END_MAX + UNIT_MAX.mul_f64(self.units() as f64);
        self.order = match std::mem::replace(&mut self.order, Order::None) {
            Order::Due if self.has_come() => match cluster.leader() {
                Some((_, address)) => Order::Asked(self.ask(address)),
                None => Order::Due,
            },
            Order::Asked(answer) if answer.is_finished() => {
                let agreed = answer.join().expect("a request returns");
                if agreed {
                    Order::Given(Instant::now())
                } else {
                    Order::Due
                }
            }
            order => order,
        };
    }

    /// Sends the request; the thread says whether it was accepted.
    fn ask(&self, address: String) -> JoinHandle<bool> {
        let (what, body) = match self.phase {
            Phase::Retry => ("retry", r#"{"all":true}"#),
            _ => ("cancel", "{}"),
        };
        let path = format!("/api/v1/jobs/{}/{what}", self.id);
        // A job may have ended before it could be cancelled, and an answer may be lost: then it says so the next time.
        std::thread::spawn(move || {
            let answer = send(&address, "POST", &path, body, ANSWER_MAX);
            answer.is_some_and(|(status, _)| [200, 409].contains(&status))
        })
    }

    /// Whether there is nothing left to happen.
    pub(super) fn is_over(&self) -> bool {
        let settled = match self.order {
            Order::None => true,
            Order::Due | Order::Asked(_) => false,
            // The account may be older than the order.
            Order::Given(at) => at.elapsed() > Duration::from_secs(1) && !self.account.operated,
        };
        self.stuck || (settled && self.account.ended)
    }

    /// Judges it.
    pub(super) fn judge(&self, cluster: &Cluster, witnesses: &Witnesses) -> (Verdict, Vec<String>) {
        let fleet = &cluster.fleet;
        let query =
            |statement: &str| -> Rows { psql(&fleet.postgres.sql_by_hash(&fleet.name, statement)) };
        if self.stuck {
            let rows = query(&format!("SELECT * FROM job WHERE id = '{}'", self.id));
            let row: Vec<String> = rows
                .concat()
                .into_iter()
                .filter(|column| column.len() < 100)
                .collect();
            return (
                Verdict::default(),
                vec![format!(
                    "it is stuck after {:?}: {}",
                    self.began.elapsed(),
                    row.join("|")
                )],
            );
        }
        let expected = match self.phase {
            Phase::Retry | Phase::Messages => Expected {
                states: &["finished_with_failures"],
                succeeded_min: 0.0,
            },
            Phase::Cancellation => Expected {
                states: &["cancelled", "succeeded"],
                succeeded_min: 0.0,
            },
            _ => Expected {
                states: &["succeeded"],
                succeeded_min: 1.0,
            },
        };
        let number = self.number();
        let mut units = self.units();
        if self.phase == Phase::Messages {
            // Partitions are closed where their units would be too long to send.
            let parts = query(&format!("SELECT parts FROM job WHERE no = {number}"))
                .concat()
                .concat();
            units = parts.parse().unwrap_or(0).max(units);
        }
        let (verdict, mut wrong) =
            History::expecting(&self.id, &query, witnesses, expected).verdict(units);
        wrong.extend(counts(&query, number));
        wrong.extend(releases(&query, number));
        wrong.extend(listed(&query, number, self.assets));
        if self.phase == Phase::Retry {
            wrong.extend(retried(&query, number, self.assets));
        }
        (verdict, wrong)
    }
}

/// What steps count is what their units are. Units that a job has not begun when it ends are cancelled without being counted
/// one by one.
fn counts(query: &dyn Fn(&str) -> Rows, number: i64) -> Vec<String> {
    let rows = query(&format!(
        "SELECT s.id, s.total, s.succeeded, s.dead, s.total - s.succeeded - s.dead, COUNT(u.part), COUNT(*) FILTER (WHERE u.state = 'succeeded'),
           COUNT(*) FILTER (WHERE u.state = 'dead'), COUNT(*) FILTER (WHERE u.state = 'cancelled')
         FROM step s JOIN units u ON u.job_no = s.job AND u.step_no = s.step
         WHERE s.job = {number} AND s.kind NOT IN ('barrier', 'seal') GROUP BY 1, 2, 3, 4, 5"
    ));
    let differ = rows.into_iter().filter(|row| row[1..5] != row[5..9]);
    differ
        .map(|row| {
            format!(
                "step {} counts {:?}, its units are {:?}",
                row[0],
                &row[1..5],
                &row[5..9]
            )
        })
        .collect()
}

/// Each entry of the library is there once, and in one partition.
fn listed(query: &dyn Fn(&str) -> Rows, number: i64, assets: usize) -> Vec<String> {
    let rows = query(&format!(
        "SELECT (SELECT assets FROM job WHERE no = {number}), (SELECT COUNT(DISTINCT asset) FROM listing WHERE job = {number}),
           (SELECT COUNT(*) FROM listing WHERE job = {number}), (SELECT SUM(assets) FROM partition WHERE job = {number})"
    ));
    let found = rows.concat();
    if found.iter().all(|count| *count == assets.to_string()) {
        return Vec::new();
    }
    vec![format!(
        "of {assets} assets {found:?} are counted, listed once, listed, in partitions"
    )]
}

/// Each barrier was released once, and none closed again.
fn releases(query: &dyn Fn(&str) -> Rows, number: i64) -> Vec<String> {
    let again = query(&format!(
        "SELECT step, key, COUNT(*), MIN(state), MAX(state) FROM soak_release WHERE job = {number}
         GROUP BY 1, 2 HAVING COUNT(*) <> 1 OR MIN(state) <> 'released' LIMIT 5"
    ));
    let mut wrong: Vec<String> = again
        .into_iter()
        .map(|row| format!("a barrier was not released once: {row:?}"))
        .collect();
    let silent = query(&format!(
        "SELECT COUNT(*) FROM barrier b WHERE b.job = {number} AND b.state = 'released' AND NOT EXISTS
           (SELECT 1 FROM soak_release r WHERE r.job = b.job AND r.step = b.step AND r.key = b.key)"
    ));
    if silent.concat() != ["0"] {
        wrong.push(format!(
            "{silent:?} released barriers have no noted release"
        ));
    }
    wrong
}

/// Every unit failed, was brought back, and failed again.
fn retried(query: &dyn Fn(&str) -> Rows, number: i64, units: usize) -> Vec<String> {
    let rows = query(&format!(
        "SELECT COUNT(*) FROM units WHERE job_no = {number} AND state = 'dead' AND epoch > 1"
    ));
    let found = rows.concat().join(" ");
    if found == units.to_string() {
        Vec::new()
    } else {
        vec![format!("{found} of {units} units were retried")]
    }
}

/// Looks at the jobs of all open rounds at once. A database that is away says nothing.
pub(super) fn look(cluster: &Cluster, rounds: &mut [Round]) {
    if rounds.is_empty() {
        return;
    }
    let ids: Vec<String> = rounds
        .iter()
        .map(|round| format!("'{}'", round.id))
        .collect();
    let statement = format!(
        "SELECT j.id, j.no, j.phase = 'scanning', j.ended_at IS NOT NULL, j.assets,
           (SELECT COALESCE(SUM(s.succeeded + s.dead + s.cancelled), 0) FROM step s
            WHERE s.job = j.no AND s.kind NOT IN ('barrier', 'seal')),
           EXISTS (SELECT 1 FROM soak_release r WHERE r.job = j.no),
           EXISTS (SELECT 1 FROM operation o WHERE o.job = j.no AND o.state = 'running')
         FROM job j WHERE j.id IN ({})",
        ids.join(", ")
    );
    let Some(printed) = cluster.fleet.postgres.ask(&cluster.fleet.name, &statement) else {
        return;
    };
    for row in psql(&printed) {
        let Some(round) = rounds.iter_mut().find(|round| round.id == row[0]) else {
            continue;
        };
        let (yes, number) = (
            |at: usize| row[at] == "t",
            |at: usize| row[at].parse().unwrap_or(0),
        );
        round.account = Account {
            number: i64::try_from(number(1)).unwrap_or(0),
            scanning: yes(2),
            ended: yes(3),
            assets: number(4),
            done: number(5),
            released: yes(6),
            operated: yes(7),
        };
    }
}

/// Writes what a job of this phase needs; returns its file. Libraries are the same for all jobs of a phase.
fn write(
    phase: Phase,
    assets: usize,
    (per_unit, length): (usize, usize),
    cluster: &Cluster,
) -> String {
    let scratch = &cluster.fleet.scratch;
    let name = format!("{}-{assets}", phase.name().replace(' ', "-"));
    let file = format!("{name}.yaml");
    if scratch.path(&file).exists() {
        return file;
    }
    let library = match phase {
        Phase::Bucket => "folder: \"gs://library/keys\"".to_owned(),
        Phase::Folder => {
            write_folder(scratch, assets);
            "folder: folder".to_owned()
        }
        _ => {
            let mut rows = String::from("asset,title,role,location\n");
            let above = if length > 20 {
                format!("{}/", "d".repeat(length - 20))
            } else {
                String::new()
            };
            for n in 0..assets {
                writeln!(rows, "a{n:07},t{n:07},document,none/{above}{n}")
                    .expect("writing to memory cannot fail");
            }
            scratch.write(format!("{name}.csv"), rows);
            format!("manifest: {name}.csv")
        }
    };
    let (by, steps) = (if per_unit > 1 { "by: count, " } else { "" }, phase.steps());
    let job = format!(
        "job: {name}\nlibrary: {{ {library} }}\npartition: {{ {by}max_assets: {per_unit} }}\nsteps:\n{steps}"
    );
    scratch.write(&file, job);
    file
}

fn write_folder(scratch: &Scratch, files: usize) {
    for n in 0..files {
        let dir = scratch.path(format!("folder/t{:04}", n / 500));
        if n % 500 == 0 {
            std::fs::create_dir_all(&dir).expect("a scratch directory can be made");
        }
        std::fs::File::create(dir.join(format!("a{n:07}.mov")))
            .expect("a scratch file can be made");
    }
}
