//! How fast content comes back from an archive.
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How fast content comes back from an archive, and at what price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RestoreTier {
    /// Minutes; not from the deepest archives.
    Expedited,
    /// Standard retrieval within hours.
    #[default]
    Standard,
    /// Up to two days, at the lowest price.
    Bulk,
}
