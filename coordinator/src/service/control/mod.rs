//! What operators ask for: pause, resume, cancel, retry, redrive, waive. Each is one transaction, leaves a durable record,
//! and says what it did; the same functions answer the command line and the API.
mod correction;
mod failure;
mod fleet;
mod operation;
mod order;
mod plan;
mod priority;
mod progress;
mod redeliver;
mod redrive;
mod retry;
mod select;
mod task;
mod task_picture;

pub use failure::{CauseView, Waived, causes, waive};
pub(crate) use failure::{changes as cause_changes, count_dead};
pub use fleet::{WorkerView, drain, release, workers};
pub use operation::{OperationView, advance, next_due, operations, steer};
pub use order::*;
pub use plan::Plan;
pub use priority::prioritise;
pub(crate) use redeliver::redeliver;
pub(crate) use redrive::{Again, bring_back};
pub use retry::{Among, Preview, carry_on, needs_preview, preview, retried, retry};
pub use task::{TaskEvent, TaskView, TasksFilter, settle_task, task, tasks};
pub use task_picture::{TaskPicture, task_pictures};

use crate::store::{JobRow, JobState, OperationRow, OperationState, StoreResult, Tx};
use protocol::id::JobNo;
use protocol::time::Timestamp;

/// Why a request was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such job.
    NotFound,
    /// There is no such thing; the sentence says what.
    Unknown(String),
    /// The job's state does not allow it.
    Conflict(String),
    /// The request cannot be understood; what is wrong, and what was probably meant.
    Invalid(String, String),
}

/// The answer to a request.
pub type Answer<T> = Result<T, Refusal>;

fn find(tx: &mut dyn Tx, id: &str) -> StoreResult<Answer<JobRow>> {
    Ok(tx.job_by_id(id)?.ok_or(Refusal::NotFound))
}

/// Hands out no more units of a job; those out go on.
pub fn pause(tx: &mut dyn Tx, id: &str, order: &Order, now: Timestamp) -> StoreResult<Answer<JobChanged>> {
    change_state(tx, id, ("pause", JobState::Running, JobState::Paused), order, now)
}

/// Hands out units again.
pub fn resume(tx: &mut dyn Tx, id: &str, order: &Order, now: Timestamp) -> StoreResult<Answer<JobChanged>> {
    change_state(tx, id, ("resume", JobState::Paused, JobState::Running), order, now)
}

fn change_state(
    tx: &mut dyn Tx,
    id: &str,
    (action, from, to): (&str, JobState, JobState),
    order: &Order,
    now: Timestamp,
) -> StoreResult<Answer<JobChanged>> {
    let mut job = match find(tx, id)? {
        Ok(job) => job,
        Err(refusal) => return Ok(Err(refusal)),
    };
    if job.state != from && job.state != to {
        let (is, from) = (job.state.as_str(), from.as_str());
        return Ok(Err(Refusal::Conflict(format!("job {id} is {is}, not {from}"))));
    }
    let changes = job.state == from;
    job.state = to;
    let mut operation = None;
    if !order.dry_run {
        tx.update_job(&job)?;
        operation = Some(record(tx, order, action, Some(job.no), u64::from(changes), now)?);
    }
    Ok(Ok(JobChanged::of(&job, order, operation)))
}

/// Cancels a job: nothing more is handed out, units out are called back, what has ended stays.
pub fn cancel(tx: &mut dyn Tx, id: &str, order: &Order, now: Timestamp) -> StoreResult<Answer<JobChanged>> {
    let mut job = match find(tx, id)? {
        Ok(job) => job,
        Err(refusal) => return Ok(Err(refusal)),
    };
    if job.state.has_ended() && job.state != JobState::Cancelled {
        return Ok(Err(Refusal::Conflict(format!("job {id} is {} already", job.state.as_str()))));
    }
    let mut operation = None;
    if !job.state.has_ended() {
        job.state = JobState::Cancelling;
        if !order.dry_run {
            tx.update_job(&job)?;
            operation = Some(record(tx, order, "cancel", Some(job.no), 1, now)?);
        }
    }
    Ok(Ok(JobChanged::of(&job, order, operation)))
}

/// Records something that is carried out at once.
fn record(
    tx: &mut dyn Tx,
    order: &Order,
    action: &str,
    job: Option<JobNo>,
    done: u64,
    now: Timestamp,
) -> StoreResult<i64> {
    let row = OperationRow { matched: done, eligible: done, done, ..begun(order, action, job, now) };
    tx.insert_operation(&OperationRow { state: OperationState::Done, ended_at: Some(now), ..row })
}

/// An operation at its beginning.
fn begun(order: &Order, action: &str, job: Option<JobNo>, now: Timestamp) -> OperationRow {
    OperationRow {
        no: 0,
        at: now,
        actor: order.actor.clone(),
        action: action.to_owned(),
        job,
        filter: String::new(),
        plan: None,
        progress: None,
        message: None,
        reason: order.reason.clone(),
        matched: 0,
        eligible: 0,
        done: 0,
        state: OperationState::Running,
        rate: None,
        after: None,
        paced_at: now,
        ended_at: None,
    }
}
