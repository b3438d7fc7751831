//! The worker's side of the transport.
pub mod local;
mod park;
pub mod redis;
pub mod timed;

use async_trait::async_trait;
use protocol::id::Kind;
use protocol::wire::control::Control;
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
}

/// Takes units and reports on them.
#[async_trait]
pub trait WorkQueue: Send + Sync {
    /// Waits for units of a kind; returns one to `max` of them, one for each slot the caller has free.
    async fn take(&self, kind: Kind, max: usize) -> Result<Vec<Unit>, QueueError>;
    /// Takes no more units of a kind from now on; returns those that came and were handed to nobody. [`WorkQueue::take`]
    /// says that the transport is closed from then on.
    async fn drain(&self, kind: Kind) -> Vec<Unit>;
    /// Sends reports, in order. Waits while the coordinator is behind.
    async fn report(&self, reports: Vec<Report>) -> Result<(), QueueError>;
    /// Waits while so many reports are under way that more of them would only fill the transport: for what can be sent
    /// faster than it is stored (pages of a listing).
    async fn room(&self) {}
    /// Waits for the next message of the coordinator.
    async fn control(&self) -> Result<Control, QueueError>;
}
