//! Orders for workers: drain and release. The order is a row; the leader re-sends it until the worker obeys.
use crate::audit::{Order, record};
use crate::error::{Answer, Error};
use crate::query::workers::{WorkerView, view};
use crate::store::{Tx, WorkerOrder};
use protocol::time::Timestamp;

/// Tells a worker to take no more work; what it holds ends.
pub fn drain(tx: &mut dyn Tx, name: &str, order: &Order, now: Timestamp) -> Answer<WorkerView> {
    tell(tx, name, "drain", order, now)
}

/// Lets a drained or quarantined worker take work again.
pub fn release(tx: &mut dyn Tx, name: &str, order: &Order, now: Timestamp) -> Answer<WorkerView> {
    tell(tx, name, "release", order, now)
}

fn tell(tx: &mut dyn Tx, name: &str, what: &str, order: &Order, now: Timestamp) -> Answer<WorkerView> {
    let Some(mut row) = tx.workers()?.into_iter().find(|row| row.name == name) else {
        return Err(Error::Unknown(format!("no worker {name}: showrunner worker list")));
    };
    let (actor, reason) = (order.actor.clone(), order.reason.clone());
    let told = WorkerOrder { what: what.to_owned(), actor, reason, at: now };
    if !order.dry_run {
        tx.put_order(name, Some(&told))?;
        record(tx, order, &format!("{what} worker {name}"), None, 1, now)?;
    }
    row.order = Some(told);
    Ok(view(row, now))
}
