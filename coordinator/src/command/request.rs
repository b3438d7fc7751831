//! Requests and answers of commands, in the form of the command line and the API.
use crate::audit::AuditContext;
use crate::store::JobRow;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Changes who goes first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct PriorityRequest {
    /// `urgent`, `normal` or `bulk`.
    #[schema(pattern = "^(urgent|normal|bulk)$")]
    pub priority: Option<String>,
    /// When the job must be finished, as RFC 3339; `none` for no deadline.
    pub deadline: Option<String>,
    /// Who, why, and whether for real.
    #[serde(flatten)]
    pub audit: AuditContext,
}

/// A job after a change of its state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JobChanged {
    /// The job.
    pub job: String,
    /// Its state after the change, or as it would be.
    pub state: String,
    /// The number of the recorded operation.
    pub operation: Option<i64>,
    /// Nothing was changed.
    pub dry_run: bool,
}

impl JobChanged {
    pub(super) fn of(job: &JobRow, audit: &AuditContext, operation: Option<i64>) -> JobChanged {
        JobChanged { job: job.id.clone(), state: job.state.as_str().to_owned(), operation, dry_run: audit.dry_run }
    }
}

/// Corrected facts of one asset.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Correction {
    /// The asset's id; empty for every selected asset.
    pub asset: String,
    /// Where it is now; may use the placeholders of targets (`{file}`, `{title}`, …).
    pub location: Option<String>,
    /// Its hash, as `algorithm:digest`.
    pub hash: Option<String>,
    /// Its size.
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
    /// Bring back units of this step alone, and what depends on them.
    pub only: Option<String>,
    /// Corrected input for selected assets.
    #[schema(max_items = 10_000)]
    pub corrections: Vec<Correction>,
    /// Units at most a second; none means as fast as it goes. The coordinator carries it out.
    #[schema(exclusive_minimum = 0, maximum = 1_000_000)]
    pub rate: Option<f64>,
    /// Who, why, and whether for real.
    #[serde(flatten)]
    pub audit: AuditContext,
}

/// What a retry or redrive selected.
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
    /// Units that do not, by why.
    pub ineligible: Vec<Ineligible>,
    /// Assets whose input was corrected.
    pub corrected: u64,
    /// Units brought back so far; the coordinator brings back the rest.
    pub done: u64,
    /// The coordinator still counts: the numbers are those so far.
    #[serde(default)]
    pub counting: bool,
    /// Nothing was changed.
    pub dry_run: bool,
}

/// Units that match and cannot be brought back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Ineligible {
    /// Why, and what to do.
    pub why: String,
    /// How many.
    pub units: u64,
}

/// Leaves a cause of failure as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct WaiveRequest {
    /// Until when the decision holds, as RFC 3339; for ever when not given.
    pub until: Option<String>,
    /// Who, why, and whether for real.
    #[serde(flatten)]
    pub audit: AuditContext,
}

/// What to do with an operation under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = Steering)]
pub enum OperationChange {
    /// Stand still.
    Pause,
    /// Go on.
    Resume,
    /// End; what has been done stays done.
    Abort,
}
