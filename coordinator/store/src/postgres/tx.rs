//! One transaction. Services write and read one row at a time; here rows are gathered into batches of one round trip each.
//! Writes wait until something reads the rows they change, and single reads fetch their neighbours.
use super::copy::CopyRows;
use super::error::{Fault, failed, said};
use super::link::{Link, OwnParams, Params};
use super::prefetch::Prefetcher;
use crate::barrier::{BarrierGrowth, BarrierRow};
use crate::cost;
use crate::error::{StoreError, StoreResult};
use crate::job::JobRow;
use crate::partition::Partition;
use crate::sql::Value;
use crate::step::{StepDelta, StepRow};
use crate::unit::UnitRow;
use foldhash::HashMap as IdMap;
use protocol::failure::Failure;
use protocol::id::{JobNo, PartNo, StepNo, UnitId};
use protocol::media::asset::Asset;
use protocol::time::Timestamp;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, ToSql};

/// Neighbours that are read with a single row, once reads turn out to be sequential.
const AHEAD: i64 = 128;
/// Longest step between two reads that still counts as sequential.
const STRIDE: PartNo = 4;
/// Single reads after which the rows between them are expected to be read too.
const SCATTERED_MAX: u32 = 16;
/// Rows that may wait in one transaction.
const WAITING_MAX: usize = 20_000;

/// Key of a barrier instance.
pub(crate) type BarrierKey = (JobNo, StepNo, String);

/// Rows that a transaction has read. They stay valid until it ends, because no other process writes meanwhile.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) units: IdMap<UnitId, Option<UnitRow>>,
    pub(crate) partitions: IdMap<(JobNo, PartNo), Partition>,
    pub(crate) barriers: HashMap<BarrierKey, Option<BarrierRow>>,
    /// Members of prefetched partitions, until they are read.
    pub(crate) members: IdMap<(JobNo, PartNo), Vec<Asset>>,
    /// Open jobs: all of them, and perhaps some that have ended since.
    pub(crate) open: Option<Vec<JobNo>>,
    pub(crate) jobs: IdMap<JobNo, JobRow>,
    pub(crate) steps: IdMap<JobNo, Vec<StepRow>>,
    /// When the next retry is due, unless a retry was touched since.
    pub(crate) due: Option<Option<Timestamp>>,
    /// The greatest asset in the listing of a job, as far as this transaction knows.
    pub(crate) listed_to: IdMap<JobNo, Option<String>>,
    pub(crate) walks: Walks,
    /// Whether the listing of a large job has been sealed.
    pub(crate) sealed: bool,
}

/// The pattern of single reads.
#[derive(Default)]
pub(crate) struct Walks {
    pub(crate) units: Walk,
    pub(crate) partitions: Walk,
    barriers: u32,
}

impl Walks {
    /// The number of instances to read for a single one.
    pub(crate) fn barriers(&mut self) -> i64 {
        self.barriers += 1;
        if self.barriers < 3 { 1 } else { AHEAD }
    }
}

/// The pattern of single reads along partitions.
#[derive(Default)]
pub(crate) struct Walk {
    last: PartNo,
    steps: u32,
    reads: u32,
}

impl Walk {
    /// The number of rows to read for a single one: one for scattered reads, more for sequential or frequent ones.
    pub(crate) fn ahead(&mut self, part: PartNo) -> i64 {
        let onward = (1..=STRIDE).contains(&(part - self.last));
        (self.last, self.steps) = (part, if onward { self.steps + 1 } else { 0 });
        self.reads += 1;
        if self.steps < 2 && self.reads < SCATTERED_MAX {
            1
        } else {
            AHEAD
        }
    }
}

/// Whether a unit had a row before this transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Before {
    /// It had none.
    None,
    /// It had one, or that was not read.
    Perhaps,
}

/// Rows that a transaction has still to write, in key order.
#[derive(Default)]
pub(crate) struct Waiting {
    pub(crate) units: BTreeMap<UnitId, (UnitRow, Before)>,
    /// Whether one of them is or was retrying.
    pub(crate) retries: bool,
    pub(crate) jobs: BTreeMap<JobNo, JobRow>,
    pub(crate) steps: BTreeMap<(JobNo, StepNo), StepDelta>,
    pub(crate) cursors: BTreeMap<(JobNo, StepNo), PartNo>,
    pub(crate) growth: BTreeMap<BarrierKey, BarrierGrowth>,
    pub(crate) barriers: BTreeMap<BarrierKey, BarrierRow>,
    pub(crate) failures: BTreeMap<UnitId, Vec<(String, Failure)>>,
}

