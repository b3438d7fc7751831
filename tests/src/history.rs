//! Checks a run of real processes from outside: by the rows of its database and by the execution log of its `noop` units
//! (`SHOWRUNNER_REHEARSAL_LOG`). A run in which everything failed proves nothing, so most units must have succeeded.
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::Path;

/// Minimum share of succeeded units.
const SUCCEEDED_MIN: f64 = 0.95;

/// Expected end of a job.
#[derive(Debug, Clone, Copy)]
pub struct Expected {
    /// Accepted end states.
    pub states: &'static [&'static str],
    /// Minimum share of succeeded units.
    pub succeeded_min: f64,
}

impl Default for Expected {
    /// The end of a job without bad input.
    fn default() -> Expected {
        Expected {
            states: &["succeeded", "finished_with_failures"],
            succeeded_min: SUCCEEDED_MIN,
        }
    }
}

/// Rows of a query as text; NULL is empty.
pub type Rows = Vec<Vec<String>>;

/// A unit: job number, step number, partition.
type Key = (i64, i64, i64);

/// Log of one execution, in nanoseconds since the machine started.
#[derive(Debug, Clone, Default)]
struct Execution {
    starts: Vec<u64>,
    ends: Vec<u64>,
}

/// Counts of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Units of the job.
    pub units: u64,
    /// Executions that started.
    pub executions: u64,
    /// Units whose last epoch is above 1: taken back or tried again at least once.
    pub again: u64,
    /// Units with a copy whose first execution counts: their epoch is that of the copy.
    pub adopted: u64,
}

/// Lets the database log each release of a barrier: the row itself keeps only the last one. A release is a row that becomes
/// released, or a new moment of release in a released row.
pub const WATCH_POSTGRES: &str = "
    CREATE TABLE IF NOT EXISTS witnessed_release (job BIGINT, step BIGINT, key TEXT, at BIGINT);
    CREATE OR REPLACE FUNCTION witness_release() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        IF NEW.state = 'released' AND (TG_OP = 'INSERT' OR OLD.state <> 'released'
            OR OLD.released_at IS DISTINCT FROM NEW.released_at) THEN
          INSERT INTO witnessed_release VALUES (NEW.job, NEW.step, NEW.key, NEW.released_at);
        END IF;
        RETURN NULL;
      END $$;
    DROP TRIGGER IF EXISTS witness_release ON barrier;
    CREATE TRIGGER witness_release AFTER INSERT OR UPDATE ON barrier FOR EACH ROW EXECUTE FUNCTION witness_release();";

/// The same for SQLite.
const WATCH_SQLITE: &str = "
    CREATE TABLE IF NOT EXISTS witnessed_release (job BIGINT, step BIGINT, key TEXT, at BIGINT);
    CREATE TRIGGER IF NOT EXISTS witness_release AFTER UPDATE ON barrier
      WHEN NEW.state = 'released' AND (OLD.state <> 'released' OR OLD.released_at IS NOT NEW.released_at)
      BEGIN INSERT INTO witnessed_release VALUES (NEW.job, NEW.step, NEW.key, NEW.released_at); END;
    CREATE TRIGGER IF NOT EXISTS witness_first_release AFTER INSERT ON barrier WHEN NEW.state = 'released'
      BEGIN INSERT INTO witnessed_release VALUES (NEW.job, NEW.step, NEW.key, NEW.released_at); END;";

/// Has a SQLite database that others may be writing note each release of a barrier.
///
/// # Panics
/// When the file is none of ours.
pub fn watch_sqlite(path: &Path) {
    let connection = Connection::open(path).expect("a database that processes work on opens");
    connection
        .busy_timeout(std::time::Duration::from_secs(60))
        .expect("a limit can be set");
    connection
        .execute_batch(WATCH_SQLITE)
        .expect("a trigger over the documented schema");
}

/// A job as its database and its witnesses tell it.
pub struct History {
    units: Vec<(Key, String, u32)>,
    /// The epoch that counts of units with a copy, where it is not the last one.
    adopted: HashMap<Key, u32>,
    /// Step, key, state, total, settled, first and last partition, moment of release.
    barriers: Vec<Barrier>,
    /// How often each barrier was released, by step and key.
    releases: HashMap<(i64, String), i64>,
    /// Steps in order and what each needs.
    needs: BTreeMap<i64, Vec<i64>>,
    executions: HashMap<(Key, u32), Execution>,
    succeeded_min: f64,
    violations: Vec<String>,
}

