//! Orders for workers: drain and release. The order is a row; the leader re-sends it until the worker obeys.
use crate::audit::{AuditContext, record};
use crate::error::{Answer, Error};
use crate::field_change::field_changes;
use crate::query::workers::{WorkerView, view};
use crate::store::{OrderKind, Tx, WorkerOrder};
use protocol::time::Timestamp;

/// Tells a worker to take no more work; what it holds ends.
pub fn drain(
    tx: &mut dyn Tx,
    name: &str,
    audit: &AuditContext,
    now: Timestamp,
) -> Answer<WorkerView> {
    tell(tx, name, OrderKind::Drain, audit, now)
}

/// Lets a drained or quarantined worker take work again.
pub fn release(
    tx: &mut dyn Tx,
    name: &str,
    audit: &AuditContext,
    now: Timestamp,
) -> Answer<WorkerView> {
    tell(tx, name, OrderKind::Release, audit, now)
}

fn tell(
    tx: &mut dyn Tx,
    name: &str,
    kind: OrderKind,
    audit: &AuditContext,
    now: Timestamp,
) -> Answer<WorkerView> {
    let Some(mut row) = tx.workers()?.into_iter().find(|row| row.name == name) else {
        return Err(Error::Unknown(format!(
            "no worker {name}: showrunner worker list"
        )));
    };
    let (actor, reason) = (audit.actor.clone(), audit.reason.clone());
    let order = WorkerOrder {
        kind,
        actor,
        reason,
        at: now,
    };
    if !audit.dry_run {
        tx.put_order(name, Some(&order))?;
        record(
            tx,
            audit,
            &format!("{} worker {name}", kind.as_str()),
            None,
            1,
            now,
        )?;
    }
    let before = view(row.clone(), now);
    row.order = Some(order);
    let after = view(row, now);
    Ok(WorkerView {
        changes: field_changes([("state", before.state, after.state.clone())]),
        dry_run: audit.dry_run,
        ..after
    })
}
