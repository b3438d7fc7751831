//! The store on PostgreSQL: one connection, driven from the store's own thread, and the same statements as on SQLite
//! wherever the dialects agree.
//!
//! Three things differ from SQLite. No row costs a round trip of its own: bulk primitives are one statement over arrays or
//! one COPY, and single reads and writes are gathered ([`tx`]). Writers take turns by an advisory lock that a transaction
//! holds, so that several processes behave as SQLite's one writer, and a leader's transaction begins by checking that it
//! still leads ([`turn`]). The connection may be lost at any moment, so every call has a limit, and the next transaction
//! replaces a lost connection.
mod address;
pub(crate) mod copy;
mod error;
mod leader_cache;
mod lease;
mod link;
mod options;
mod prefetch;
mod schema;
mod sql;
pub(crate) mod statistics;
mod tls;
mod turn;
pub(crate) mod tx;

pub use options::PostgresOptions;
pub use tx::PostgresTx;

use crate::error::{StoreError, StoreResult};
use crate::job::JobTx as _;
use crate::partition::PartitionTx as _;
use crate::{cost, failpoint};
use address::Address;
use error::{READ_ONLY, failed, is_lost, is_waiting, not_committed, said};
use leader_cache::LeaderCache;
use link::{Link, NotDone};
use prefetch::Prefetcher;
use statistics::Statistics;
use turn::Fence;
use tx::Seen;

/// One PostgreSQL database. Its calls block, so an async task must not use it.
pub struct Postgres {
    address: Address,
    options: PostgresOptions,
    link: Option<Link>,
    fence: Fence,
    cache: LeaderCache,
    /// Only a leader prefetches.
    prefetcher: Option<Prefetcher>,
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
        let (cache, statistics) = (LeaderCache::default(), Statistics::default());
        Postgres {
            address,
            options,
            link: None,
            fence: Fence::Open,
            cache,
            prefetcher: None,
            statistics,
        }
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

    /// Begins a transaction, over a new connection when the old one was lost.
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
    pub fn write<R>(
        &mut self,
        work: impl FnOnce(&mut PostgresTx<'_>) -> StoreResult<R>,
    ) -> StoreResult<R> {
        let Some(generation) = self.fence.held()? else {
            self.begin(turn::BEGIN_WRITING)?;
            cost::begin();
            return self
                .run(work, Seen::default())
                .map(|(result, _)| result)
                .inspect(|_| cost::end());
        };
        let begun = self.begin(turn::BEGIN_LEADING)?.unwrap_or_default();
        let found = begun
            .split(':')
            .next()
            .and_then(|text| text.parse::<i64>().ok());
        if found != Some(generation) {
            self.fence = Fence::Lost;
            return Err(self.give_up(turn::another(generation, found.unwrap_or(0))));
        }
        let prefetcher = self.prefetcher.get_or_insert_default();
        prefetcher.begin();
        if !self.cache.is_for(&begun) {
            prefetcher.clear();
        }
        prefetcher.start_with(|| page_reader(self.address.clone(), self.options.clone()));
        let seen = self.cache.recall(&begun);
        cost::begin();
        let (result, seen) = self.run(work, seen)?;
        cost::end();
        if seen.sealed {
            self.statistics.renew(&self.address, &self.options);
        }
        self.cache.keep(begun, seen);
        Ok(result)
    }

    /// Runs `work` on one consistent snapshot; it can write nothing, and waits for no writer.
    pub fn read<R>(
        &mut self,
        work: impl FnOnce(&mut PostgresTx<'_>) -> StoreResult<R>,
    ) -> StoreResult<R> {
        self.begin("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")?;
        self.run(work, Seen::default()).map(|(result, _)| result)
    }

    /// Runs `work` in the transaction that has begun, and commits; returns also the rows it has seen.
    fn run<R>(
        &mut self,
        work: impl FnOnce(&mut PostgresTx<'_>) -> StoreResult<R>,
        seen: Seen,
    ) -> StoreResult<(R, Seen)> {
        let link = self.link.as_mut().expect("a transaction has begun over it");
        let mut tx = PostgresTx::new(link, self.prefetcher.as_mut(), seen);
        let result = work(&mut tx).and_then(|result| tx.finish().map(|seen| (result, seen)));
        let result = result.map_err(|error| self.give_up(error))?;
        let link = self.link.as_mut().expect("it is kept while nothing fails");
        failpoint::pass("before-commit");
        match link.commit() {
            Ok(()) => Ok(result),
            Err(NotDone::Before(fault)) => Err(self.give_up(failed(fault))),
            Err(NotDone::Itself(fault)) => {
                let error = not_committed(&fault).unwrap_or_else(|| {
                    StoreError::Database(format!(
                        "whether the last commit took effect is unknown: {}",
                        said(&fault)
                    ))
                });
                Err(self.give_up(error))
            }
        }
    }

    /// Rolls the transaction back. Closes the connection when that fails or the server became a replica.
    fn give_up(&mut self, error: StoreError) -> StoreError {
        let usable = !matches!(&error, StoreError::Busy(why) if why.starts_with(READ_ONLY));
        let kept = self.link.take().filter(|link| usable && !link.is_closed());
        self.link = kept.and_then(|mut link| link.script("ROLLBACK").is_ok().then_some(link));
        error
    }
}

/// Reads partitions with their members over a connection of its own.
fn page_reader(address: Address, options: PostgresOptions) -> prefetch::ReadPage {
    let mut postgres = Postgres::unconnected(address, options);
    Box::new(move |job, after, limit| {
        postgres.read(|tx| {
            let planned = tx.job(job)?.map_or(0, |row| row.parts_planned);
            let limit = u32::try_from(planned.saturating_sub(after))
                .unwrap_or(0)
                .min(limit);
            let partitions = tx.partitions_after(job, after, limit)?;
            let members = tx.members(job, &partitions)?;
            Ok(partitions.into_iter().zip(members).collect())
        })
    })
}
