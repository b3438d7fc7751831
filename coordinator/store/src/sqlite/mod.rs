//! The store on SQLite: one writer connection on its own thread, in WAL mode, with `synchronous=FULL` because units are
//! dispatched after a commit.
mod sql;

use crate::cost;
use crate::error::{StoreError, StoreResult};
use crate::migration::next;
use protocol::id::UnitId;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, Statement, StatementStatus, TransactionBehavior};
use std::cell::Cell;
use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

const CACHE_KIB: i64 = 48 * 1024;
/// Cache of a reader, which mostly walks along a key once.
const READER_CACHE_KIB: i64 = 4 * 1024;
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// One SQLite database, opened for writing.
pub struct Sqlite {
    connection: Connection,
    steps: Cell<u64>,
}

/// One transaction of SQLite.
pub struct SqliteTx<'a> {
    pub(crate) db: &'a Connection,
    steps: &'a Cell<u64>,
    /// Units without a row, as this transaction has read. No other process writes meanwhile.
    pub(crate) absent: HashSet<UnitId>,
}

impl<'a> SqliteTx<'a> {
    fn new(db: &'a Connection, steps: &'a Cell<u64>) -> SqliteTx<'a> {
        SqliteTx {
            db,
            steps,
            absent: HashSet::new(),
        }
    }
}

impl Sqlite {
    /// Opens or creates the database and migrates its schema. A newer schema is an error.
    pub fn open(path: &Path) -> StoreResult<Sqlite> {
        let connection = Connection::open(path).map_err(failed)?;
        Sqlite::prepare(connection)
    }

    /// Opens an existing database for reading only, while a coordinator may run.
    pub fn open_read_only(path: &Path) -> StoreResult<Sqlite> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
        connection.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
        connection
            .pragma_update(None, "cache_size", -READER_CACHE_KIB)
            .map_err(failed)?;
        settle_plans(&connection, 64)?;
        next(version(&connection)?)?;
        Ok(Sqlite {
            connection,
            steps: Cell::new(0),
        })
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
            let tx = connection
                .transaction_with_behavior(TransactionBehavior::Immediate)
                .map_err(failed)?;
            // Another process may have run the migration while this one waited for the lock.
            if let Some((version, migration)) = next(version(&tx)?)? {
                tracing::info!(
                    migration = migration.name,
                    "bringing the database's schema up to date"
                );
                tx.execute_batch(&migration.for_sqlite()).map_err(failed)?;
                tx.pragma_update(None, "user_version", version)
                    .map_err(failed)?;
            }
            tx.commit().map_err(failed)?;
        }
        Ok(Sqlite {
            connection,
            steps: Cell::new(0),
        })
    }

    /// Runs `work` in one transaction: all of it or nothing.
    pub fn write<R>(
        &mut self,
        work: impl FnOnce(&mut SqliteTx<'_>) -> StoreResult<R>,
    ) -> StoreResult<R> {
        let tx = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(failed)?;
        cost::begin();
        let result = work(&mut SqliteTx::new(&tx, &self.steps))?;
        cost::end();
        tx.commit().map_err(failed)?;
        Ok(result)
    }

    /// Runs `work` on one consistent snapshot; what it writes is discarded.
    pub fn read<R>(
        &mut self,
        work: impl FnOnce(&mut SqliteTx<'_>) -> StoreResult<R>,
    ) -> StoreResult<R> {
        let tx = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Deferred)
            .map_err(failed)?;
        work(&mut SqliteTx::new(&tx, &self.steps))
    }

    /// Runs `work` as [`Sqlite::write`] does and rolls it back, to preview its effects. It waits for its turn as a write does:
    /// a read transaction could not become a write after a coordinator has written.
    pub fn preview<R>(
        &mut self,
        work: impl FnOnce(&mut SqliteTx<'_>) -> StoreResult<R>,
    ) -> StoreResult<R> {
        let tx = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(failed)?;
        work(&mut SqliteTx::new(&tx, &self.steps))
    }

    /// Steps of SQLite's virtual machine for the statements of transactions: the cost of their plans on any computer.
    pub fn steps(&self) -> u64 {
        self.steps.get()
    }

    /// The connection, for plain SQL over the views.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }
}

/// Keeps plans of prepared statements stable. Otherwise a new value of some parameters plans the statement again, which took a
/// third of the time of the writer in a job over small files.
fn settle_plans(connection: &Connection, statements: usize) -> StoreResult<()> {
    connection.set_prepared_statement_cache_capacity(statements);
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)
        .map(drop)
        .map_err(failed)
}

/// The version of the schema, from the header of the file.
fn version(connection: &Connection) -> StoreResult<i64> {
    connection
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .map_err(failed)
}

/// Maps an error of the database to the reaction it needs.
pub(crate) fn failed(error: rusqlite::Error) -> StoreError {
    use rusqlite::Error as E;
    if let E::InvalidColumnName(_)
    | E::IntegralValueOutOfRange(..)
    | E::FromSqlConversionFailure(..)
    | E::InvalidColumnType(..) = error
    {
        // The statement is valid; the value is not.
        return StoreError::Corrupt(error.to_string());
    }
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            StoreError::Busy(error.to_string())
        }
        Some(ErrorCode::DiskFull) => StoreError::Full(error.to_string()),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            StoreError::Corrupt(error.to_string())
        }
        _ => StoreError::Database(error.to_string()),
    }
}

impl SqliteTx<'_> {
    pub(crate) fn count(&self, statement: &Statement<'_>) {
        let taken = statement.reset_status(StatementStatus::VmStep);
        self.steps.set(
            self.steps
                .get()
                .saturating_add(u64::try_from(taken).unwrap_or(0)),
        );
    }

    pub(crate) fn run(&self, sql: &str, params: impl rusqlite::Params) -> StoreResult<usize> {
        let mut statement = self.db.prepare_cached(sql).map_err(failed)?;
        let changed = statement.execute(params).map_err(failed);
        self.count(&statement);
        // A statement costs no round trip here, only its rows.
        cost::rows(changed.as_ref().map_or(1, |rows| (*rows).max(1)));
        changed
    }

    pub(crate) fn all<T>(
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

    pub(crate) fn one<T>(
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
