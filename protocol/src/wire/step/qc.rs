//! Parameters of measuring and judging media.
use serde::{Deserialize, Serialize};

/// Measuring and judging media.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QcTask {
    /// The resolved delivery spec as JSON.
    pub policy: String,
    /// Digest of the policy: half of a verdict's key (QC-1).
    pub digest: String,
}

/// Judging media of which some have been measured before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JudgeTask {
    /// Policy and parameters of the check.
    pub qc: QcTask,
    /// What is known of the unit's assets.
    pub known: Vec<Measured>,
}

/// What was measured of bytes that an asset is believed to have. It counts only once the bytes have been read and have
/// this hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measured {
    /// Id of the asset.
    pub asset: String,
    /// Hash of the bytes, `algorithm:hex`.
    pub hash: String,
    /// The fact sheet as JSON; it says its own version.
    pub sheet: String,
}
