//! Parameters of moving content into an archive and back.
use crate::model::restore_tier::RestoreTier;
use serde::{Deserialize, Serialize};

/// Moving content to another storage class, where it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchiveTask {
    /// The class as the storage spells it.
    pub class: String,
}

/// Bringing content back from an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreTask {
    /// Days the readable copy is kept.
    pub days: u32,
    /// How fast it is wanted.
    pub tier: RestoreTier,
    /// Microseconds until it is looked for again.
    pub look_again_us: u64,
}
