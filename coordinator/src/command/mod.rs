//! Requests of operators: pause, resume, cancel, retry, redrive, waive. Each is one transaction, leaves a durable record, and
//! returns what it did. The command line and the API run the same functions.
mod cause;
mod correction;
mod fleet;
mod operation;
mod plan;
mod priority;
mod progress;
mod request;
mod retry;
mod selection;
pub mod submission;

pub use crate::error::Error;
pub use cause::waive;
pub use fleet::{drain, release};
pub use operation::{advance, change_operation, next_due};
pub use plan::Plan;
pub use priority::prioritise;
pub use request::*;
pub use retry::{Among, Preview, carry_on, needs_preview, preview, retried, retry};

use crate::audit::{AuditContext, record};
use crate::error::Answer;
use crate::query::summary::totals;
use crate::rows::find_job;
use crate::store::{JobRow, JobState, StoreError, StoreResult, Tx};
use protocol::time::Timestamp;

/// Stops dispatching units of a job; running ones continue.
pub fn pause(
    tx: &mut dyn Tx,
    id: &str,
    audit: &AuditContext,
    now: Timestamp,
) -> Answer<JobChanged> {
    change_state(
        tx,
        id,
        ("pause", JobState::Running, JobState::Paused),
        audit,
        now,
    )
}

/// Dispatches units of a job again.
pub fn resume(
    tx: &mut dyn Tx,
    id: &str,
    audit: &AuditContext,
    now: Timestamp,
) -> Answer<JobChanged> {
    change_state(
        tx,
        id,
        ("resume", JobState::Paused, JobState::Running),
        audit,
        now,
    )
}

fn change_state(
    tx: &mut dyn Tx,
    id: &str,
    (action, from, to): (&str, JobState, JobState),
    audit: &AuditContext,
    now: Timestamp,
) -> Answer<JobChanged> {
    let mut job = find_job(tx, id)?;
    if job.state != from && job.state != to {
        let (is, from) = (job.state.as_str(), from.as_str());
        return Err(Error::Conflict(format!("job {id} is {is}, not {from}")));
    }
    let before = job.clone();
    let changes = before.state == from;
    job.state = to;
    let mut operation = None;
    if !audit.dry_run {
        tx.update_job(&job)?;
        operation = Some(record(
            tx,
            audit,
            action,
            Some(job.no),
            u64::from(changes),
            now,
        )?);
    }
    Ok(JobChanged::of(&before, &job, audit, operation))
}

/// Cancels a job: no more units are dispatched, running ones are called back, ended ones keep their state.
pub fn cancel(
    tx: &mut dyn Tx,
    id: &str,
    audit: &AuditContext,
    now: Timestamp,
) -> Answer<JobChanged> {
    let mut job = find_job(tx, id)?;
    if job.state.has_ended() && job.state != JobState::Cancelled {
        return Err(Error::Conflict(format!(
            "job {id} is {} already",
            job.state.as_str()
        )));
    }
    let before = job.clone();
    let open = match job.state.has_ended() {
        true => 0,
        false => open_units(tx, &job)?,
    };
    let mut operation = None;
    if !job.state.has_ended() {
        job.state = JobState::Cancelling;
        if !audit.dry_run {
            tx.update_job(&job)?;
            operation = Some(record(tx, audit, "cancel", Some(job.no), 1, now)?);
        }
    }
    Ok(JobChanged {
        units_open: open,
        ..JobChanged::of(&before, &job, audit, operation)
    })
}

/// Counts the units of a job that have not ended; none of one that cannot be read, which can be cancelled all the same.
fn open_units(tx: &mut dyn Tx, job: &JobRow) -> StoreResult<u64> {
    match totals(tx, job) {
        Ok(units) => Ok(units
            .total
            .saturating_sub(units.succeeded + units.dead + units.cancelled)),
        Err(StoreError::Corrupt(_)) => Ok(0),
        Err(error) => Err(error),
    }
}
