//! One transaction. What services write or ask one row at a time is gathered here, so that it costs a round trip a
//! batch: writes wait until something reads what they change, single reads bring their neighbours along.
use super::ahead::Ahead;
use super::error::{Fault, failed, said};
use super::link::{Link, OwnParams, Params};
use crate::cost;
use crate::{BarrierGrowth, BarrierRow, JobRow, Partition, StepDelta, StepRow, StoreError, StoreResult, UnitRow};
use foldhash::HashMap as IdMap;
use protocol::failure::Failure;
use protocol::id::{JobNo, PartNo, StepNo, UnitId};
use protocol::media::asset::Asset;
use protocol::time::Timestamp;
use std::collections::{BTreeMap, HashMap};
use tokio_postgres::Row;
use tokio_postgres::types::FromSql;

/// Neighbours read along with a row that is asked for alone, once services turn out to ask like that.
const AHEAD: i64 = 128;
/// Whoever skips no more than this walks.
const STRIDE: PartNo = 4;
/// Whoever asks this often will want most of what lies between, too.
const SCATTERED_MAX: u32 = 16;
/// Rows that may wait in one transaction.
const WAITING_MAX: usize = 20_000;

/// Key of a barrier instance.
pub(super) type BarrierKey = (JobNo, StepNo, String);

/// What a transaction has read: true until it ends, because no other writes meanwhile.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) units: IdMap<UnitId, Option<UnitRow>>,
    pub(super) partitions: IdMap<(JobNo, PartNo), Partition>,
    pub(super) barriers: HashMap<BarrierKey, Option<BarrierRow>>,
    /// Members of partitions that were read ahead, until they are asked for.
    pub(super) members: IdMap<(JobNo, PartNo), Vec<Asset>>,
    /// Open jobs: all of them, and perhaps some that have ended since.
    pub(super) open: Option<Vec<JobNo>>,
    pub(super) jobs: IdMap<JobNo, JobRow>,
    pub(super) steps: IdMap<JobNo, Vec<StepRow>>,
    /// When the next retry is due, unless a retry was touched since.
    pub(super) due: Option<Option<Timestamp>>,
    /// The greatest asset in the listing of a job, as far as this transaction knows.
    pub(super) listed_to: IdMap<JobNo, Option<String>>,
    pub(super) walks: Walks,
    /// Whether the listing of a large job has been sealed.
    pub(super) sealed: bool,
}

/// How rows have been asked for one by one.
#[derive(Default)]
pub(super) struct Walks {
    pub(super) units: Walk,
    pub(super) partitions: Walk,
    barriers: u32,
}

impl Walks {
    /// How many instances to read for one that is asked for alone.
    pub(super) fn barriers(&mut self) -> i64 {
        self.barriers += 1;
        if self.barriers < 3 { 1 } else { AHEAD }
    }
}

/// Whether somebody walks along the partitions one by one.
#[derive(Default)]
pub(super) struct Walk {
    last: PartNo,
    steps: u32,
    asked: u32,
}

impl Walk {
    /// How many rows to read for one that is asked for alone: one of a few scattered ones, more of neighbours or of many.
    pub(super) fn ahead(&mut self, part: PartNo) -> i64 {
        let onward = (1..=STRIDE).contains(&(part - self.last));
        (self.last, self.steps) = (part, if onward { self.steps + 1 } else { 0 });
        self.asked += 1;
        if self.steps < 2 && self.asked < SCATTERED_MAX { 1 } else { AHEAD }
    }
}

/// Whether a unit had a row before this transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Before {
    /// It had none.
    None,
    /// It had one, or nobody looked.
    Perhaps,
}

/// What a transaction has yet to write, in key order.
#[derive(Default)]
pub(super) struct Waiting {
    pub(super) units: BTreeMap<UnitId, (UnitRow, Before)>,
    /// Whether one of them waits for its retry, or did.
    pub(super) retries: bool,
    pub(super) jobs: BTreeMap<JobNo, JobRow>,
    pub(super) steps: BTreeMap<(JobNo, StepNo), StepDelta>,
    pub(super) cursors: BTreeMap<(JobNo, StepNo), PartNo>,
    pub(super) growth: BTreeMap<BarrierKey, BarrierGrowth>,
    pub(super) barriers: BTreeMap<BarrierKey, BarrierRow>,
    pub(super) failures: BTreeMap<UnitId, Vec<(String, Failure)>>,
}

