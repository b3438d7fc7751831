//! The worker's side of the transport.
mod backlog;
mod control;
mod gate;
mod held_entries;
mod lane;
pub mod local;
mod message;
mod park;
pub mod redis;
mod reply;
pub mod timed;
mod trust;
mod unreadable;

pub use message::REPORT_TOO_LONG;

use async_trait::async_trait;
use protocol::id::Kind;
use protocol::wire::control::Control;
use protocol::wire::envelope::WireError;
use protocol::wire::report::Report;
use protocol::wire::unit::Unit;
use thiserror::Error;

/// Why the transport could not be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum QueueError {
    /// The other side is gone.
    #[error("the transport is closed")]
    Closed,
    /// The worker takes no units at present.
    #[error("no units are taken")]
    Held,
    /// The server could not be used; nothing is known of what was sent.
    #[error("the transport cannot be used: {0}")]
    Away(String),
    /// A message is larger than may be sent.
    #[error("{0}")]
    TooLong(WireError),
}

/// Takes units and reports on them.
#[async_trait]
pub trait WorkQueue: Send + Sync {
    /// Waits for units of a kind; returns one to `max` of them, one for each slot the caller has free.
    async fn take(&self, kind: Kind, max: usize) -> Result<Vec<Unit>, QueueError>;
    /// Takes no units while `held`, and takes them again afterwards. [`WorkQueue::take`] answers [`QueueError::Held`]
    /// meanwhile.
    fn hold(&self, held: bool);
    /// Units of a kind that came and were handed to nobody; nothing unless no units are taken.
    async fn drain(&self, kind: Kind) -> Vec<Unit>;
    /// Sends reports, in order. Waits while the coordinator is behind, and until the server can be used. The end of a unit
    /// that is too long to be sent is replaced by a failure that says so; of other reports the error says it.
    async fn report(&self, reports: Vec<Report>) -> Result<(), QueueError>;
    /// Sends reports that are made when they can be sent, once: what could not be sent is not sent later, when it would say
    /// what is no longer true.
    async fn report_fresh(
        &self,
        make: &(dyn Fn() -> Vec<Report> + Send + Sync),
    ) -> Result<(), QueueError> {
        self.report(make()).await
    }
    /// Waits while the coordinator is behind, for what can be sent faster than it is stored (pages of a listing): it would
    /// only fill the transport.
    async fn room(&self) {}
    /// Waits for the next message of the coordinator.
    async fn control(&self) -> Result<Control, QueueError>;
}
