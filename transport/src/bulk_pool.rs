//! A pool of connections for inspection rounds (pending entries, contents of entries). Their replies reach half a megabyte;
//! on connections of their own they do not delay the replies that publishing and reporting wait for. A round borrows one
//! connection for all its commands. The pool checks a connection when it lends it, and drops one that a round broke.
use crate::connection::{Connection, Request, connection_like, unusable};
use crate::server::{Server, config};
use deadpool_redis::{Manager, Pool, PoolError, Timeouts};
use parking_lot::Mutex;
use redis::{ErrorKind, RedisError, RedisResult, Value};
use std::time::Duration;

/// Connections of a pool: rounds are few, and a round that finds none free waits.
const SIZE: usize = 2;

/// Lends connections for inspection rounds.
pub struct BulkPool {
    server: Server,
    timeout: Duration,
    pool: Mutex<Option<Pool>>,
}

/// A borrowed connection; dropping it returns it.
pub struct PooledConnection<'p> {
    inner: Inner,
    owner: &'p BulkPool,
}

enum Inner {
    Pooled(deadpool_redis::Connection),
    /// The client of a cluster pools connections to its nodes by itself.
    Cluster(Connection),
}

impl BulkPool {
    /// A pool for a server; `timeout` bounds each reply. It opens no connection yet.
    pub fn new(server: Server, timeout: Duration) -> BulkPool {
        BulkPool {
            server,
            timeout,
            pool: Mutex::new(None),
        }
    }

    /// Borrows a connection.
    pub async fn borrow(&self) -> RedisResult<PooledConnection<'_>> {
        let existing = self.pool.lock().clone();
        let pool = match existing {
            Some(pool) => pool,
            // The address is resolved for each pool: the master may have moved, the password may have changed.
            None => match self.server.target().await? {
                Some(target) => self.pool.lock().insert(self.build(target)?).clone(),
                None => {
                    let inner = Inner::Cluster(self.server.open(self.timeout).await?);
                    return Ok(PooledConnection { inner, owner: self });
                }
            },
        };
        match pool.get().await {
            Ok(connection) => Ok(PooledConnection {
                inner: Inner::Pooled(connection),
                owner: self,
            }),
            Err(error) => {
                self.discard();
                Err(match error {
                    PoolError::Backend(error) => error,
                    error => RedisError::from((
                        ErrorKind::Io,
                        "the pool has no connection",
                        error.to_string(),
                    )),
                })
            }
        }
    }

    fn build(&self, target: redis::ConnectionInfo) -> RedisResult<Pool> {
        let manager = Manager::new_with_config(target, config(self.timeout))?;
        let timeouts = Timeouts {
            wait: Some(self.timeout),
            create: Some(self.timeout),
            recycle: Some(self.timeout),
        };
        let built = Pool::builder(manager)
            .max_size(SIZE)
            .runtime(deadpool_redis::Runtime::Tokio1)
            .timeouts(timeouts)
            .build();
        built.map_err(|e| RedisError::from((ErrorKind::InvalidClientConfig, "pool", e.to_string())))
    }

    /// Drops the pool; the next round resolves the address again.
    fn discard(&self) {
        *self.pool.lock() = None;
    }
}

impl PooledConnection<'_> {
    async fn exchange(&mut self, request: Request<'_>) -> RedisResult<Vec<Value>> {
        let reply = match &mut self.inner {
            Inner::Pooled(connection) => request.send(connection).await,
            Inner::Cluster(connection) => request.send(connection).await,
        };
        if unusable(&reply).is_some() {
            self.owner.discard();
        }
        reply
    }
}

connection_like!(PooledConnection<'_>);
