//! Parameters of hashing content in place.
use crate::model::hash::HashAlgorithm;
use serde::{Deserialize, Serialize};

/// Reading content where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChecksumTask {
    /// The hash that is recorded; none for the algorithm of the declared hash, else xxh128.
    pub algorithm: Option<HashAlgorithm>,
}
