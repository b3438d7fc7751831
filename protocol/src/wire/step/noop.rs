//! Parameters of a rehearsal.
use serde::{Deserialize, Serialize};

/// A unit that only takes time, for load tests and rehearsals.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct NoopTask {
    /// Shortest duration in microseconds.
    pub duration_min_us: u64,
    /// Longest duration in microseconds.
    pub duration_max_us: u64,
    /// Share of attempts that fail, 0 to 1.
    pub fail: f64,
}
