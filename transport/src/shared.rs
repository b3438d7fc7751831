//! The connection of short commands. When it has broken the next command opens another, with back-off: to the server that
//! is the master by then, with the password that is valid by then.
use crate::alarm::Alarm;
use crate::link::{Link, is_broken, is_wrong_server};
use crate::run::{self, Run};
use crate::server::Server;
use parking_lot::Mutex;
use redis::aio::ConnectionLike;
use redis::{Cmd, Pipeline, RedisError, RedisFuture, RedisResult, Value};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex as AsyncMutex;

/// Pause after a connection that did not come up, doubled up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// A connection, with the server's run where it says it.
type Opened = (Link, Option<Run>);

struct State {
    server: Server,
    patience: Duration,
    /// Whether nothing may be said twice that may have been heard.
    once: bool,
    /// The open connection, and how many came before it.
    open: Mutex<(u64, Option<Opened>)>,
    /// Held while one is being opened: when the next attempt is due and the pause after it.
    opening: AsyncMutex<(Instant, Duration)>,
    alarm: Alarm,
}

/// A handle; its clones are one connection.
#[derive(Clone)]
pub struct Shared(Arc<State>);

impl Shared {
    /// Opens a connection whose replies may take as long as `patience`; fails when the server cannot be used now.
    pub async fn open(server: Server, patience: Duration) -> RedisResult<Shared> {
        Shared::opened(server, patience, false).await
    }

    /// Another one where this one might say a command twice by itself; this one elsewhere.
    pub async fn saying_once(&self) -> RedisResult<Shared> {
        if self.0.once || !self.0.server.is_cluster() {
            return Ok(self.clone());
        }
        Shared::opened(self.0.server.clone(), self.0.patience, true).await
    }

    async fn opened(server: Server, patience: Duration, once: bool) -> RedisResult<Shared> {
        let mut link = if once { server.open_once(patience).await? } else { server.open(patience).await? };
        let run = run::of(&mut link).await;
        Ok(Shared(Arc::new(State {
            server,
            patience,
            once,
            open: Mutex::new((0, Some((link, run)))),
            opening: AsyncMutex::new((Instant::now(), PAUSE_MIN)),
            alarm: Alarm::new("Redis cannot be used; trying again"),
        })))
    }

    /// The run of the server that commands go to now, when it can be told.
    pub async fn run(&self) -> RedisResult<Option<Run>> {
        Ok(self.link().await?.2)
    }

    async fn link(&self) -> RedisResult<(u64, Link, Option<Run>)> {
        let now_open = || {
            let open = self.0.open.lock();
            open.1.clone().map(|(link, run)| (open.0, link, run))
        };
        if let Some(open) = now_open() {
            return Ok(open);
        }
        let mut opening = self.0.opening.lock().await;
        if let Some(open) = now_open() {
            return Ok(open);
        }
        tokio::time::sleep(opening.0.saturating_duration_since(Instant::now())).await;
        let (server, patience) = (&self.0.server, self.0.patience);
        let opened = if self.0.once { server.open_once(patience).await } else { server.open(patience).await };
        match opened {
            Ok(mut link) => {
                let run = run::of(&mut link).await;
                *opening = (Instant::now() + PAUSE_MIN, PAUSE_MIN);
                let mut open = self.0.open.lock();
                open.0 += 1;
                open.1 = Some((link.clone(), run.clone()));
                Ok((open.0, link, run))
            }
            Err(error) => {
                self.0.alarm.raise(&error);
                let pause = opening.1.mul_f64(0.5 + fastrand::f64());
                *opening = (Instant::now() + pause, (opening.1 * 2).min(PAUSE_MAX));
                Err(error)
            }
        }
    }

    fn judge(&self, number: u64, error: Option<&RedisError>) {
        let Some(error) = error.filter(|error| is_broken(error)) else { return self.0.alarm.clear() };
        self.0.alarm.raise(error);
        let mut open = self.0.open.lock();
        if open.0 == number {
            open.1 = None;
        }
    }
}

/// The first refusal among the replies of a pipeline that says that this is not the server to talk to.
fn refusal(values: &[Value]) -> Option<RedisError> {
    let error = values.iter().find_map(|value| match value {
        Value::ServerError(error) if is_wrong_server(error.code()) => Some(error.clone()),
        _ => None,
    });
    error.map(RedisError::from)
}

impl ConnectionLike for Shared {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(async move {
            let (number, mut link, _) = self.link().await?;
            let answer = link.req_packed_command(cmd).await;
            match &answer {
                Ok(value) => self.judge(number, refusal(std::slice::from_ref(value)).as_ref()),
                Err(error) => self.judge(number, Some(error)),
            }
            answer
        })
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        Box::pin(async move {
            let (number, mut link, _) = self.link().await?;
            let answer = link.req_packed_commands(pipeline, offset, count).await;
            match &answer {
                Ok(values) => self.judge(number, refusal(values).as_ref()),
                Err(error) => self.judge(number, Some(error)),
            }
            answer
        })
    }

    fn get_db(&self) -> i64 {
        0
    }
}
