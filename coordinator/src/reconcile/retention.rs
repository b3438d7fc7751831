//! Removes jobs that ended long ago: a few rows a transaction, oldest jobs first.
use crate::store::retention::Removed;
use crate::store::{StoreResult, Tx};
use protocol::rules::cluster::retention::{RetentionLimits, aging_time, horizon};
use protocol::time::Timestamp;
use std::time::Duration;

/// The stored time by which jobs age is written again when it differs by this much.
const STORE_EVERY: Duration = Duration::from_secs(60);

/// When a term began, and the time by which jobs aged before it.
#[derive(Debug, Clone, Copy)]
pub struct TermStart {
    /// The clock at the beginning of the term.
    pub began: Timestamp,
    /// The stored time by which jobs aged last.
    pub known: Option<Timestamp>,
}

/// Removes rows of jobs that are overdue in a term that has lasted for `lasted`, and keeps the time by which they age.
pub fn sweep_in_term(
    tx: &mut dyn Tx,
    limits: &RetentionLimits,
    TermStart { began, known }: TermStart,
    lasted: Duration,
    now: Timestamp,
) -> StoreResult<Removed> {
    let aged = aging_time(limits, known, (began, lasted), now);
    let stored = tx.aging_time()?;
    if stored.is_none_or(|stored| u128::from(stored.0.abs_diff(aged.0)) >= STORE_EVERY.as_micros())
    {
        tx.put_aging_time(aged)?;
    }
    sweep(tx, limits, aged)
}

/// Removes at most as many rows as the limits allow. No rows are removed when no job is overdue.
pub fn sweep(tx: &mut dyn Tx, limits: &RetentionLimits, now: Timestamp) -> StoreResult<Removed> {
    match tx.ended_before(horizon(limits, now), 1)?.first() {
        Some(job) => tx.remove_job(*job, limits.rows_max),
        None => Ok(Removed::default()),
    }
}
