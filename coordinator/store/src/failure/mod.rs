//! Failures of assets in steps.
#[cfg(any(test, feature = "testing"))]
pub(crate) mod conformance;
mod memory;
mod postgres;
mod sql;
mod sqlite;

use crate::error::StoreResult;
use protocol::failure::Failure;
use protocol::id::{JobNo, UnitId};
use protocol::rules::unit::transition::UnitState;
use std::collections::BTreeMap;

/// A failure of an asset in a step.
#[derive(Debug, Clone, PartialEq)]
pub struct FailureRow {
    /// The unit that failed.
    pub unit: UnitId,
    /// State of that unit.
    pub state: UnitState,
    /// The asset; empty when the unit failed as a whole.
    pub asset: String,
    /// Title of the asset.
    pub title: String,
    /// Role of the asset; empty when the unit failed as a whole.
    pub role: String,
    /// Class, reason and message of the failure.
    pub failure: Failure,
}

/// Failures of assets.
pub trait FailureTx {
    /// Replaces the failures of a unit, by asset.
    fn put_failures(&mut self, unit: UnitId, failures: &[(String, Failure)]) -> StoreResult<()>;
    /// The failures of one unit, by asset.
    fn failures_of(&mut self, unit: UnitId) -> StoreResult<Vec<(String, Failure)>>;
    /// Failures of a job by step, partition and asset.
    fn failures(&mut self, job: JobNo, limit: u32) -> StoreResult<Vec<FailureRow>>;
    /// Failures of one job, or of one cause across jobs, by job, step, partition and asset, after the given unit and
    /// asset.
    fn failures_after(
        &mut self,
        job: Option<JobNo>,
        cause: Option<&str>,
        after: Option<(UnitId, &str)>,
        limit: u32,
    ) -> StoreResult<Vec<FailureRow>>;
}

/// Failures in memory, by unit and asset.
pub(crate) type Table = BTreeMap<(UnitId, String), Failure>;
