//! Marks a Redis server with the deployment it belongs to: written where there is none, never replaced.
use super::QueueError;
use super::redis::{RedisQueue, failed};
use protocol::rules::cluster::deployment::{Ownership, compare};
use protocol::wire::keys;
use redis::cmd;

impl RedisQueue {
    /// The same for this deployment alone: the server is marked with its id, or the error names whose it is.
    pub async fn belonging_to(mut self, deployment: String) -> Result<RedisQueue, QueueError> {
        self.mark.own = Some(deployment);
        self.claim().await?;
        Ok(self)
    }

    /// Marks a server that has no mark, and looks whose it is. Only a leader asks: it alone writes the mark again after
    /// the server was wiped.
    pub(super) async fn claim(&self) -> Result<(), QueueError> {
        let Some(own) = &self.mark.own else {
            return Ok(());
        };
        self.mark.check()?;
        let mut short = self.short.clone();
        let mut set = cmd("SET");
        set.arg(keys::DEPLOYMENT).arg(own).arg("NX").arg("GET");
        let found: Option<String> = match set.query_async(&mut short).await {
            Ok(found) => found,
            // A user file of an earlier version: work continues as with that version.
            Err(error) if error.code() == Some("NOPERM") => {
                self.mark
                    .unguarded
                    .raise(&"load the users of ops/redis/users.acl");
                return Ok(());
            }
            Err(error) => return Err(failed(error)),
        };
        self.mark.unguarded.clear();
        if let Ownership::Foreign { found } = compare(own, found.as_deref()) {
            *self.mark.foreign.lock() = Some(found);
        }
        self.mark.check()
    }
}
