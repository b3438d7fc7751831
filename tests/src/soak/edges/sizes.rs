//! How large the rounds are.
use std::time::Duration;

/// How long the shortest soak of full size takes.
const FULL: Duration = Duration::from_secs(20 * 60);

/// How large the rounds are.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// Files of a folder, rows of a manifest and keys of a bucket that are listed.
    pub rows: usize,
    /// Units that all fail.
    pub failures: usize,
    /// Titles with a barrier each.
    pub titles: usize,
    /// Simulated workers.
    pub workers: usize,
}

impl Sizes {
    /// Everything at its full size from twenty minutes on, in proportion below.
    pub fn of(duration: Duration) -> Sizes {
        let share = (duration.as_secs_f64() / FULL.as_secs_f64()).min(1.0);
        let of = |full: usize, least: usize| ((full as f64 * share) as usize).max(least);
        Sizes {
            rows: of(1_000_000, 12_000),
            failures: of(1_000_000, 3_000),
            titles: of(200_000, 2_000),
            workers: of(1_000, 300),
        }
    }
}
