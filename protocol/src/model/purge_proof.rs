//! How a copy is proven before its original is removed.
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a copy is proven to have the content that is to be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PurgeProof {
    /// Both are read and hashed.
    #[default]
    Content,
    /// What is to be removed is read; of the copy, the checksum counts that its storage keeps and vouches for.
    Checksum,
}
