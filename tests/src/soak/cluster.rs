//! The processes and servers of a soak, what is wrong with them at the moment, and how they are healed.
use crate::fleet::Fleet;
use rustix::process::Signal;
use std::process::Command;
use std::time::{Duration, Instant};
use testkit::http::fetch;
use testkit::postgres::PostgresServer;
use testkit::process::Running;
use testkit::proxy::{Proxy, Way};
use testkit::redis::Redis;

/// Coordinators; they come first among the members.
pub(super) const COORDINATORS: usize = 2;
/// A worker that ends within this time without an injected fault could not start: a server was away.
const YOUNG: Duration = Duration::from_secs(15);
const START_AGAIN: Duration = Duration::from_millis(700);

/// Longest wait for the answer of a coordinator that may be suspended.
const ANSWER_MAX: Duration = Duration::from_millis(500);

/// What a soak runs on.
pub(super) struct Setup {
    /// Settings of the database server.
    pub(super) settings: &'static [&'static str],
    /// Worker processes.
    pub(super) workers: usize,
    /// Slots of each.
    pub(super) slots: &'static str,
}

/// A process, and its own ways to the servers.
pub(super) struct Member {
    pub(super) running: Option<Running>,
    /// Where a coordinator serves, once it has said so.
    pub(super) address: Option<String>,
    /// Its way to the transport.
    pub(super) redis: Proxy,
    /// A coordinator's way to the database.
    pub(super) database: Proxy,
    started: Instant,
    /// A fault has asked or forced it to end.
    pub(super) ending: bool,
    /// Not started again before.
    pub(super) due: Instant,
}

/// What ends a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heal {
    /// A member resumes.
    Continue(usize),
    /// A member reaches the transport again.
    Redis(usize),
    /// A member reaches the database again.
    Database(usize),
    /// The transport resumes.
    RedisGoesOn,
    /// The database resumes.
    DatabaseGoesOn,
}

/// All of it.
pub(super) struct Cluster {
    pub(super) fleet: Fleet,
    /// The server that is not in use: it follows the other.
    pub(super) replica: Redis,
    pub(super) members: Vec<Member>,
    slots: &'static str,
    heals: Vec<(Instant, Heal)>,
}

impl Cluster {
    pub(super) fn start(setup: &Setup) -> Cluster {
        let fleet = Fleet::over(PostgresServer::start_with(setup.settings));
        let home = fleet.scratch.path("replica");
        std::fs::create_dir_all(&home).expect("a scratch directory can be made");
        let replica = Redis::start(&home);
        let mut cluster = Cluster {
            fleet,
            replica,
            members: Vec::new(),
            slots: setup.slots,
            heals: Vec::new(),
        };
        cluster.follow();
        for _ in 0..COORDINATORS + setup.workers {
            let now = Instant::now();
            let (redis, database) = (
                Proxy::start(cluster.fleet.redis.port()),
                Proxy::start(cluster.fleet.postgres.port()),
            );
            cluster.members.push(Member {
                running: None,
                address: None,
                redis,
                database,
                started: now,
                ending: true,
                due: now,
            });
        }
        cluster
    }

    /// Has the replica follow the server in use.
    pub(super) fn follow(&self) {
        self.replica.cli(&[
            "REPLICAOF",
            "127.0.0.1",
            &self.fleet.redis.port().to_string(),
        ]);
    }

    fn command(&mut self, number: usize) -> Command {
        let member = &self.members[number];
        self.fleet.transport = format!("redis://127.0.0.1:{}/", member.redis.port());
        let (own, real) = (member.database.port(), self.fleet.postgres.port());
        if number < COORDINATORS {
            let direct = self.fleet.database.clone();
            self.fleet.database = direct.replace(&format!(":{real}/"), &format!(":{own}/"));
            let command = self.fleet.coordinator_command();
            self.fleet.database = direct;
            return command;
        }
        let url = self.fleet.transport.clone();
        let slots = self.slots;
        let mut command = self
            .fleet
            .scratch
            .showrunner(&["worker", "--redis", &url, "--slots", slots, "-v"]);
        let storage = self.fleet.scratch.path("storage.yaml");
        if storage.exists() {
            command.arg("--storage").arg(storage);
        }
        command.env(
            "SHOWRUNNER_REHEARSAL_LOG",
            self.fleet.scratch.path("witnesses"),
        );
        command
    }