/// One transaction.
pub struct PostgresTx<'a> {
    link: &'a mut Link,
    pub(super) ahead: Option<&'a mut Ahead>,
    pub(super) seen: Seen,
    pub(super) waiting: Waiting,
    /// The statement after which the server refuses all others.
    broken: Option<String>,
}

impl<'a> PostgresTx<'a> {
    pub(super) fn new(link: &'a mut Link, ahead: Option<&'a mut Ahead>, seen: Seen) -> PostgresTx<'a> {
        PostgresTx { link, ahead, seen, waiting: Waiting::default(), broken: None }
    }

    /// Writes what waits; returns what was seen. An error that a service passed over is an error all the same: nothing
    /// will be committed.
    pub(super) fn finish(mut self) -> StoreResult<Seen> {
        if let Some(why) = &self.broken {
            return Err(StoreError::Database(format!("a statement of this transaction failed: {why}")));
        }
        self.flush_jobs()?;
        self.flush_barriers()?;
        self.flush_units()?;
        self.flush_failures()?;
        self.flush_steps()?;
        Ok(self.seen)
    }

    /// Bounds what waits.
    pub(super) fn flush_when_many(&mut self) -> StoreResult<()> {
        if self.waiting.units.len() > WAITING_MAX {
            self.flush_units()?;
        }
        if self.waiting.failures.len() > WAITING_MAX {
            self.flush_failures()?;
        }
        Ok(())
    }

    fn checked<T>(&mut self, answer: Result<T, Fault>) -> StoreResult<T> {
        answer.map_err(|fault| {
            self.broken = Some(said(&fault));
            failed(fault)
        })
    }

    pub(super) fn run(&mut self, sql: &str, params: Params<'_>) -> StoreResult<u64> {
        let answer = self.link.run(sql, params);
        let rows = self.checked(answer)?;
        cost::statement(usize::try_from(rows).unwrap_or(usize::MAX));
        Ok(rows)
    }

    /// Sends a statement whose answer nobody needs; that it failed is said at the latest by the commit.
    pub(super) fn later(&mut self, sql: &str, params: OwnParams) -> StoreResult<()> {
        cost::statement(1);
        let answer = self.link.later(sql, params);
        self.checked(answer)
    }

    pub(super) fn copy(&mut self, sql: &str, rows: super::copy::CopyRows) -> StoreResult<()> {
        cost::statement(rows.count());
        let answer = self.link.copy(sql, rows);
        self.checked(answer)
    }

    pub(super) fn all<T>(
        &mut self,
        sql: &str,
        params: Params<'_>,
        read: impl FnMut(&Row) -> StoreResult<T>,
    ) -> StoreResult<Vec<T>> {
        let answer = self.link.query(sql, params);
        let rows = self.checked(answer)?;
        cost::statement(rows.len());
        rows.iter().map(read).collect()
    }

    pub(super) fn one<T>(
        &mut self,
        sql: &str,
        params: Params<'_>,
        read: impl FnMut(&Row) -> StoreResult<T>,
    ) -> StoreResult<Option<T>> {
        Ok(self.all(sql, params, read)?.pop())
    }
}

/// Owned parameters of [`PostgresTx::later`].
macro_rules! own {
    ($($param:expr),* $(,)?) => { vec![$(Box::new($param)),*] };
}
pub(super) use own;

/// Reads a column.
pub(super) fn column<'r, T: FromSql<'r>>(row: &'r Row, index: usize) -> StoreResult<T> {
    row.try_get(index).map_err(|e| StoreError::Corrupt(e.to_string()))
}

/// Reads a count: never negative; a negative one in the database is reported, not wrapped.
pub(super) fn count<T: TryFrom<i64>>(row: &Row, index: usize) -> StoreResult<T> {
    let value: i64 = column(row, index)?;
    T::try_from(value).map_err(|_| StoreError::Corrupt(format!("column {index} holds {value}")))
}

/// Reads a word of a closed list.
pub(super) fn word<T>(row: &Row, index: usize, parse: impl Fn(&str) -> Option<T>) -> StoreResult<T> {
    let text: &str = column(row, index)?;
    parse(text).ok_or_else(|| StoreError::Corrupt(format!("unknown word {text:?}")))
}

/// SQL integers are signed.
pub(super) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// PostgreSQL's text holds no NUL; messages of tools may.
pub(super) fn printable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}
