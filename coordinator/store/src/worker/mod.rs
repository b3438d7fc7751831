//! Workers as the leader saw them last, and the orders they were given.
#[cfg(any(test, feature = "testing"))]
pub(crate) mod conformance;
mod memory;
mod sql;

use crate::error::StoreResult;
use protocol::time::Timestamp;
use std::collections::BTreeMap;

/// A worker. The leader writes it every few seconds; operators and quarantine write its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerRow {
    /// Name of its incarnation.
    pub name: String,
    /// Slots by kind, as `kind=busy/total` separated by commas.
    pub slots: String,
    /// Units it holds.
    pub held: u64,
    /// When its last heartbeat arrived.
    pub heard_at: Timestamp,
    /// The state in its heartbeat: `working` or `draining`.
    pub state: String,
    /// The order it was given, where there is one.
    pub order: Option<WorkerOrder>,
}

/// An order to a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerOrder {
    /// `drain` (an operator's) or `quarantine`.
    pub what: String,
    /// Who gave the order.
    pub actor: String,
    /// The reason that was given.
    pub reason: String,
    /// When it was given.
    pub at: Timestamp,
}

/// Reads and writes of workers.
pub trait WorkerTx {
    /// Writes the state of workers; their orders stay.
    fn put_workers(&mut self, workers: &[WorkerRow]) -> StoreResult<()>;
    /// Workers by name.
    fn workers(&mut self) -> StoreResult<Vec<WorkerRow>>;
    /// Writes the order of a worker, or removes it. False when there is no such worker.
    fn put_order(&mut self, worker: &str, order: Option<&WorkerOrder>) -> StoreResult<bool>;
    /// Forgets workers whose last heartbeat is older than `before`.
    fn forget_workers(&mut self, before: Timestamp) -> StoreResult<()>;
}

/// Workers in memory, by name.
pub(crate) type Table = BTreeMap<String, WorkerRow>;
