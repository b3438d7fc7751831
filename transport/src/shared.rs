//! The connection of short commands. After it broke, the next command opens another one, with backoff: to the present master,
//! with the present password.
use crate::alarm::Alarm;
use crate::connection::{Connection, Request, connection_like, unusable};
use crate::server::Server;
use crate::server_run_id::{self, ServerRunId};
use parking_lot::Mutex;
use redis::{RedisResult, Value};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex as AsyncMutex;

/// Backoff after a failed connect, doubled up to [`BACKOFF_MAX`].
const BACKOFF_MIN: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// A connection, with the run id of its server where that can be read.
type Opened = (Connection, Option<ServerRunId>);

struct State {
    server: Server,
    timeout: Duration,
    /// Whether a command that may have been executed is never repeated.
    at_most_once: bool,
    /// The number of the last connection, and that connection while it is open.
    open: Mutex<(u64, Option<Opened>)>,
    /// Locked while a connection is opened: when the next attempt is due, and the backoff after it.
    opening: AsyncMutex<(Instant, Duration)>,
    alarm: Alarm,
}

async fn open(server: &Server, timeout: Duration, at_most_once: bool) -> RedisResult<Opened> {
    let opened = if at_most_once {
        server.open_at_most_once(timeout).await
    } else {
        server.open(timeout).await
    };
    let mut connection = opened?;
    let run_id = server_run_id::read(&mut connection).await;
    Ok((connection, run_id))
}

/// A handle; clones share one connection.
#[derive(Clone)]
pub struct SharedConnection(Arc<State>);

impl SharedConnection {
    /// Opens a connection; `timeout` bounds each reply. Fails when the server cannot be used now.
    pub async fn open(server: Server, timeout: Duration) -> RedisResult<SharedConnection> {
        SharedConnection::connect(server, timeout, false).await
    }

    /// A connection that never repeats a command. Only the client of a cluster repeats commands by itself, so elsewhere
    /// this is the same connection.
    pub async fn at_most_once(&self) -> RedisResult<SharedConnection> {
        if self.0.at_most_once || !self.0.server.is_cluster() {
            return Ok(self.clone());
        }
        SharedConnection::connect(self.0.server.clone(), self.0.timeout, true).await
    }

    async fn connect(
        server: Server,
        timeout: Duration,
        at_most_once: bool,
    ) -> RedisResult<SharedConnection> {
        let opened = open(&server, timeout, at_most_once).await?;
        Ok(SharedConnection(Arc::new(State {
            server,
            timeout,
            at_most_once,
            open: Mutex::new((0, Some(opened))),
            opening: AsyncMutex::new((Instant::now(), BACKOFF_MIN)),
            alarm: Alarm::new("Redis cannot be used; retrying"),
        })))
    }

    /// The run id of the present server, where it can be read.
    pub async fn server_run_id(&self) -> RedisResult<Option<ServerRunId>> {
        Ok(self.current().await?.2)
    }

    /// The open connection with its number, or a new one.
    async fn current(&self) -> RedisResult<(u64, Connection, Option<ServerRunId>)> {
        let now_open = || {
            let open = self.0.open.lock();
            open.1
                .clone()
                .map(|(connection, run_id)| (open.0, connection, run_id))
        };
        if let Some(open) = now_open() {
            return Ok(open);
        }
        let mut opening = self.0.opening.lock().await;
        if let Some(open) = now_open() {
            return Ok(open);
        }
        tokio::time::sleep(opening.0.saturating_duration_since(Instant::now())).await;
        match open(&self.0.server, self.0.timeout, self.0.at_most_once).await {
            Ok((connection, run_id)) => {
                *opening = (Instant::now() + BACKOFF_MIN, BACKOFF_MIN);
                let mut open = self.0.open.lock();
                open.0 += 1;
                open.1 = Some((connection.clone(), run_id.clone()));
                Ok((open.0, connection, run_id))
            }
            Err(error) => {
                self.0.alarm.raise(&error);
                let backoff = opening.1.mul_f64(0.5 + fastrand::f64());
                *opening = (Instant::now() + backoff, (opening.1 * 2).min(BACKOFF_MAX));
                Err(error)
            }
        }
    }

    /// Closes connection `number` when its reply shows that it is unusable.
    fn inspect(&self, number: u64, reply: &RedisResult<Vec<Value>>) {
        let Some(error) = unusable(reply) else {
            return self.0.alarm.clear();
        };
        self.0.alarm.raise(&error);
        let mut open = self.0.open.lock();
        if open.0 == number {
            open.1 = None;
        }
    }
}

impl SharedConnection {
    async fn exchange(&mut self, request: Request<'_>) -> RedisResult<Vec<Value>> {
        let (number, mut connection, _) = self.current().await?;
        let reply = request.send(&mut connection).await;
        self.inspect(number, &reply);
        reply
    }
}

connection_like!(SharedConnection);
