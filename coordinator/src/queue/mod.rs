//! The coordinator's side of the transport. It may lose, repeat and reorder: nothing here is the truth (TRUTH-2).
pub mod local;

use async_trait::async_trait;
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

/// Publishes units and collects reports.
#[async_trait]
pub trait UnitQueue: Send + Sync {
    /// Hands units to workers. An error may still have published some of them.
    async fn publish(&self, units: Vec<Unit>) -> Result<(), QueueError>;
    /// Waits for reports and returns at most about `max` of them, in the order each worker sent them.
    async fn collect(&self, max: usize) -> Result<Vec<Report>, QueueError>;
    /// Tells workers something; best effort.
    async fn control(&self, message: Control) -> Result<(), QueueError>;
}
