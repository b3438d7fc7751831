//! What operators ask for: pause, resume, cancel, retry, redrive, waive. Each is one transaction, leaves a durable record,
//! and says what it did; the same functions answer the command line and the API.
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
pub use operation::{advance, next_due, steer};
pub use plan::Plan;
pub use priority::prioritise;
pub use request::*;
pub use retry::{Among, Preview, carry_on, needs_preview, preview, retried, retry};

use crate::audit::{Order, record};
use crate::error::Answer;
use crate::rows::find_job;
use crate::store::{JobState, Tx};
use protocol::time::Timestamp;

/// Hands out no more units of a job; those out go on.
pub fn pause(tx: &mut dyn Tx, id: &str, order: &Order, now: Timestamp) -> Answer<JobChanged> {
    change_state(tx, id, ("pause", JobState::Running, JobState::Paused), order, now)
}

/// Hands out units again.
pub fn resume(tx: &mut dyn Tx, id: &str, order: &Order, now: Timestamp) -> Answer<JobChanged> {
    change_state(tx, id, ("resume", JobState::Paused, JobState::Running), order, now)
}

fn change_state(
    tx: &mut dyn Tx,
    id: &str,
    (action, from, to): (&str, JobState, JobState),
    order: &Order,
    now: Timestamp,
) -> Answer<JobChanged> {
    let mut job = find_job(tx, id)?;
    if job.state != from && job.state != to {
        let (is, from) = (job.state.as_str(), from.as_str());
        return Err(Error::Conflict(format!("job {id} is {is}, not {from}")));
    }
    let changes = job.state == from;
    job.state = to;
    let mut operation = None;
    if !order.dry_run {
        tx.update_job(&job)?;
        operation = Some(record(tx, order, action, Some(job.no), u64::from(changes), now)?);
    }
    Ok(JobChanged::of(&job, order, operation))
}

/// Cancels a job: nothing more is handed out, units out are called back, what has ended stays.
pub fn cancel(tx: &mut dyn Tx, id: &str, order: &Order, now: Timestamp) -> Answer<JobChanged> {
    let mut job = find_job(tx, id)?;
    if job.state.has_ended() && job.state != JobState::Cancelled {
        return Err(Error::Conflict(format!("job {id} is {} already", job.state.as_str())));
    }
    let mut operation = None;
    if !job.state.has_ended() {
        job.state = JobState::Cancelling;
        if !order.dry_run {
            tx.update_job(&job)?;
            operation = Some(record(tx, order, "cancel", Some(job.no), 1, now)?);
        }
    }
    Ok(JobChanged::of(&job, order, operation))
}