struct Barrier {
    step: i64,
    key: String,
    first: i64,
    last: i64,
    total: i64,
    settled: i64,
    state: String,
    released_at: String,
}

/// Rows of a SQLite database that others may be writing.
///
/// # Panics
/// When the file or the statement is none.
pub fn sqlite(path: &Path, statement: &str) -> Rows {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let connection =
        Connection::open_with_flags(path, flags).expect("a database that processes work on opens");
    let mut statement = connection
        .prepare(statement)
        .expect("a statement over the documented schema");
    let columns = statement.column_count();
    let rows = statement.query_map([], |row| {
        (0..columns)
            .map(|column| {
                row.get_ref(column).map(|value| match value {
                    ValueRef::Integer(number) => number.to_string(),
                    ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
                    _ => String::new(),
                })
            })
            .collect::<rusqlite::Result<Vec<String>>>()
    });
    rows.and_then(Iterator::collect).expect("rows can be read")
}

/// Rows as `psql -At` prints them.
pub fn psql(printed: &str) -> Rows {
    printed
        .lines()
        .map(|line| line.split('|').map(str::to_owned).collect())
        .collect()
}

fn number(text: &str) -> i64 {
    text.parse()
        .unwrap_or_else(|_| panic!("{text:?} is no number"))
}

impl History {
    /// Reads a job through `query` and the witnesses' file.
    ///
    /// # Panics
    /// When there is no such job or the file holds something else.
    pub fn read(job: &str, query: &dyn Fn(&str) -> Rows, log: &Path) -> History {
        History::among(job, query, &Witnesses::read(log))
    }

    /// The same with witnesses that have been read: those of many jobs share a file.
    ///
    /// # Panics
    /// When there is no such job.
    pub fn among(job: &str, query: &dyn Fn(&str) -> Rows, witnesses: &Witnesses) -> History {
        History::expecting(job, query, witnesses, Expected::default())
    }

    /// The same of a job that must end otherwise.
    ///
    /// # Panics
    /// When there is no such job.
    pub fn expecting(
        job: &str,
        query: &dyn Fn(&str) -> Rows,
        witnesses: &Witnesses,
        expected: Expected,
    ) -> History {
        let found = query(&format!(
            "SELECT no, state, workflow FROM job WHERE id = '{job}'"
        ));
        let [row] = found.as_slice() else {
            panic!("{} jobs have the id {job}", found.len())
        };
        let (no, state) = (number(&row[0]), row[1].clone());
        let workflow: Value = serde_json::from_str(&row[2..].join("|")).unwrap_or(Value::Null);
        let adopted = query(&format!(
            "SELECT s.step, s.part, s.older FROM speculation s JOIN units u
             ON u.job_no = s.job AND u.step_no = s.step AND u.part = s.part AND u.epoch = s.newer
             WHERE s.job = {no} AND s.state = 'adopted'"
        ));
        let adopted = adopted.iter().map(|row| {
            (
                (no, number(&row[0]), number(&row[1])),
                u32::try_from(number(&row[2])).unwrap_or(0),
            )
        });
        let adopted = adopted.collect();
        let units = query(&format!(
            "SELECT step_no, part, state, epoch FROM units WHERE job_no = {no}"
        ));
        let units = units.iter().map(|row| {
            (
                (no, number(&row[0]), number(&row[1])),
                row[2].clone(),
                u32::try_from(number(&row[3])).unwrap_or(0),
            )
        });
        let barriers = query(&format!(
            "SELECT step, key, first_part, last_part, total, succeeded + failed, state, released_at FROM barrier WHERE job = {no}"
        ));
        let barriers = barriers.iter().map(|row| Barrier {
            step: number(&row[0]),
            key: row[1].clone(),
            first: number(&row[2]),
            last: number(&row[3]),
            total: number(&row[4]),
            settled: number(&row[5]),
            state: row[6].clone(),
            released_at: row[7].clone(),
        });
        let releases = query(&format!(
            "SELECT step, COUNT(*), key FROM witnessed_release WHERE job = {no} GROUP BY step, key"
        ));
        let releases = releases
            .iter()
            .map(|row| ((number(&row[0]), row[2..].join("|")), number(&row[1])));
        let mut history = History {
            releases: releases.collect(),
            units: units.collect(),
            adopted,
            barriers: barriers.collect(),
            needs: needs(&workflow),
            executions: witnesses.0.get(&no).cloned().unwrap_or_default(),
            succeeded_min: expected.succeeded_min,
            violations: Vec::new(),
        };
        let ended = expected.states.contains(&state.as_str());
        history.require(ended, || format!("job {job} is {state}"));
        history
    }

