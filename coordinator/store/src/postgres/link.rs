//! One connection and its prepared statements, driven from the thread of the store. Every call blocks, with a limit.
use super::address::Address;
use super::copy::CopyRows;
use super::error::{Fault, failed, refused};
use super::options::PostgresOptions;
use crate::error::{StoreError, StoreResult};
use futures_util::SinkExt;
use futures_util::future::poll_immediate;
use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Cursor;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row, SimpleQueryMessage, Statement};

/// Parameters of a statement.
pub(crate) type Params<'p> = &'p [&'p (dyn ToSql + Sync)];
/// Parameters of a statement whose answer is not waited for.
pub(crate) type OwnParams = Vec<Box<dyn ToSql + Sync + Send>>;
/// The answer to a statement that has been sent.
type Answer = Pin<Box<dyn Future<Output = Result<u64, tokio_postgres::Error>> + Send>>;

/// Added to the limit of the server before the connection counts as lost.
const GRACE: Duration = Duration::from_secs(5);

/// How long a prepared statement is used. Its plan fits the size of the tables at that time; an empty table may have grown by
/// millions of rows since.
const PLAN_KEPT: Duration = Duration::from_secs(20);

/// How a COMMIT failed.
#[derive(Debug)]
pub(super) enum NotDone {
    /// A statement before it failed: nothing was committed.
    Before(Fault),
    /// The COMMIT itself failed, or its answer was lost.
    Itself(Fault),
}

/// One connection with its prepared statements.
pub(super) struct Link {
    client: Arc<Client>,
    /// Answers that are still outstanding, in the order of their statements.
    sent: Vec<Answer>,
    /// Prepared statements by text, with the time of preparation.
    statements: HashMap<String, (Statement, Instant)>,
    patience: Duration,
    // `None` only while the link is dropped.
    runtime: Option<Runtime>,
}

impl Drop for Link {
    fn drop(&mut self) {
        // A hanging name look-up must not block the thread that drops the connection.
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
            // It ends with the client; its errors reach the current statement.
            tokio::spawn(async move { drop(connection.await) });
            Ok(client)
        });
        let client = client.map_err(unreachable)?;
        let patience = options.statement_timeout + GRACE;
        let mut link = Link {
            client: Arc::new(client),
            sent: Vec::new(),
            statements: HashMap::new(),
            patience,
            runtime: Some(runtime),
        };
        link.script(&session(options)).map_err(failed)?;
        Ok(link)
    }

    /// Whether the connection is closed.
    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Waits for an answer and for all outstanding ones: the first failure caused the others.
    fn wait<T>(
        &mut self,
        asked: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, Fault> {
        let sent = std::mem::take(&mut self.sent);
        self.block_on(async {
            // Polled once, so that it is sent before the answers are awaited.
            let mut asked = std::pin::pin!(asked);
            let at_once = if sent.is_empty() {
                None
            } else {
                poll_immediate(&mut asked).await
            };
            for answer in sent {
                answer.await?;
            }
            match at_once {
                Some(answer) => answer,
                None => asked.await,
            }
        })
    }

    fn block_on<T>(
        &self,
        asked: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, Fault> {
        let runtime = self
            .runtime
            .as_ref()
            .expect("only a link that is being dropped has none");
        let answer = runtime.block_on(async { tokio::time::timeout(self.patience, asked).await });
        answer
            .map_err(|_| Fault::Silent(self.patience))?
            .map_err(Fault::Said)
    }

    /// Sends a statement and keeps its answer for later. The next call that waits reports its failure.
    fn send(&mut self, mut asked: Answer) -> Result<(), Fault> {
        let runtime = self
            .runtime
            .as_ref()
            .expect("only a link that is being dropped has none");
        let at_once = runtime.block_on(async {
            let at_once = poll_immediate(&mut asked).await;
            // The task of the connection writes it to the socket.
            tokio::task::yield_now().await;
            at_once
        });
        match at_once {
            Some(answer) => answer.map(drop).map_err(Fault::Said),
            None => {
                self.sent.push(asked);
                Ok(())
            }
        }
    }

    /// Runs statements without parameters in one round trip; returns the first column of the last row.
    pub(super) fn script(&mut self, sql: &str) -> Result<Option<String>, Fault> {
        let client = Arc::clone(&self.client);
        let messages = self.wait(client.simple_query(sql))?;
        let rows = messages.iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        Ok(rows.last().and_then(|row| row.get(0)).map(str::to_owned))
    }

    fn prepared(&mut self, sql: &str) -> Result<Statement, Fault> {
        let fresh = self
            .statements
            .get(sql)
            .filter(|(_, at)| at.elapsed() < PLAN_KEPT);
        if let Some((statement, _)) = fresh {
            return Ok(statement.clone());
        }
        let client = Arc::clone(&self.client);
        let statement = self.wait(client.prepare(&numbered(sql)))?;
        self.statements
            .insert(sql.to_owned(), (statement.clone(), Instant::now()));
        Ok(statement)
    }

    /// Runs a statement; returns the number of rows it changed.
    pub(super) fn run(&mut self, sql: &str, params: Params<'_>) -> Result<u64, Fault> {
        let statement = self.prepared(sql)?;
        let client = Arc::clone(&self.client);
        self.wait(client.execute(&statement, params))
    }

    /// Runs a query.
    pub(super) fn query(&mut self, sql: &str, params: Params<'_>) -> Result<Vec<Row>, Fault> {
        let statement = self.prepared(sql)?;
        let client = Arc::clone(&self.client);
        self.wait(client.query(&statement, params))
    }

    /// Sends a statement without waiting for its answer.
    pub(super) fn later(&mut self, sql: &str, params: OwnParams) -> Result<(), Fault> {
        let (statement, client) = (self.prepared(sql)?, Arc::clone(&self.client));
        self.send(Box::pin(async move {
            client.execute_raw(&statement, params).await
        }))
    }

    /// Copies rows into a table without waiting for the answer.
    pub(super) fn copy(&mut self, sql: &str, rows: CopyRows) -> Result<(), Fault> {
        let (statement, client) = (self.prepared(sql)?, Arc::clone(&self.client));
        let sink = self.wait(async {
            let mut sink = Box::pin(client.copy_in(&statement).await?);
            sink.send(Cursor::new(rows.finish())).await?;
            Ok(sink)
        });
        let mut sink = sink?;
        self.send(Box::pin(async move { sink.as_mut().finish().await }))
    }

    /// Commits after all outstanding statements have succeeded.
    pub(super) fn commit(&mut self) -> Result<(), NotDone> {
        let (sent, client) = (std::mem::take(&mut self.sent), Arc::clone(&self.client));
        let mut before = true;
        let committed = self.block_on(async {
            // Sent with the others: after a failed statement the server treats it as a ROLLBACK.
            let mut commit = std::pin::pin!(client.simple_query("COMMIT"));
            let at_once = poll_immediate(&mut commit).await;
            for answer in sent {
                answer.await?;
            }
            before = false;
            match at_once {
                Some(answer) => answer,
                None => commit.await,
            }
        });
        match committed {
            Ok(_) => Ok(()),
            // A connection that was lost during a statement may have delivered the COMMIT already.
            Err(fault @ Fault::Said(_)) if before && fault.is_of_server() => {
                Err(NotDone::Before(fault))
            }
            Err(fault) => Err(NotDone::Itself(fault)),
        }
    }
}

/// Limits and planner settings of a session. Every statement of this store walks along a key, so a plan that reads or hashes
/// whole tables can only come from outdated statistics. Plans are generic, because statistics of single values are outdated
/// or missing too.
fn session(options: &PostgresOptions) -> String {
    let ms = |limit: Duration| limit.as_millis();
    format!(
        "SET statement_timeout = {}; SET lock_timeout = {}; SET idle_in_transaction_session_timeout = {};
         SET tcp_user_timeout = {}; SET tcp_keepalives_idle = {}; SET tcp_keepalives_interval = {};
         SET tcp_keepalives_count = 3; SET client_min_messages = warning; SET jit = off;
         SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off;
         SET enable_bitmapscan = off; SET plan_cache_mode = force_generic_plan",
        ms(options.statement_timeout),
        ms(options.lock_timeout),
        ms(options.idle_timeout),
        ms(options.silence_max),
        options.silence_max.as_secs().max(1),
        (options.silence_max.as_secs() / 3).max(1),
    )
}

/// An unreachable database is retried; one that rejects the login is not.
fn unreachable(fault: Fault) -> StoreError {
    match failed(fault) {
        StoreError::Database(why) => StoreError::Busy(format!("cannot connect: {why}")),
        other => other,
    }
}

/// Rewrites parameters `?n` to `$n`. Texts between quotes stay as they are.
fn numbered(sql: &str) -> Cow<'_, str> {
    if !sql.contains('?') {
        return sql.into();
    }
    let (mut quoted, mut rewritten) = (false, String::with_capacity(sql.len()));
    for character in sql.chars() {
        quoted ^= character == '\'';
        rewritten.push(if character == '?' && !quoted {
            '$'
        } else {
            character
        });
    }
    rewritten.into()
}

/// The schema version this database has, 0 when it has none.
pub(super) fn schema_version(link: &mut Link) -> StoreResult<i64> {
    match link.script("SELECT value FROM meta WHERE key = 'schema_version'") {
        Ok(None) => Ok(0),
        Ok(Some(text)) => text
            .parse()
            .map_err(|_| refused(format!("schema_version {text:?} is no number"))),
        Err(fault) if fault.no_table() => Ok(0),
        Err(fault) => Err(failed(fault)),
    }
}

#[cfg(test)]
mod tests {
    use super::numbered;

    #[test]
    fn parameters_are_rewritten_outside_of_quotes() {
        assert_eq!(
            numbered("SELECT a FROM t WHERE b = ?1 AND c <> '?' AND d = ?12"),
            "SELECT a FROM t WHERE b = $1 AND c <> '?' AND d = $12"
        );
        assert_eq!(numbered("SELECT 1"), "SELECT 1");
    }
}
