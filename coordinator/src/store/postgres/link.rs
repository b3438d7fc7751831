//! One connection and its prepared statements, driven from the store's thread: every call waits, none for ever.
use super::address::Address;
use super::copy::CopyRows;
use super::{PostgresOptions, failed, refused};
use crate::store::{StoreError, StoreResult};
use futures_util::SinkExt;
use std::collections::HashMap;
use std::io::Cursor;
use std::pin::pin;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row, SimpleQueryMessage, Statement};

/// Parameters of a statement.
pub(super) type Params<'p> = &'p [&'p (dyn ToSql + Sync)];

/// Added to the server's own limit before the server is taken for dead.
const GRACE: Duration = Duration::from_secs(5);

/// Why a statement got no answer.
#[derive(Debug)]
pub(super) enum Fault {
    /// The driver or the server said so.
    Said(tokio_postgres::Error),
    /// Nothing came within this time, although the server ends statements earlier by itself.
    Silent(Duration),
}

impl Fault {
    fn no_table(&self) -> bool {
        matches!(self, Fault::Said(e) if e.code() == Some(&tokio_postgres::error::SqlState::UNDEFINED_TABLE))
    }
}

/// One connection.
pub(super) struct Link {
    client: Client,
    statements: HashMap<String, Statement>,
    patience: Duration,
    // Only while dropping is it gone.
    runtime: Option<Runtime>,
}

impl Drop for Link {
    fn drop(&mut self) {
        // A look-up of a name that hangs must not hold up the thread that gives the connection up.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Link {
    /// Connects and sets the limits of the session.
    pub(super) fn open(address: &Address, options: &PostgresOptions) -> StoreResult<Link> {
        let (config, tls) = address.ready()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| StoreError::Busy(format!("no runtime for the connection: {e}")))?;
        // The connection's own timeout is for one host and does not cover the handshake.
        let hosts = u32::try_from(config.get_hosts().len().max(1)).unwrap_or(u32::MAX);
        let patience = options.connect_timeout.saturating_mul(hosts) + GRACE;
        let client = runtime.block_on(async {
            let (client, connection) = tokio::time::timeout(patience, config.connect(tls))
                .await
                .map_err(|_| Fault::Silent(patience))?
                .map_err(Fault::Said)?;
            // It ends with the client; what it has to say reaches the statement that was under way.
            tokio::spawn(async move { drop(connection.await) });
            Ok(client)
        });
        let client = client.map_err(unreachable)?;
        let patience = options.statement_timeout + GRACE;
        let mut link = Link { client, statements: HashMap::new(), patience, runtime: Some(runtime) };
        link.script(&session(options)).map_err(failed)?;
        Ok(link)
    }

    /// Whether nothing more can be asked over it.
    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    fn wait<T>(&self, asked: impl Future<Output = Result<T, tokio_postgres::Error>>) -> Result<T, Fault> {
        let runtime = self.runtime.as_ref().expect("only a link that is being dropped has none");
        let answer = runtime.block_on(async { tokio::time::timeout(self.patience, asked).await });
        answer.map_err(|_| Fault::Silent(self.patience))?.map_err(Fault::Said)
    }

    /// Runs statements without parameters in one round trip; returns the first column of the last row.
    pub(super) fn script(&mut self, sql: &str) -> Result<Option<String>, Fault> {
        let messages = self.wait(self.client.simple_query(sql))?;
        let rows = messages.iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        Ok(rows.last().and_then(|row| row.get(0)).map(str::to_owned))
    }

    fn prepared(&mut self, sql: &str) -> Result<Statement, Fault> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.wait(self.client.prepare(sql))?;
        self.statements.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }

    /// Runs a statement; returns how many rows it touched.
    pub(super) fn run(&mut self, sql: &str, params: Params<'_>) -> Result<u64, Fault> {
        let statement = self.prepared(sql)?;
        self.wait(self.client.execute(&statement, params))
    }

    /// Runs a query.
    pub(super) fn query(&mut self, sql: &str, params: Params<'_>) -> Result<Vec<Row>, Fault> {
        let statement = self.prepared(sql)?;
        self.wait(self.client.query(&statement, params))
    }

    /// Copies rows into a table.
    pub(super) fn copy(&mut self, sql: &str, rows: CopyRows) -> Result<(), Fault> {
        let statement = self.prepared(sql)?;
        self.wait(async {
            let mut sink = pin!(self.client.copy_in(&statement).await?);
            sink.send(Cursor::new(rows.finish())).await?;
            sink.finish().await
        })?;
        Ok(())
    }
}

/// What the session may take its time with. Plans that read or hash whole tables can only come from statistics that are
/// behind: every statement of this store walks along a key.
fn session(options: &PostgresOptions) -> String {
    let ms = |limit: Duration| limit.as_millis();
    format!(
        "SET statement_timeout = {}; SET lock_timeout = {}; SET idle_in_transaction_session_timeout = {};
         SET tcp_user_timeout = {}; SET tcp_keepalives_idle = {}; SET tcp_keepalives_interval = {};
         SET tcp_keepalives_count = 3; SET client_min_messages = warning; SET jit = off;
         SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off;
         SET enable_bitmapscan = off",
        ms(options.statement_timeout),
        ms(options.lock_timeout),
        ms(options.idle_timeout),
        ms(options.silence_max),
        options.silence_max.as_secs().max(1),
        (options.silence_max.as_secs() / 3).max(1),
    )
}

/// A database that does not answer is waited for; one that says no is not.
fn unreachable(fault: Fault) -> StoreError {
    match failed(fault) {
        StoreError::Database(why) => StoreError::Busy(format!("cannot connect: {why}")),
        other => other,
    }
}

/// The schema version this database has, 0 when it has none.
pub(super) fn schema_version(link: &mut Link) -> StoreResult<i64> {
    match link.script("SELECT value FROM meta WHERE key = 'schema_version'") {
        Ok(None) => Ok(0),
        Ok(Some(text)) => text.parse().map_err(|_| refused(format!("schema_version {text:?} is no number"))),
        Err(fault) if fault.no_table() => Ok(0),
        Err(fault) => Err(failed(fault)),
    }
}
