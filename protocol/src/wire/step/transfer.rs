//! Parameters of a verified copy.
use crate::model::hash::HashAlgorithm;
use serde::{Deserialize, Serialize};

/// A verified copy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransferTask {
    /// Target with placeholders; `file:` and absolute.
    pub to: String,
    /// How the copy is proven; `None` copies without reading back.
    pub verify: Option<HashAlgorithm>,
    /// Further hashes to compute in the same read.
    pub hashes: Vec<HashAlgorithm>,
    /// Id of the job, which names this run's MHL journal.
    pub job: String,
    /// Whether an ASC MHL generation is written at the end.
    pub mhl: bool,
}