    fn require(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds && self.violations.len() < 20 {
            self.violations.push(what());
        }
    }

    /// Asserts the invariants of every run, under any faults.
    ///
    /// # Panics
    /// With everything that does not hold.
    #[track_caller]
    pub fn assert_exact(self, units: u64) -> Verdict {
        let (verdict, violations) = self.verdict(units);
        assert!(
            violations.is_empty(),
            "the run broke its promises:\n  {}",
            violations.join("\n  ")
        );
        verdict
    }

    /// What the run came to, and everything that does not hold.
    pub fn verdict(mut self, units: u64) -> (Verdict, Vec<String>) {
        let verdict = self.judge(units);
        (verdict, self.violations)
    }

    fn judge(&mut self, units: u64) -> Verdict {
        let found = self.units.len() as u64;
        self.require(found == units, || {
            format!("{found} units of {units} are in the database")
        });
        let mut succeeded = 0;
        let mut again = 0;
        for (key, state, epoch) in self.units.clone() {
            let terminal = ["succeeded", "dead", "cancelled"].contains(&state.as_str());
            self.require(terminal, || format!("unit {key:?} is {state}"));
            again += u64::from(epoch > 1);
            if state == "succeeded" {
                succeeded += 1;
                // What counts was really done, and under the epoch that counts.
                let epoch = self.counts(key, epoch);
                let done = self
                    .executions
                    .get(&(key, epoch))
                    .is_some_and(|e| !e.ends.is_empty());
                self.require(done, || {
                    format!("unit {key:?} succeeded in epoch {epoch}, in which nobody did it")
                });
            }
        }
        let share = succeeded as f64 / found.max(1) as f64;
        self.require(share >= self.succeeded_min, || {
            format!("only {succeeded} of {found} units succeeded")
        });
        let mut executions = 0;
        for ((key, epoch), execution) in self.executions.clone() {
            executions += execution.starts.len() as u64;
            let (starts, ends) = (execution.starts.len(), execution.ends.len());
            self.require(ends <= 1, || {
                format!("unit {key:?} had {ends} effects in epoch {epoch} ({starts} starts)")
            });
        }
        self.judge_barriers();
        Verdict {
            units: found,
            executions,
            again,
            adopted: self.adopted.len() as u64,
        }
    }

    /// The epoch whose result counts, of a unit whose last one is `epoch`.
    fn counts(&self, key: Key, epoch: u32) -> u32 {
        self.adopted.get(&key).copied().unwrap_or(epoch)
    }

    /// When each unit that succeeded was done, in the execution that counts, by step and partition.
    fn ends(&self) -> BTreeMap<(i64, i64), u64> {
        let succeeded = self
            .units
            .iter()
            .filter(|(_, state, _)| state == "succeeded");
        let end = |(key, _, epoch): &(Key, String, u32)| {
            let at = self
                .executions
                .get(&(*key, self.counts(*key, *epoch)))?
                .ends
                .first()?;
            Some(((key.1, key.2), *at))
        };
        succeeded.filter_map(end).collect()
    }

    /// When each unit began first, by step and partition.
    fn starts(&self) -> BTreeMap<(i64, i64), u64> {
        let mut starts = BTreeMap::new();
        for ((key, _), execution) in &self.executions {
            for at in &execution.starts {
                let first = starts.entry((key.1, key.2)).or_insert(*at);
                *first = (*first).min(*at);
            }
        }
        starts
    }

