//! Removes jobs that ended long ago: a few rows a transaction, oldest jobs first.
use crate::store::retention::Removed;
use crate::store::{StoreResult, Tx};
use protocol::rules::cluster::retention::{RetentionLimits, horizon};
use protocol::time::Timestamp;

/// Removes at most as many rows as the limits allow. No rows are removed when no job is overdue.
pub fn sweep(tx: &mut dyn Tx, limits: &RetentionLimits, now: Timestamp) -> StoreResult<Removed> {
    match tx.ended_before(horizon(limits, now), 1)?.first() {
        Some(job) => tx.remove_job(*job, limits.rows_max),
        None => Ok(Removed::default()),
    }
}
