//! The store on PostgreSQL: one connection, driven from the store's own thread, and the same statements as on SQLite
//! wherever the dialects agree.
//!
//! Three things differ from the file next door. Every row written or read costs no round trip of its own: bulk
//! primitives are one statement over arrays or one COPY, and what services write or ask one at a time is gathered
//! ([`tx`]). Writers take turns by an advisory lock held for the transaction, which makes several processes behave as
//! SQLite's one writer does, and a leader's transaction begins by checking that it still leads ([`leader`]). And the
//! connection may go away at any moment, so every call has a limit and a lost one is replaced at the next transaction.
mod address;
mod ahead;
mod barrier;
mod catalogue;
mod control;
mod copy;
mod deployment;
mod error;
mod failure;
mod job;
mod kept;
mod key;
mod leader;
mod link;
mod listing;
mod options;
mod pace;
mod partition;
mod retention;
mod rework;
mod schedule;
mod schema;
mod statistics;
mod step;
mod tls;
mod tombstone;
mod tx;
mod unit;
mod view;

use super::{StoreError, StoreResult, cost};
use address::Address;
use ahead::Ahead;
use error::{READ_ONLY, failed, is_lost, is_waiting, not_committed, said};
use kept::Kept;
use leader::Fence;
use link::{Link, NotDone};
pub use options::PostgresOptions;
use statistics::Statistics;
pub use tx::PostgresTx;
use tx::Seen;

/// One PostgreSQL database. Not to be used from within an async task: it waits.
pub struct Postgres {
    address: Address,
    options: PostgresOptions,
    link: Option<Link>,
    fence: Fence,
    kept: Kept,
    /// What a leader reads before it is asked; others have none.
    ahead: Option<Ahead>,
    statistics: Statistics,
}

impl Postgres {
    /// Connects, creates the schema or brings it up to date. Refuses a newer schema.
    pub fn open(url: &str, options: PostgresOptions) -> StoreResult<Postgres> {
        let address = Address::parse(url, &options)?;
        let mut postgres = Postgres::unconnected(address, options);
        postgres.connected()?;
        Ok(postgres)
    }

    fn unconnected(address: Address, options: PostgresOptions) -> Postgres {
        let (kept, statistics) = (Kept::default(), Statistics::default());
        Postgres { address, options, link: None, fence: Fence::Open, kept, ahead: None, statistics }
    }

    fn connected(&mut self) -> StoreResult<&mut Link> {
        let link = match self.link.take().filter(|link| !link.is_closed()) {
            Some(link) => link,
            None => {
                let mut link = Link::open(&self.address, &self.options)?;
                schema::bring_up_to_date(&mut link)?;
                link
            }
        };
        Ok(self.link.insert(link))
    }

    /// Begins a transaction, over a new connection when the old one turns out to be lost: nothing has been asked yet.
    fn begin(&mut self, sql: &str) -> StoreResult<Option<String>> {
        let again = self.link.is_some();
        match self.connected()?.script(sql) {
            Ok(answer) => return Ok(answer),
            Err(fault) if again && is_lost(&fault) => {
                tracing::warn!(?fault, "the database connection was lost");
                self.link = None;
            }
            Err(fault) if is_waiting(&fault) => {
                let error = self.give_up(failed(fault));
                if self.end_stuck()? == 0 {
                    return Err(error);
                }
            }
            Err(fault) => return Err(self.give_up(failed(fault))),
        }
        let begun = self.connected()?.script(sql);
        begun.map_err(|fault| self.give_up(failed(fault)))
    }

    /// Runs `work` in one transaction: all of it or nothing. No other process writes meanwhile.
    pub fn write<R>(&mut self, work: impl FnOnce(&mut PostgresTx<'_>) -> StoreResult<R>) -> StoreResult<R> {
        let Some(generation) = self.fence.held()? else {
            self.begin(leader::BEGIN_WRITING)?;
            cost::begin();
            return self.run(work, Seen::default()).map(|(result, _)| result).inspect(|_| cost::end());
        };
        let begun = self.begin(leader::BEGIN_LEADING)?.unwrap_or_default();
        let found = begun.split(':').next().and_then(|text| text.parse::<i64>().ok());
        if found != Some(generation) {
            self.fence = Fence::Lost;
            return Err(self.give_up(leader::another(generation, found.unwrap_or(0))));
        }
        let ahead = self.ahead.get_or_insert_default();
        ahead.begin();
        if !self.kept.is_for(&begun) {
            ahead.clear();
        }
        ahead.serve(&self.address, &self.options);
        let seen = self.kept.recall(&begun);
        cost::begin();
        let (result, seen) = self.run(work, seen)?;
        cost::end();
        if seen.sealed {
            self.statistics.renew(&self.address, &self.options);
        }
        self.kept.keep(begun, seen);
        Ok(result)
    }

    /// Runs `work` on one consistent snapshot; it can write nothing, and waits for no writer.
    pub fn read<R>(&mut self, work: impl FnOnce(&mut PostgresTx<'_>) -> StoreResult<R>) -> StoreResult<R> {
        self.begin("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")?;
        self.run(work, Seen::default()).map(|(result, _)| result)
    }

    /// Runs `work` in the transaction that has begun, and commits; returns also what the transaction has seen.
    fn run<R>(
        &mut self,
        work: impl FnOnce(&mut PostgresTx<'_>) -> StoreResult<R>,
        seen: Seen,
    ) -> StoreResult<(R, Seen)> {
        let link = self.link.as_mut().expect("a transaction has begun over it");
        let mut tx = PostgresTx::new(link, self.ahead.as_mut(), seen);
        let result = work(&mut tx).and_then(|result| tx.finish().map(|seen| (result, seen)));
        let result = result.map_err(|error| self.give_up(error))?;
        let link = self.link.as_mut().expect("it is kept while nothing fails");
        crate::failpoint::pass("before-commit");
        match link.commit() {
            Ok(()) => Ok(result),
            Err(NotDone::Before(fault)) => Err(self.give_up(failed(fault))),
            Err(NotDone::Itself(fault)) => {
                let error = not_committed(&fault).unwrap_or_else(|| {
                    StoreError::Database(format!("whether the last commit took effect is unknown: {}", said(&fault)))
                });
                Err(self.give_up(error))
            }
        }
    }

    /// Ends the transaction without effect, and the connection with it when that fails or it is of no more use.
    fn give_up(&mut self, error: StoreError) -> StoreError {
        let usable = !matches!(&error, StoreError::Busy(why) if why.starts_with(READ_ONLY));
        let kept = self.link.take().filter(|link| usable && !link.is_closed());
        self.link = kept.and_then(|mut link| link.script("ROLLBACK").is_ok().then_some(link));
        error
    }
}
