//! Subjects of a task, findings or assets, as they are stored and shown.
use protocol::model::qc::Finding;
use serde::{Deserialize, Serialize};

/// Subjects of a task: findings or assets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum TaskSubjects {
    /// Findings of a rework task.
    Findings(Vec<Finding>),
    /// Assets that are to be approved.
    Assets(Vec<AssetToApprove>),
    /// The form of another version.
    Other(serde_json::Value),
}

/// An asset that is to be approved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AssetToApprove {
    /// Id of the asset.
    pub asset: String,
    /// Hash of its bytes, when known.
    pub hash: Option<String>,
}
