//! Workers as the leader saw them last, and the orders they were given.
#[cfg(any(test, feature = "testing"))]
pub(crate) mod conformance;
mod memory;
mod sql;

use crate::error::StoreResult;
use protocol::id::Kind;
use protocol::model::slot_count::SlotCount;
use protocol::time::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;

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
    /// The state in its heartbeat.
    pub state: WorkerState,
    /// The order it was given, where there is one.
    pub order: Option<WorkerOrder>,
}

impl WorkerRow {
    /// Its slots by kind.
    pub fn slot_counts(&self) -> impl Iterator<Item = SlotCount> {
        self.slots.split(',').filter_map(|slots| {
            let (name, counts) = slots.split_once('=')?;
            let (busy, total) = counts.split_once('/')?;
            let (busy, total): (u32, u32) = (busy.parse().ok()?, total.parse().ok()?);
            Some(SlotCount {
                kind: Kind::parse(name)?,
                total,
                free: total.saturating_sub(busy),
            })
        })
    }

    /// Whether it lives and takes units. A heartbeat may be `silence_max` old.
    pub fn takes_units(&self, silence_max: Duration, now: Timestamp) -> bool {
        let released = |order: &WorkerOrder| order.kind == OrderKind::Release;
        now.since(self.heard_at) <= silence_max
            && self.state == WorkerState::Working
            && self.order.as_ref().is_none_or(released)
    }
}

/// State of a worker as its heartbeat gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkerState {
    /// It takes units.
    Working,
    /// It takes no more units.
    Draining,
}

impl WorkerState {
    /// All states, in a fixed order.
    pub const ALL: [WorkerState; 2] = [WorkerState::Working, WorkerState::Draining];

    /// The spelling in SQL.
    pub fn as_str(self) -> &'static str {
        match self {
            WorkerState::Working => "working",
            WorkerState::Draining => "draining",
        }
    }

    /// Reads the spelling of [`WorkerState::as_str`].
    pub fn parse(text: &str) -> Option<WorkerState> {
        WorkerState::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
    }
}

/// Kind of an order to a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderKind {
    /// An operator's: take no more units.
    Drain,
    /// The coordinator's: take no more units, for too many have failed.
    Quarantine,
    /// Take units again.
    Release,
}

impl OrderKind {
    /// Every kind of order.
    pub const ALL: [OrderKind; 3] = [OrderKind::Drain, OrderKind::Quarantine, OrderKind::Release];

    /// The spelling in SQL and in the list of operations.
    pub fn as_str(self) -> &'static str {
        match self {
            OrderKind::Drain => "drain",
            OrderKind::Quarantine => "quarantine",
            OrderKind::Release => "release",
        }
    }

    /// Reads the spelling of [`OrderKind::as_str`].
    pub fn parse(text: &str) -> Option<OrderKind> {
        OrderKind::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
    }
}

/// An order to a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerOrder {
    /// What the worker is to do.
    pub kind: OrderKind,
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