/// One transaction of PostgreSQL.
pub struct PostgresTx<'a> {
    link: &'a mut Link,
    pub(crate) prefetcher: Option<&'a mut Prefetcher>,
    pub(crate) seen: Seen,
    pub(crate) waiting: Waiting,
    /// The failed statement, after which the server rejects all others.
    broken: Option<String>,
}

impl<'a> PostgresTx<'a> {
    pub(super) fn new(
        link: &'a mut Link,
        prefetcher: Option<&'a mut Prefetcher>,
        seen: Seen,
    ) -> PostgresTx<'a> {
        PostgresTx {
            link,
            prefetcher,
            seen,
            waiting: Waiting::default(),
            broken: None,
        }
    }

    /// Writes the rows that wait; returns the rows that were seen. An error that a service ignored is returned here, so
    /// that nothing is committed.
    pub(crate) fn finish(mut self) -> StoreResult<Seen> {
        if let Some(why) = &self.broken {
            return Err(StoreError::Database(format!(
                "a statement of this transaction failed: {why}"
            )));
        }
        self.flush_jobs()?;
        self.flush_barriers()?;
        self.flush_units()?;
        self.flush_failures()?;
        self.flush_steps()?;
        Ok(self.seen)
    }

    /// Bounds the rows that wait.
    pub(crate) fn flush_when_many(&mut self) -> StoreResult<()> {
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

    pub(crate) fn run(&mut self, sql: &str, params: Params<'_>) -> StoreResult<u64> {
        let answer = self.link.run(sql, params);
        let rows = self.checked(answer)?;
        cost::statement(usize::try_from(rows).unwrap_or(usize::MAX));
        Ok(rows)
    }

    /// Sends a statement without waiting for its answer; a failure is reported at the latest by the commit.
    pub(crate) fn later(&mut self, sql: &str, params: OwnParams) -> StoreResult<()> {
        cost::statement(1);
        let answer = self.link.later(sql, params);
        self.checked(answer)
    }

    /// The same with shared values.
    pub(crate) fn later_with<const N: usize>(
        &mut self,
        sql: &str,
        values: [Value<'_>; N],
    ) -> StoreResult<()> {
        self.later(
            sql,
            values
                .into_iter()
                .map(|value| Box::new(value.into_owned()) as Box<dyn ToSql + Sync + Send>)
                .collect(),
        )
    }

    pub(crate) fn copy(&mut self, sql: &str, rows: CopyRows) -> StoreResult<()> {
        cost::statement(rows.count());
        let answer = self.link.copy(sql, rows);
        self.checked(answer)
    }

    pub(crate) fn all<T>(
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
}

/// Owned parameters of [`PostgresTx::later`].
macro_rules! own {
    ($($param:expr),* $(,)?) => { vec![$(Box::new($param)),*] };
}
pub(crate) use own;

/// Reads a column.
pub(crate) fn column<'r, T: FromSql<'r>>(row: &'r Row, index: usize) -> StoreResult<T> {
    row.try_get(index)
        .map_err(|e| StoreError::Corrupt(e.to_string()))
}

/// Reads a count: never negative; a negative one in the database is reported, not wrapped.
pub(crate) fn count<T: TryFrom<i64>>(row: &Row, index: usize) -> StoreResult<T> {
    let value: i64 = column(row, index)?;
    T::try_from(value).map_err(|_| StoreError::Corrupt(format!("column {index} holds {value}")))
}

/// SQL integers are signed.
pub(crate) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Text without NUL, which PostgreSQL cannot store and messages of tools may contain.
pub(crate) fn printable(text: &str) -> String {
    without_nul(text).into_owned()
}

/// The same without a copy where there is none.
pub(super) fn without_nul(text: &str) -> Cow<'_, str> {
    if text.contains('\0') {
        text.replace('\0', "\u{fffd}").into()
    } else {
        text.into()
    }
}
