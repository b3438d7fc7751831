//! Dead letters by cause, and waivers of causes and checks.
#[cfg(any(test, feature = "testing"))]
pub(crate) mod conformance;
mod memory;
mod postgres;
mod sql;
mod sqlite;

use crate::error::StoreResult;
use protocol::id::{JobNo, StepNo};
use protocol::rules::review::waiver::{Scope, Waiver};
use protocol::time::Timestamp;
use std::collections::BTreeMap;

/// Dead letters of one cause in one step of one job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CauseRow {
    /// Fingerprint of the failure.
    pub cause: String,
    /// The job that the units belong to.
    pub job: JobNo,
    /// The step's number.
    pub step: StepNo,
    /// Reason code of the failures.
    pub reason: String,
    /// Error class of the failures.
    pub class: String,
    /// The message of one of them.
    pub example: String,
    /// Number of dead units.
    pub units: i64,
    /// Failed assets in them.
    pub assets: i64,
    /// When the first died.
    pub first_at: Timestamp,
    /// When the last died.
    pub last_at: Timestamp,
}

/// A waiver: a recorded decision to accept failures of a cause or findings of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaiverRow {
    /// Scope of the waiver: a cause or a check.
    pub scope: Scope,
    /// When it was given.
    pub at: Timestamp,
    /// Actor who recorded it.
    pub actor: String,
    /// The reason that was given.
    pub reason: String,
    /// When it ends; `None` for a waiver without end.
    pub until: Option<Timestamp>,
}

impl WaiverRow {
    /// The part that `rules::review::waiver` decides by.
    pub fn rule(&self) -> Waiver {
        Waiver {
            scope: self.scope.clone(),
            until: self.until,
        }
    }
}

/// Dead letters by cause.
pub trait CauseTx {
    /// Adds to the counts of causes. The first change inserts the row; a row without units is removed.
    fn add_to_causes(&mut self, changes: &[CauseRow]) -> StoreResult<()>;
    /// Causes, the latest first; those of one job or one fingerprint when given.
    fn causes(
        &mut self,
        job: Option<JobNo>,
        cause: Option<&str>,
        limit: u32,
    ) -> StoreResult<Vec<CauseRow>>;
    /// Records a waiver. It replaces an earlier one of the same scope.
    fn put_waiver(&mut self, waiver: &WaiverRow) -> StoreResult<()>;
    /// The first waivers by the key of their scope.
    fn waivers(&mut self, limit: u32) -> StoreResult<Vec<WaiverRow>>;
    /// The waivers with these keys that exist, by key.
    fn waivers_of(&mut self, keys: &[String]) -> StoreResult<Vec<WaiverRow>>;
}

/// Causes and waivers in memory.
#[derive(Debug, Clone, Default)]
pub(crate) struct Table {
    pub(crate) causes: BTreeMap<(String, JobNo, StepNo), CauseRow>,
    waivers: BTreeMap<String, WaiverRow>,
}
