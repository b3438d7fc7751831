//! Requests and answers of decisions, in the form of the command line and the API.
use crate::audit::AuditContext;
use crate::field_change::FieldChange;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Scope of a waiver of a task's checks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = Reach)]
pub enum WaiverScope {
    /// These bytes of this asset: another delivery is judged anew.
    #[default]
    Delivery,
    /// This asset, other deliveries of it too.
    Asset,
    /// Every asset of its title.
    Title,
    /// Every asset judged by this delivery spec.
    Policy,
}

/// The decision of a person on a task.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct TaskRequest {
    /// Of a waiver: the checks to waive; all failed checks when the list is empty.
    #[schema(max_items = 100)]
    pub checks: Vec<String>,
    /// Of a waiver: its scope.
    pub reach: WaiverScope,
    /// Of a waiver: the time at which it ends, as RFC 3339; without it, the waiver does not end.
    pub until: Option<String>,
    /// Audit context of the change.
    #[serde(flatten)]
    pub audit: AuditContext,
}

/// A task after a decision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Decided)]
pub struct DecisionOutcome {
    /// Number of the task, as commands take it.
    pub task: i64,
    /// Its state after the decision, or as it would be.
    pub state: String,
    /// Failed checks that are not waived.
    pub standing: Vec<String>,
    /// Members of the object that the change sets, from what to what. Under `dry_run`: that it would set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<FieldChange>,
    /// Number of units that continue.
    pub units: u64,
    /// The number of the recorded operation.
    pub operation: Option<i64>,
    /// Nothing was changed.
    pub dry_run: bool,
}
