//! Parameters of an ASC MHL generation.
use crate::model::hash::HashAlgorithm;
use serde::{Deserialize, Serialize};

/// Closes a destination tree with an ASC MHL generation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SealTask {
    /// Root of the tree; `file:` and absolute.
    pub root: String,
    /// Id of the job whose journal is read.
    pub job: String,
    /// Hash the generation records.
    pub algorithm: HashAlgorithm,
}
