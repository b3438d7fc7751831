//! Attempts that are refunded after a quarantine.
use protocol::id::Execution;

/// A page of attempts to refund: units that failed in a worker that is in quarantine now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refund {
    /// The operation that counts them.
    pub operation: i64,
    /// The executions that failed.
    pub failed: Vec<Execution>,
}
