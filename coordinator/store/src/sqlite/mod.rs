//! The store on SQLite: one writer connection on its own thread, WAL, `synchronous=FULL` because a commit allows units
//! to be handed out.
mod barrier;
mod catalogue;
mod control;
mod deployment;
mod job;
mod key;
mod listing;
mod pace;
mod partition;
mod retention;
mod rework;
mod schedule;
mod tombstone;
mod unit;
mod view;

pub use super::view::{UnitFilter, UnitView};

use super::migration::next;
use super::{StoreError, StoreResult, cost};
use protocol::id::UnitId;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, Statement, StatementStatus, TransactionBehavior};
use std::cell::Cell;
use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

const CACHE_KIB: i64 = 48 * 1024;
/// What a reader keeps: it mostly walks along a key once.
const READER_CACHE_KIB: i64 = 4 * 1024;
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// One SQLite database, opened for writing.
pub struct Sqlite {
    connection: Connection,
    /// See [`Sqlite::steps`].
    steps: Cell<u64>,
}

/// One transaction.
pub struct SqliteTx<'a> {
    pub(super) db: &'a Connection,
    steps: &'a Cell<u64>,
    /// Units this transaction has found to have no row. Nobody else writes meanwhile.
    pub(super) absent: HashSet<UnitId>,
}

impl<'a> SqliteTx<'a> {
    fn new(db: &'a Connection, steps: &'a Cell<u64>) -> SqliteTx<'a> {
        SqliteTx { db, steps, absent: HashSet::new() }
    }
}

impl Sqlite {
    /// Opens or creates the database and brings its schema up to date. Refuses a newer schema.
    pub fn open(path: &Path) -> StoreResult<Sqlite> {
        let connection = Connection::open(path).map_err(failed)?;
        Sqlite::prepare(connection)
    }

    /// Opens an existing database for reading only, beside a running coordinator.
    pub fn open_read_only(path: &Path) -> StoreResult<Sqlite> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
        connection.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
        connection.pragma_update(None, "cache_size", -READER_CACHE_KIB).map_err(failed)?;
        settle_plans(&connection, 64)?;
        next(version(&connection)?)?;
        Ok(Sqlite { connection, steps: Cell::new(0) })
    }

    fn prepare(mut connection: Connection) -> StoreResult<Sqlite> {
        connection.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
        let settings = format!(
            "PRAGMA page_size=8192; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-{CACHE_KIB};
             PRAGMA temp_store=FILE; PRAGMA wal_autocheckpoint=2000; PRAGMA journal_size_limit=67108864;"
        );
        connection.execute_batch(&settings).map_err(failed)?;
        settle_plans(&connection, 128)?;
        while next(version(&connection)?)?.is_some() {
            let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
            // Another process may have taken it while this one waited for the lock.
            if let Some((version, migration)) = next(version(&tx)?)? {
                tracing::info!(migration = migration.name, "bringing the database's schema up to date");
                tx.execute_batch(migration.sqlite).map_err(failed)?;
                tx.pragma_update(None, "user_version", version).map_err(failed)?;
            }
            tx.commit().map_err(failed)?;
        }
        Ok(Sqlite { connection, steps: Cell::new(0) })
    }

    /// Runs `work` in one transaction: all of it or nothing.
    pub fn write<R>(&mut self, work: impl FnOnce(&mut SqliteTx<'_>) -> StoreResult<R>) -> StoreResult<R> {
        let tx = self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        cost::begin();
        let result = work(&mut SqliteTx::new(&tx, &self.steps))?;
        cost::end();
        tx.commit().map_err(failed)?;
        Ok(result)
    }

    /// Runs `work` on one consistent snapshot; what it writes is discarded.
    pub fn read<R>(&mut self, work: impl FnOnce(&mut SqliteTx<'_>) -> StoreResult<R>) -> StoreResult<R> {
        let tx = self.connection.transaction_with_behavior(TransactionBehavior::Deferred).map_err(failed)?;
        work(&mut SqliteTx::new(&tx, &self.steps))
    }

    /// Runs `work` as [`Sqlite::write`] would and takes everything back: says what would happen. Like a write it waits
    /// its turn; a read that turns into a write cannot, once a coordinator has written beside it.
    pub fn preview<R>(&mut self, work: impl FnOnce(&mut SqliteTx<'_>) -> StoreResult<R>) -> StoreResult<R> {
        let tx = self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        work(&mut SqliteTx::new(&tx, &self.steps))
    }

    /// Steps that the database's machine has taken for statements of transactions: what their plans cost, whatever the
    /// machine below.
    pub fn steps(&self) -> u64 {
        self.steps.get()
    }

    /// The connection, for plain SQL over the views.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }
}

/// Keeps prepared statements as they are. Otherwise each new value of some parameters has its statement planned anew: a third
/// of what the writer did in a job over small files.
fn settle_plans(connection: &Connection, statements: usize) -> StoreResult<()> {
    connection.set_prepared_statement_cache_capacity(statements);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map(drop).map_err(failed)
}

/// The version of the schema, kept in the file's header.
fn version(connection: &Connection) -> StoreResult<i64> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(failed)
}

/// Names a database error by what can be done about it.
pub(super) fn failed(error: rusqlite::Error) -> StoreError {
    use rusqlite::Error as E;
    if let E::InvalidColumnName(_)
    | E::IntegralValueOutOfRange(..)
    | E::FromSqlConversionFailure(..)
    | E::InvalidColumnType(..) = error
    {
        // The statement is sound; what it read is not.
        return StoreError::Corrupt(error.to_string());
    }
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Busy(error.to_string()),
        Some(ErrorCode::DiskFull) => StoreError::Full(error.to_string()),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreError::Corrupt(error.to_string()),
        _ => StoreError::Database(error.to_string()),
    }
}

pub(super) fn corrupt(what: &str, value: impl std::fmt::Display) -> StoreError {
    StoreError::Corrupt(format!("{what}: {value}"))
}

impl SqliteTx<'_> {
    pub(super) fn count(&self, statement: &Statement<'_>) {
        let taken = statement.reset_status(StatementStatus::VmStep);
        self.steps.set(self.steps.get().saturating_add(u64::try_from(taken).unwrap_or(0)));
    }

    pub(super) fn run(&self, sql: &str, params: impl rusqlite::Params) -> StoreResult<usize> {
        let mut statement = self.db.prepare_cached(sql).map_err(failed)?;
        let changed = statement.execute(params).map_err(failed);
        self.count(&statement);
        // A statement costs no journey here, only its work.
        cost::rows(changed.as_ref().map_or(1, |rows| (*rows).max(1)));
        changed
    }

    pub(super) fn all<T>(
        &self,
        sql: &str,
        params: impl rusqlite::Params,
        read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> StoreResult<Vec<T>> {
        let mut statement = self.db.prepare_cached(sql).map_err(failed)?;
        let rows = statement.query_map(params, read).map_err(failed)?;
        let found = rows.collect::<rusqlite::Result<Vec<T>>>().map_err(failed);
        self.count(&statement);
        cost::rows(found.as_ref().map_or(1, |rows| rows.len().max(1)));
        found
    }

    pub(super) fn one<T>(
        &self,
        sql: &str,
        params: impl rusqlite::Params,
        read: impl FnOnce(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> StoreResult<Option<T>> {
        cost::rows(1);
        let mut statement = self.db.prepare_cached(sql).map_err(failed)?;
        let found = statement.query_row(params, read);
        self.count(&statement);
        match found {
            Ok(row) => Ok(Some(row)),
            Err(rusqlite::Error::QueryReturnedNoRows) => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }
}