    /// Barriers are complete, and what waits behind one began after the last of its members was done.
    fn judge_barriers(&mut self) {
        let (ends, starts) = (self.ends(), self.starts());
        for barrier in std::mem::take(&mut self.barriers) {
            let Barrier {
                step,
                key,
                first,
                last,
                total,
                settled,
                state,
                released_at,
            } = barrier;
            self.require(state == "released", || {
                format!("barrier {step}/{key} is {state}")
            });
            self.require(settled == total, || {
                format!("barrier {step}/{key} counts {settled} of {total}")
            });
            let releases = self
                .releases
                .get(&(step, key.clone()))
                .copied()
                .unwrap_or(0);
            self.require(releases <= 1, || {
                format!("barrier {step}/{key} was released {releases} times")
            });
            self.require(!released_at.is_empty(), || {
                format!("barrier {step}/{key} does not say when it was released")
            });
            let members = self.needs.get(&step).cloned().unwrap_or_default();
            let followers: Vec<i64> = self
                .needs
                .iter()
                .filter(|(_, needs)| needs.contains(&step))
                .map(|(step, _)| *step)
                .collect();
            let within = |step: &i64| (*step, first)..=(*step, last);
            let done = members
                .iter()
                .flat_map(|step| ends.range(within(step)))
                .map(|(_, end)| *end)
                .max()
                .unwrap_or(0);
            let early: Vec<String> = followers
                .iter()
                .flat_map(|step| starts.range(within(step)))
                .filter(|(_, start)| **start < done)
                .map(|(of, _)| {
                    format!("{of:?} began before barrier {step}/{key} had its last member")
                })
                .collect();
            for violation in early {
                self.require(false, || violation);
            }
        }
    }
}

/// What each step needs, by number.
fn needs(workflow: &Value) -> BTreeMap<i64, Vec<i64>> {
    let steps = workflow["steps"].as_array().cloned().unwrap_or_default();
    let needs = |step: &Value| step["needs"].as_array().cloned().unwrap_or_default();
    let numbers = |step: &Value| needs(step).iter().filter_map(Value::as_i64).collect();
    (0..)
        .zip(&steps)
        .map(|(no, step)| (no, numbers(step)))
        .collect()
}

/// What executions noted, by job, unit and epoch.
#[derive(Debug, Default)]
pub struct Witnesses(HashMap<i64, HashMap<(Key, u32), Execution>>);

impl Witnesses {
    /// Reads a file of notes; one that is not there holds none.
    ///
    /// # Panics
    /// When it holds something else.
    pub fn read(log: &Path) -> Witnesses {
        let mut witnesses = Witnesses::default();
        for line in std::fs::read_to_string(log).unwrap_or_default().lines() {
            witnesses.note(line);
        }
        witnesses
    }

    /// Reads on in a file of notes from this byte to the end of its last whole line; returns where that is.
    ///
    /// # Panics
    /// When it holds something else.
    pub fn read_on(&mut self, log: &Path, from: u64) -> u64 {
        let Ok(mut file) = File::open(log) else {
            return from;
        };
        file.seek(SeekFrom::Start(from))
            .expect("a file that is open can be read anywhere");
        let (mut lines, mut at, mut line) = (BufReader::new(file), from, String::new());
        loop {
            line.clear();
            let length = lines.read_line(&mut line).expect("notes are text");
            if !line.ends_with('\n') {
                return at;
            }
            at += length as u64;
            self.note(line.trim_end());
        }
    }

    /// Forgets a job that has been judged.
    pub fn forget(&mut self, job: i64) {
        self.0.remove(&job);
    }

    fn note(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        let [unit, epoch, _attempt, _worker, what, at] = words.as_slice() else {
            panic!("{line:?} is no note")
        };
        let parts: Vec<i64> = unit.split('/').map(number).collect();
        let [job, step, part] = parts.as_slice() else {
            panic!("{unit:?} is no unit")
        };
        let epoch = u32::try_from(number(epoch)).unwrap_or(0);
        let execution = self
            .0
            .entry(*job)
            .or_default()
            .entry(((*job, *step, *part), epoch))
            .or_default();
        let at = at.parse().unwrap_or(0);
        match *what {
            "start" => execution.starts.push(at),
            "end" => execution.ends.push(at),
            _ => {}
        }
    }
}

/// Checks the counts of a running job in `job get`: done never exceeds total.
///
/// # Panics
/// When it does.
#[track_caller]
pub fn assert_within_total(summary: &Value) {
    for units in std::iter::once(&summary["units"]).chain(
        summary["steps"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|s| &s["units"]),
    ) {
        let count = |name: &str| units[name].as_u64().unwrap_or(0);
        let done = count("succeeded") + count("dead") + count("cancelled");
        assert!(
            done <= count("total"),
            "more is done than there is: {summary:#}"
        );
    }
}
