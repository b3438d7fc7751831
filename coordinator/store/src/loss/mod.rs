//! Workers that fell silent while they held a unit: the evidence against poison units.
#[cfg(any(test, feature = "testing"))]
pub(crate) mod conformance;
mod memory;
mod postgres;
mod sql;
mod sqlite;

use crate::error::StoreResult;
use protocol::id::UnitId;
use protocol::time::Timestamp;
use std::collections::BTreeMap;

/// A worker that fell silent while it held a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LossRow {
    /// The unit that the worker held.
    pub unit: UnitId,
    /// The epoch of the lost execution.
    pub epoch: u32,
    /// Incarnation of the worker.
    pub worker: String,
    /// Whether nothing else ran in that worker.
    pub alone: bool,
    /// When the lease was taken back.
    pub at: Timestamp,
}

/// Reads and writes of losses.
pub trait LossTx {
    /// Records losses; one already recorded is ignored.
    fn put_losses(&mut self, losses: &[LossRow]) -> StoreResult<()>;
    /// Losses of these units, by unit and epoch.
    fn losses(&mut self, units: &[UnitId]) -> StoreResult<Vec<LossRow>>;
    /// Units that at least `workers` different workers were lost with, at most `limit`.
    fn suspects(&mut self, workers: u32, limit: u32) -> StoreResult<Vec<UnitId>>;
    /// Forgets the losses of units after a person has looked at them.
    fn forget_losses(&mut self, units: &[UnitId]) -> StoreResult<()>;
}

/// Losses in memory, by unit and epoch.
pub(crate) type Table = BTreeMap<(UnitId, u32), LossRow>;