    /// Ends what is due to end and starts what has ended again. Returns what ended without anybody having hurt it.
    pub(super) fn supervise(&mut self) -> Vec<String> {
        let now = Instant::now();
        let (due, later) = std::mem::take(&mut self.heals)
            .into_iter()
            .partition(|(at, _)| *at <= now);
        self.heals = later;
        let due: Vec<(Instant, Heal)> = due;
        due.into_iter().for_each(|(_, heal)| self.heal(heal));
        let mut violations = Vec::new();
        for number in 0..self.members.len() {
            let member = &mut self.members[number];
            if let Some(running) = &mut member.running {
                if !running.has_ended() {
                    continue;
                }
                let said = running.stderr();
                // A coordinator prints when it is up; one that is stopped prints it later.
                let came_up = match number < COORDINATORS {
                    true => said.contains("coordinator on http://"),
                    false => member.started.elapsed() > YOUNG,
                };
                if !member.ending && came_up {
                    let last: Vec<&str> = said.lines().rev().take(8).collect();
                    violations.push(format!("member {number} ended by itself: {last:#?}"));
                }
                if let Some(panic) = said.lines().find(|line| line.contains("panicked at")) {
                    violations.push(format!("member {number}: {panic}"));
                }
                member.running = None;
                member.due = member.due.max(now + START_AGAIN);
            }
            if now >= self.members[number].due {
                let command = self.command(number);
                let member = &mut self.members[number];
                (member.started, member.ending, member.address) = (now, false, None);
                member.running = Some(Running::start(command, &self.fleet.scratch.path(".")));
            }
        }
        violations
    }

    /// Kills a process; another one takes its place after this long. False when there is none at the moment.
    pub(super) fn kill(&mut self, number: usize, away: Duration) -> bool {
        let member = &mut self.members[number];
        let Some(running) = &member.running else {
            return false;
        };
        running.signal(Signal::KILL);
        (member.ending, member.due) = (true, Instant::now() + away);
        true
    }

    /// Stops a process where it is, for this long. False when there is none, or when it is stopped already.
    pub(super) fn freeze(&mut self, number: usize, length: Duration) -> bool {
        if self.is_broken(Heal::Continue(number)) {
            return false;
        }
        let Some(running) = &self.members[number].running else {
            return false;
        };
        running.signal(Signal::STOP);
        self.later(length, Heal::Continue(number));
        true
    }

    /// Coordinators that serve, and where.
    pub(super) fn addresses(&mut self) -> Vec<(usize, String)> {
        for member in self
            .members
            .iter_mut()
            .take(COORDINATORS)
            .filter(|member| member.address.is_none())
        {
            let said = member
                .running
                .as_ref()
                .map(Running::stderr)
                .unwrap_or_default();
            let address = said
                .split_once("coordinator on http://")
                .and_then(|(_, rest)| rest.split_once('\n'));
            member.address = address.map(|(address, _)| address.trim().to_owned());
        }
        let of = |(number, member): (usize, &Member)| Some((number, member.address.clone()?));
        self.members
            .iter()
            .enumerate()
            .take(COORDINATORS)
            .filter_map(of)
            .collect()
    }

    /// The coordinator that says that it leads, and where it serves.
    pub(super) fn leader(&mut self) -> Option<(usize, String)> {
        let leads = |address: &str| {
            fetch(address, "/readyz", ANSWER_MAX).is_some_and(|text| text.contains("leader"))
        };
        self.addresses()
            .into_iter()
            .find(|(_, address)| leads(address))
    }

    /// Whether something is broken, or a process is away.
    pub(super) fn is_whole(&self) -> bool {
        self.heals.is_empty()
            && self
                .members
                .iter()
                .all(|member| member.running.is_some() && !member.ending)
    }

    /// Has a fault end after this long.
    pub(super) fn later(&mut self, after: Duration, heal: Heal) {
        self.heals.push((Instant::now() + after, heal));
    }

    /// Whether this is broken at the moment.
    pub(super) fn is_broken(&self, heal: Heal) -> bool {
        self.heals.iter().any(|(_, pending)| *pending == heal)
    }

    /// Ends every fault now.
    pub(super) fn heal_everything(&mut self) {
        for (_, heal) in std::mem::take(&mut self.heals) {
            self.heal(heal);
        }
    }

    fn heal(&mut self, heal: Heal) {
        match heal {
            Heal::Continue(member) => {
                self.members[member]
                    .running
                    .iter()
                    .for_each(|running| running.signal(Signal::CONT));
            }
            Heal::Redis(member) => calm(&self.members[member].redis),
            Heal::Database(member) => calm(&self.members[member].database),
            Heal::RedisGoesOn => self.fleet.redis.signal(Signal::CONT),
            Heal::DatabaseGoesOn => self.fleet.postgres.freeze(false),
        }
    }

    /// What each process said last.
    pub(super) fn stories(&self) -> String {
        let last = |running: &Running| {
            running
                .stderr()
                .lines()
                .rev()
                .take(6)
                .collect::<Vec<_>>()
                .join("\n    ")
        };
        let told = self
            .members
            .iter()
            .enumerate()
            .filter_map(|(number, member)| {
                Some(format!(
                    "\n  member {number}:\n    {}",
                    last(member.running.as_ref()?)
                ))
            });
        told.collect()
    }
}

fn calm(proxy: &Proxy) {
    proxy.refuse(false);
    proxy.blackhole(false);
    proxy.delay(Way::Up, Duration::ZERO);
    proxy.delay(Way::Down, Duration::ZERO);
}
