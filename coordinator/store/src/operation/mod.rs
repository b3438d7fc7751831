//! Operations: actions of operators on jobs and units, with their progress.
#[cfg(any(test, feature = "testing"))]
pub(crate) mod conformance;
mod memory;
mod sql;

use crate::error::StoreResult;
use protocol::id::{JobNo, UnitId};
use protocol::time::Timestamp;
use std::collections::BTreeMap;

/// An action of an operator.
#[derive(Debug, Clone, PartialEq)]
pub struct OperationRow {
    /// Its number; 0 until it is stored.
    pub no: i64,
    /// When it was requested.
    pub at: Timestamp,
    /// Name of the operator.
    pub actor: String,
    /// `retry`, `redrive`, `pause`, …
    pub action: String,
    /// The job, where the action is about one.
    pub job: Option<JobNo>,
    /// Terms of the selection, one a line, for people and for the previous version.
    pub filter: String,
    /// The plan as JSON; `None` for an action that was done at once, or that the previous version recorded.
    pub plan: Option<String>,
    /// Progress as JSON; `None` while there is nothing to remember.
    pub progress: Option<String>,
    /// Why it ended early.
    pub message: Option<String>,
    /// The operator's reason.
    pub reason: String,
    /// Units the selection matched.
    pub matched: u64,
    /// Matched units that the action can apply to.
    pub eligible: u64,
    /// Units acted on so far.
    pub done: u64,
    /// State of the operation.
    pub state: OperationState,
    /// Units a second, for a paced operation. An unreadable rate is NaN, never `None`.
    pub rate: Option<f64>,
    /// The last unit it examined.
    pub after: Option<UnitId>,
    /// When it acted last or was resumed.
    pub paced_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

/// State of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OperationState {
    /// It is being carried out.
    Running,
    /// Suspended until an operator resumes it.
    Paused,
    /// It is complete.
    Done,
    /// Ended by an operator.
    Aborted,
}

impl OperationState {
    /// Every state of an operation.
    pub const ALL: [OperationState; 4] = [
        OperationState::Running,
        OperationState::Paused,
        OperationState::Done,
        OperationState::Aborted,
    ];

    /// Spelling in SQL, API and CLI.
    pub fn as_str(self) -> &'static str {
        match self {
            OperationState::Running => "running",
            OperationState::Paused => "paused",
            OperationState::Done => "done",
            OperationState::Aborted => "aborted",
        }
    }

    /// Reads the spelling of [`OperationState::as_str`].
    pub fn parse(text: &str) -> Option<OperationState> {
        OperationState::ALL.into_iter().find(|s| s.as_str() == text)
    }
}

/// Reads and writes of operations.
pub trait OperationTx {
    /// Adds an operation; returns its number.
    fn insert_operation(&mut self, operation: &OperationRow) -> StoreResult<i64>;
    /// One operation by its number.
    fn operation(&mut self, no: i64) -> StoreResult<Option<OperationRow>>;
    /// Operations, newest first, those of one job when given.
    fn operations(&mut self, job: Option<JobNo>, limit: u32) -> StoreResult<Vec<OperationRow>>;
    /// Running operations, oldest first.
    fn running_operations(&mut self, limit: u32) -> StoreResult<Vec<OperationRow>>;
    /// Writes an operation.
    fn update_operation(&mut self, operation: &OperationRow) -> StoreResult<()>;
    /// Stores the corrected input of an operation as JSON, or removes it.
    fn put_operation_input(&mut self, operation: i64, input: Option<&str>) -> StoreResult<()>;
    /// The corrected input of an operation as JSON.
    fn operation_input(&mut self, operation: i64) -> StoreResult<Option<String>>;
}

/// Operations in memory.
#[derive(Debug, Clone, Default)]
pub(crate) struct Table {
    operations: BTreeMap<i64, OperationRow>,
    inputs: BTreeMap<i64, String>,
}
