//! What differs between the databases.
use super::{TaskEventRow, TaskRow};
use crate::error::StoreResult;
use crate::sql::Sql;
use protocol::id::UnitId;
use protocol::rules::review::task::{TaskKind, TaskState};
use protocol::time::Timestamp;

/// Statements over many keys, and queries whose plans need hints.
pub(super) trait Dialect: Sql {
    fn end(&mut self, tasks: &[i64], state: TaskState, now: Timestamp) -> StoreResult<()>;
    fn insert_events(&mut self, events: &[TaskEventRow]) -> StoreResult<()>;
    fn pending_about(&mut self, kind: TaskKind, subjects: &[String]) -> StoreResult<Vec<TaskRow>>;
    /// Tasks with these numbers.
    fn by_number(&mut self, numbers: &[i64]) -> StoreResult<Vec<TaskRow>>;
    /// Pending tasks that these units wait for.
    fn waiting(&mut self, units: &[UnitId]) -> StoreResult<Vec<(UnitId, i64)>>;
}
