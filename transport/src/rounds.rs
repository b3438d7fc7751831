//! Connections for rounds of long questions (who holds what, what is in these entries): a pool, so that answers of half a
//! megabyte do not stand in front of the replies that publishing and reporting wait for. A round borrows one connection
//! for all its questions; the pool checks it when it is lent, and keeps none that a round broke.
use crate::link::{Link, is_broken, is_wrong_server};
use crate::server::{Server, config};
use deadpool_redis::{Manager, Pool, PoolError, Timeouts};
use parking_lot::Mutex;
use redis::aio::ConnectionLike;
use redis::{Cmd, ErrorKind, Pipeline, RedisError, RedisFuture, RedisResult, Value};
use std::time::Duration;

/// Connections at most: rounds are few, and one that finds none waits.
const SIZE: usize = 2;

/// Where rounds borrow their connections.
pub struct Rounds {
    server: Server,
    patience: Duration,
    pool: Mutex<Option<Pool>>,
}

/// A borrowed connection; it goes back when it is dropped.
pub struct Loan<'r> {
    link: Lent,
    rounds: &'r Rounds,
}

enum Lent {
    Pooled(deadpool_redis::Connection),
    /// The client of a cluster keeps connections to its nodes by itself.
    Own(Link),
}

impl Rounds {
    /// A pool over a server, with replies that may take as long as `patience`. Opens nothing yet.
    pub fn new(server: Server, patience: Duration) -> Rounds {
        Rounds { server, patience, pool: Mutex::new(None) }
    }

    /// Borrows a connection.
    pub async fn borrow(&self) -> RedisResult<Loan<'_>> {
        let made = self.pool.lock().clone();
        let pool = match made {
            Some(pool) => pool,
            // Asked anew for each pool: the master may have moved, the password may be another one.
            None => match self.server.target().await? {
                Some(target) => self.pool.lock().insert(self.made_for(target)?).clone(),
                None => return Ok(Loan { link: Lent::Own(self.server.open(self.patience).await?), rounds: self }),
            },
        };
        match pool.get().await {
            Ok(connection) => Ok(Loan { link: Lent::Pooled(connection), rounds: self }),
            Err(error) => {
                self.give_up();
                Err(match error {
                    PoolError::Backend(error) => error,
                    error => RedisError::from((ErrorKind::Io, "no connection for a round", error.to_string())),
                })
            }
        }
    }

    fn made_for(&self, target: redis::ConnectionInfo) -> RedisResult<Pool> {
        let manager = Manager::new_with_config(target, config(self.patience))?;
        let timeouts =
            Timeouts { wait: Some(self.patience), create: Some(self.patience), recycle: Some(self.patience) };
        let built =
            Pool::builder(manager).max_size(SIZE).runtime(deadpool_redis::Runtime::Tokio1).timeouts(timeouts).build();
        built.map_err(|e| RedisError::from((ErrorKind::InvalidClientConfig, "pool", e.to_string())))
    }

    /// The next loan asks again where the server is.
    fn give_up(&self) {
        *self.pool.lock() = None;
    }
}

impl Loan<'_> {
    fn judge<T>(&self, answer: RedisResult<T>) -> RedisResult<T> {
        if answer.as_ref().is_err_and(is_broken) {
            self.rounds.give_up();
        }
        answer
    }
}

impl ConnectionLike for Loan<'_> {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(async move {
            let answer = match &mut self.link {
                Lent::Pooled(connection) => connection.req_packed_command(cmd).await,
                Lent::Own(link) => link.req_packed_command(cmd).await,
            };
            if matches!(&answer, Ok(Value::ServerError(error)) if is_wrong_server(error.code())) {
                self.rounds.give_up();
            }
            self.judge(answer)
        })
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        Box::pin(async move {
            let answer = match &mut self.link {
                Lent::Pooled(connection) => connection.req_packed_commands(pipeline, offset, count).await,
                Lent::Own(link) => link.req_packed_commands(pipeline, offset, count).await,
            };
            self.judge(answer)
        })
    }

    fn get_db(&self) -> i64 {
        0
    }
}
