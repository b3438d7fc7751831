//! Parameters of a removal.
use crate::model::purge_proof::PurgeProof;
use serde::{Deserialize, Serialize};

/// Removing what is proven to be elsewhere. Targets are those of the transfers that made each copy, first to last; none
/// for the library's own file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurgeTask {
    /// Targets that lead to what is removed.
    pub of: Vec<String>,
    /// Targets that lead to the copy that stays.
    pub keep: Vec<String>,
    /// How the copy is proven.
    pub proof: PurgeProof,
    /// Who orders it.
    pub ordered_by: String,
    /// Reason for the record.
    pub reason: String,
    /// Look and report, remove nothing.
    pub dry_run: bool,
}
