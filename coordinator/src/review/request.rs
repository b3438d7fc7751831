//! Requests and answers of decisions, in the form of the command line and the API.
use crate::audit::AuditContext;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How far a waiver of a task's checks reaches.
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

/// What a person says to a task.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct TaskRequest {
    /// A waiver: of these checks only; of all that stand in the way when none is named.
    #[schema(max_items = 100)]
    pub checks: Vec<String>,
    /// A waiver: how far it reaches.
    pub reach: WaiverScope,
    /// A waiver: until when it holds, as RFC 3339; for ever when not given.
    pub until: Option<String>,
    /// Who, why, and whether for real.
    #[serde(flatten)]
    pub audit: AuditContext,
}

/// A task after a decision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Decided)]
pub struct DecisionOutcome {
    /// Its number.
    pub task: i64,
    /// Its state after the decision, or as it would be.
    pub state: String,
    /// Checks that still stand in the way.
    pub standing: Vec<String>,
    /// Units that go on.
    pub units: u64,
    /// The number of the recorded operation.
    pub operation: Option<i64>,
    /// Nothing was changed.
    pub dry_run: bool,
}
