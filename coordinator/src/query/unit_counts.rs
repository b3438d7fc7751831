//! Counts of units, as every answer about a job has them.
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Counts of units. In an ended job `total` is the sum of the other four; what never ran counts as cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct Units {
    /// Units that are planned so far.
    pub total: u64,
    /// Units that ended in success.
    pub succeeded: u64,
    /// Failed and waiting for another attempt.
    pub failed: u64,
    /// Units that failed and get no further attempt.
    pub dead: u64,
    /// Units that will not run: cancelled on request, or because a step before them failed.
    pub cancelled: u64,
}
