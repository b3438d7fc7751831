//! The mark of the deployment that a Redis belongs to: written where there is none, never replaced.
use super::QueueError;
use super::redis::{RedisQueue, failed};
use parking_lot::Mutex;
use protocol::rules::deployment::{Belonging, judge};
use protocol::wire::keys;
use redis::cmd;
use transport::alarm::Alarm;

/// What is known of the mark.
pub(super) struct Mark {
    /// The deployment of this process; without one nothing is compared.
    own: Option<String>,
    /// The deployment of somebody else that was found there.
    foreign: Mutex<Option<String>>,
    unguarded: Alarm,
}

impl Default for Mark {
    fn default() -> Mark {
        Mark {
            own: None,
            foreign: Mutex::default(),
            unguarded: Alarm::new("this user may not mark the transport; a second database on it would not be noticed"),
        }
    }
}

impl Mark {
    /// An error once the transport has turned out to be another deployment's.
    pub(super) fn check(&self) -> Result<(), QueueError> {
        match (&self.own, self.foreign.lock().as_ref()) {
            (Some(own), Some(found)) => Err(QueueError::Foreign { own: own.clone(), found: found.clone() }),
            _ => Ok(()),
        }
    }
}

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
        let Some(own) = &self.mark.own else { return Ok(()) };
        self.mark.check()?;
        let mut short = self.short.clone();
        let mut set = cmd("SET");
        set.arg(keys::DEPLOYMENT).arg(own).arg("NX").arg("GET");
        let found: Option<String> = match set.query_async(&mut short).await {
            Ok(found) => found,
            // A user file of an earlier version: work goes on as it did there.
            Err(error) if error.code() == Some("NOPERM") => {
                self.mark.unguarded.raise(&"load the users of ops/redis/users.acl");
                return Ok(());
            }
            Err(error) => return Err(failed(error)),
        };
        self.mark.unguarded.clear();
        if let Belonging::Foreign { found } = judge(own, found.as_deref()) {
            *self.mark.foreign.lock() = Some(found);
        }
        self.mark.check()
    }
}
