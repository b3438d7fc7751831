//! Requests and answers of commands, in the form of the command line and the API.
use crate::audit::AuditContext;
use crate::field_change::{FieldChange, field_changes};
use crate::store::JobRow;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A change of the priority class or the deadline of a job.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct PriorityRequest {
    /// `urgent`, `normal` or `bulk`.
    #[schema(pattern = "^(urgent|normal|bulk)$")]
    pub priority: Option<String>,
    /// When the job must be finished, as RFC 3339; `none` for no deadline.
    pub deadline: Option<String>,
    /// Audit context of the change.
    #[serde(flatten)]
    pub audit: AuditContext,
}

/// A job after a change of its state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JobChanged {
    /// Public id of the job.
    pub job: String,
    /// Its state after the change, or as it would be.
    pub state: String,
    /// The number of the recorded operation.
    pub operation: Option<i64>,
    /// Members of the object that the change sets, from what to what. Under `dry_run`: that it would set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<FieldChange>,
    /// Of a cancellation: units that have not ended, which are not run.
    #[serde(default)]
    pub units_open: u64,
    /// Nothing was changed.
    pub dry_run: bool,
}

impl JobChanged {
    /// The answer about a job that was `before` and is `job` after the change.
    pub(super) fn of(
        before: &JobRow,
        job: &JobRow,
        audit: &AuditContext,
        operation: Option<i64>,
    ) -> JobChanged {
        let state = |row: &JobRow| row.state.as_str().to_owned();
        let priority = |row: &JobRow| row.priority.as_str().to_owned();
        let deadline = |row: &JobRow| row.deadline.map_or("none".to_owned(), |at| at.to_string());
        JobChanged {
            changes: field_changes([
                ("state", state(before), state(job)),
                ("priority", priority(before), priority(job)),
                ("deadline", deadline(before), deadline(job)),
            ]),
            units_open: 0,
            job: job.id.clone(),
            state: job.state.as_str().to_owned(),
            operation,
            dry_run: audit.dry_run,
        }
    }
}

/// Corrected facts of one asset.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Correction {
    /// The asset's id; empty for every selected asset.
    pub asset: String,
    /// Its new location; may use the placeholders of targets (`{file}`, `{title}`, …).
    pub location: Option<String>,
    /// Its hash, as `algorithm:digest`.
    pub hash: Option<String>,
    /// Its size in bytes, when the correction states one.
    #[schema(minimum = 0, maximum = 9_223_372_036_854_775_807_u64)]
    pub bytes: Option<u64>,
}

/// Runs failed units again.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct RetryRequest {
    /// Terms `key=value`: step, reason, class, title, role, asset, cause, state. The same key twice means either.
    #[schema(max_items = 10_000)]
    pub filter: Vec<String>,
    /// Every dead unit; needed when no term is given.
    pub all: bool,
    /// Redrive only units of this step, and their dependents.
    pub only: Option<String>,
    /// Corrected input for selected assets.
    #[schema(max_items = 10_000)]
    pub corrections: Vec<Correction>,
    /// Largest number of units per second, kept by the coordinator; absent for no limit.
    #[schema(exclusive_minimum = 0, maximum = 1_000_000)]
    pub rate: Option<f64>,
    /// Audit context of the change.
    #[serde(flatten)]
    pub audit: AuditContext,
}

/// The selection of a retry or redrive, and its progress.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Retried {
    /// The job; empty when it is about all.
    pub job: String,
    /// The number of the recorded operation.
    pub operation: Option<i64>,
    /// Units the selection matched.
    pub matched: u64,
    /// Of those, units that run again.
    pub units: u64,
    /// Selected units that cannot run again, by obstacle.
    pub ineligible: Vec<Ineligible>,
    /// Assets whose input was corrected.
    pub corrected: u64,
    /// Units redriven so far; the coordinator continues with the rest.
    pub done: u64,
    /// The coordinator is still counting; the numbers are provisional.
    #[serde(default)]
    pub counting: bool,
    /// Nothing was changed.
    pub dry_run: bool,
}

/// Selected units that cannot run again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Ineligible {
    /// The obstacle, and what to do about it.
    pub why: String,
    /// Number of units with this obstacle.
    pub units: u64,
}

/// A request to waive a cause of failure.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct WaiveRequest {
    /// Time at which the waiver ends, as RFC 3339; without it, the waiver does not end.
    pub until: Option<String>,
    /// Audit context of the change.
    #[serde(flatten)]
    pub audit: AuditContext,
}

/// A change of an operation that has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = Steering)]
pub enum OperationChange {
    /// Suspend the operation; `resume` continues it.
    Pause,
    /// Continue a suspended operation from its last unit.
    Resume,
    /// End; what has been done stays done.
    Abort,
}
