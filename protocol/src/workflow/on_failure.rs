//! What the failure of an asset means for later steps.
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What an asset's failure means for the rest of the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnFailure {
    /// A person must decide; the asset goes no further until then.
    #[default]
    Task,
    /// Later steps run for the asset all the same; the failure stays on record.
    Continue,
    /// The asset goes no further; no task is opened.
    Hold,
    /// The whole job is cancelled.
    Abort,
}
