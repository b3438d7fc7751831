//! What a soak came to.

/// What a soak came to.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Jobs judged.
    pub jobs: usize,
    /// Units that succeeded.
    pub units: u64,
    /// Units that were taken back or tried again.
    pub again: u64,
    /// Units with a copy whose first execution counts.
    pub adopted: u64,
    /// Faults.
    pub faults: usize,
    /// Everything that did not hold.
    pub violations: Vec<String>,
}
