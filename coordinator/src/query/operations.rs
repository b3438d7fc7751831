//! Operations of operators as lists show them.
use crate::error::Answer;
use crate::field_change::{FieldChange, is_false};
use crate::rows::{JobCache, find_job};
use crate::store::{OperationRow, StoreResult, Tx};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An operation as lists show it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct OperationView {
    /// Number of the operation, as commands take it.
    pub operation: i64,
    /// Time of the request, RFC 3339 in UTC.
    pub at: String,
    /// Actor who asked for the operation.
    pub actor: String,
    /// The change in words, such as `drain worker w1`.
    pub action: String,
    /// The job, when it is about one.
    pub job: Option<String>,
    /// Terms of the selection.
    pub filter: Vec<String>,
    /// Reason that the actor gave; may be empty.
    pub reason: String,
    /// Units the selection matched.
    pub matched: u64,
    /// Of those, units that the operation can change.
    pub eligible: u64,
    /// Units changed so far.
    pub done: u64,
    /// `running`, `paused`, `done` or `aborted`.
    pub state: String,
    /// Units a second.
    pub rate: Option<f64>,
    /// Why it ended early.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When it ended.
    pub ended_at: Option<String>,
    /// Members of the object that the change sets, from what to what. Under `dry_run`: that it would set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<FieldChange>,
    /// Nothing was changed: the view is what a change would give.
    #[serde(default, skip_serializing_if = "is_false")]
    pub dry_run: bool,
}

/// Operations, newest first; those of one job when it is named.
pub fn operations(tx: &mut dyn Tx, job: Option<&str>, limit: u32) -> Answer<Vec<OperationView>> {
    let job = job.map(|id| find_job(tx, id)).transpose()?;
    let rows = tx.operations(job.map(|job| job.no), limit)?;
    let mut jobs = JobCache::default();
    rows.into_iter()
        .map(|row| Ok(view(tx, &mut jobs, row)?))
        .collect()
}

/// An operation as its row shows it.
pub(crate) fn view(
    tx: &mut dyn Tx,
    jobs: &mut JobCache,
    row: OperationRow,
) -> StoreResult<OperationView> {
    let job = match row.job {
        Some(no) => jobs.get(tx, no)?.map(|job| job.id.clone()),
        None => None,
    };
    Ok(OperationView {
        operation: row.no,
        at: row.at.to_string(),
        actor: row.actor,
        action: row.action,
        job,
        filter: row.filter.lines().map(str::to_owned).collect(),
        reason: row.reason,
        matched: row.matched,
        eligible: row.eligible,
        done: row.done,
        state: row.state.as_str().to_owned(),
        rate: row.rate,
        message: row.message,
        ended_at: row.ended_at.map(|t| t.to_string()),
        changes: Vec::new(),
        dry_run: false,
    })
}
