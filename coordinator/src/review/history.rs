//! The history of tasks: who did what, when and why.
use crate::store::{StoreResult, TaskEventRow, TaskRow, Tx};
use protocol::time::Timestamp;

/// The actor of events that no person caused.
pub const COORDINATOR: &str = "coordinator";

/// An event of a task that its present bytes belong to.
pub fn event(
    task: &TaskRow,
    (actor, event, reason): (&str, &str, &str),
    now: Timestamp,
) -> TaskEventRow {
    TaskEventRow {
        task: task.no,
        at: now,
        actor: actor.to_owned(),
        event: event.to_owned(),
        reason: reason.to_owned(),
        hash: task.hash.clone(),
    }
}

/// Appends an event of a task to its history.
pub fn note(
    tx: &mut dyn Tx,
    task: &TaskRow,
    what: (&str, &str, &str),
    now: Timestamp,
) -> StoreResult<()> {
    tx.insert_task_event(&event(task, what, now))
}
