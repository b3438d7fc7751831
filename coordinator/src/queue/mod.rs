//! The coordinator's side of the transport. It may lose, repeat and reorder: nothing here is the truth (TRUTH-2).
mod consumer_cleanup;
mod deployment;
mod deployment_mark;
pub mod local;
mod publish;
mod recall;
pub mod redis;
mod report_check;
mod stream_entry;
pub mod timed;

use crate::refusal::Refusal;
use async_trait::async_trait;
use protocol::failure::ErrorClass;
use protocol::id::{Execution, UnitId, WorkerId};
use protocol::model::priority::Priority;
use protocol::wire::control::Control;
use protocol::wire::report::Report;
use protocol::wire::unit::Unit;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;

/// Why the transport could not be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum QueueError {
    /// The other side is gone for good.
    #[error("the transport is closed")]
    Closed,
    /// The server cannot be reached or refuses for now.
    #[error("the transport is away: {0}")]
    Away(String),
    /// The server has no room.
    #[error("the transport is full: {0}; raise maxmemory or wait for workers")]
    Full(String),
    /// The server certainly did not take these units; all others of the call it has.
    #[error("{} units wait for the transport: {why}", units.len())]
    Untaken {
        /// They may be published again as they are.
        units: Vec<Unit>,
        /// Whether it may have taken some of the others without a reply.
        unsure: bool,
        /// What the server said.
        why: Box<QueueError>,
    },
    /// A message is larger than may be sent.
    #[error("{0}")]
    TooLong(String),
    /// The server refuses this user or command.
    #[error("the transport refuses: {0}; check the user's ACL and password")]
    Refused(String),
    /// The streams there belong to another database.
    #[error(
        "it belongs to deployment {found}, this database to {own}: nothing is published or read there"
    )]
    Foreign {
        /// The deployment of this process.
        own: String,
        /// The deployment that the server is marked with.
        found: String,
    },
}

impl QueueError {
    /// What may be done about it.
    pub fn class(&self) -> ErrorClass {
        match self {
            QueueError::Closed | QueueError::Foreign { .. } => ErrorClass::Permanent,
            QueueError::Away(_) | QueueError::Refused(_) | QueueError::TooLong(_) => {
                ErrorClass::Transient
            }
            QueueError::Untaken { why, .. } => why.class(),
            QueueError::Full(_) => ErrorClass::Throttled {
                retry_after_ms: None,
            },
        }
    }
}

/// A report, with the worker that has sent it where the transport knows it: an authenticator has shown it.
#[derive(Debug, Clone, PartialEq)]
pub struct Sent {
    /// The worker that has sent it.
    pub sender: Option<Arc<WorkerId>>,
    /// What it reports.
    pub report: Report,
}

impl From<Report> for Sent {
    fn from(report: Report) -> Sent {
        Sent {
            sender: None,
            report,
        }
    }
}

/// Reports in the order each worker sent them, and how to say that they are durable.
#[derive(Debug, Default)]
pub struct Collected {
    /// The reports.
    pub reports: Vec<Sent>,
    /// Messages and reports that were refused, by reason.
    pub refused: BTreeMap<Refusal, u64>,
    /// Entries they stood in; empty where nothing has to be said.
    pub entries: Vec<String>,
    /// There may be more that were reported before this call.
    pub more: bool,
}

/// A published unit that the transport no longer holds for a live worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// The unit that was published.
    pub unit: UnitId,
    /// The epoch it was published under.
    pub epoch: u32,
    /// The worker that had taken it, when one had.
    pub holder: Option<WorkerId>,
    /// Whether its entry was there and has been removed since, as a worker does that has dealt with it.
    pub vanished: bool,
}

/// What one round of cleaning up did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cleaned {
    /// Consumers removed from their groups.
    pub consumers: u64,
    /// Entries acknowledged for consumers that are gone.
    pub entries: u64,
    /// Entries that no worker could read, parked for an operator.
    pub parked: u64,
}

/// Whether an execution is out now.
pub type IsOut = Arc<dyn Fn(UnitId, u32) -> bool + Send + Sync>;

/// Publishes units and collects reports.
#[async_trait]
pub trait UnitQueue: Send + Sync {
    /// Hands units of one class to workers. An error may still have published some of them.
    async fn publish(&self, class: Priority, units: Vec<Unit>) -> Result<(), QueueError>;
    /// Whether units travel as messages, for which one limit holds ([`protocol::wire::envelope::BYTES_MAX`]).
    fn sends_messages(&self) -> bool {
        false
    }
    /// Signs what is handed out with the key of this seed, for workers to check.
    fn sign_with(&self, _seed: &str) {}
    /// Waits for reports and returns at most about `max` of them; may return none after a while.
    async fn collect(&self, max: usize) -> Result<Collected, QueueError>;
    /// The reports in these entries are in the store: they need not come again.
    async fn settled(&self, entries: Vec<String>) -> Result<(), QueueError>;
    /// Tells workers something; best effort.
    async fn control(&self, message: Control) -> Result<(), QueueError>;
    /// Finds what an earlier leader published of these executions, so that [`UnitQueue::lost`] knows where they are.
    async fn recall(&self, _out: BTreeSet<Execution>) -> Result<(), QueueError> {
        Ok(())
    }
    /// Which of these published units the transport no longer holds for a live worker.
    async fn lost(
        &self,
        units: Vec<Execution>,
        alive: Vec<WorkerId>,
    ) -> Result<Vec<Lost>, QueueError>;
    /// Cleans up behind workers that are gone: `alive` were heard of lately, `is_out` says of an execution whether it is out
    /// when it is asked. A round may take long.
    async fn clean(
        &self,
        _alive: Vec<WorkerId>,
        _is_out: IsOut,
        _idle_min: Duration,
    ) -> Result<Cleaned, QueueError> {
        Ok(Cleaned::default())
    }
    /// Whether the transport has lost everything since the last call: a wiped or replaced server.
    async fn wiped(&self) -> Result<bool, QueueError>;
    /// Whether the transport has turned out to belong to another deployment; from then on every call says so.
    fn is_foreign(&self) -> bool {
        false
    }
}
