//! Persists the worker list, re-sends unacknowledged orders, and quarantines sick workers.
use crate::graph::redrive::RedriveScope;
use crate::review::approvals;
use crate::rows::unit_row;
use crate::store::{
    OperationRow, OperationState, OrderKind, StepDelta, StoreResult, Tx, UnitRow, WorkerOrder,
    WorkerRow, WorkerState,
};
use crate::workflows::Workflows;
use protocol::id::{Execution, UnitId, WorkerId};
use protocol::rules::unit::transition::UnitState;
use protocol::rules::worker::command::{CommandStep, DesiredMode, next_command};
use protocol::time::Timestamp;
use protocol::wire::control::Control;
use std::collections::BTreeMap;
use std::time::Duration;

/// The actor of a quarantine.
const ACTOR: &str = "coordinator";
/// Workers not heard of for this long are forgotten.
const KEPT: Duration = Duration::from_secs(86_400);

/// Writes the list of workers. Returns commands for the workers that do not follow their order yet.
pub fn apply_orders(
    tx: &mut dyn Tx,
    seen: &[WorkerRow],
    now: Timestamp,
) -> StoreResult<Vec<Control>> {
    tx.put_workers(seen)?;
    let kept = i64::try_from(KEPT.as_micros()).unwrap_or(i64::MAX);
    tx.forget_workers(Timestamp(now.0.saturating_sub(kept)))?;
    let mut commands = Vec::new();
    let seen: BTreeMap<&str, &WorkerRow> = seen
        .iter()
        .map(|worker| (worker.name.as_str(), worker))
        .collect();
    for row in tx.workers()? {
        let Some(order) = &row.order else { continue };
        let Some(now_seen) = seen.get(row.name.as_str()) else {
            continue;
        };
        let wanted = if order.kind == OrderKind::Release {
            DesiredMode::Work(order.at)
        } else {
            DesiredMode::Pause
        };
        match next_command(
            wanted,
            now_seen.state == WorkerState::Draining,
            now_seen.heard_at,
        ) {
            CommandStep::SendRelease => commands.push(Control::Release(WorkerId(row.name))),
            CommandStep::SendPause => commands.push(Control::Hold(WorkerId(row.name))),
            CommandStep::Done => drop(tx.put_order(&row.name, None)?),
            CommandStep::Keep => {}
        }
    }
    Ok(commands)
}

/// Units refunded in one transaction.
pub const REFUND_PAGE: usize = 256;

/// Quarantines a sick worker in which this many units failed. Returns the number of the recorded operation; `None` when an
/// operator has given the worker an order.
pub fn quarantine(
    tx: &mut dyn Tx,
    worker: &str,
    reason: &str,
    failed: usize,
    now: Timestamp,
) -> StoreResult<Option<i64>> {
    let Some(row) = tx.workers()?.into_iter().find(|row| row.name == worker) else {
        return Ok(None);
    };
    if row.order.is_some() {
        return Ok(None);
    }
    let order = WorkerOrder {
        kind: OrderKind::Quarantine,
        actor: ACTOR.into(),
        reason: reason.to_owned(),
        at: now,
    };
    tx.put_order(worker, Some(&order))?;
    let operation = tx.insert_operation(&OperationRow {
        no: 0,
        at: now,
        actor: ACTOR.into(),
        action: format!("quarantine worker {worker}"),
        job: None,
        filter: String::new(),
        plan: None,
        progress: None,
        message: None,
        reason: reason.to_owned(),
        matched: failed as u64,
        eligible: 0,
        done: 0,
        state: OperationState::Done,
        rate: None,
        after: None,
        paced_at: now,
        ended_at: Some(now),
    })?;
    Ok(Some(operation))
}

/// Refunds the attempts of a page of units that failed in a quarantined worker: a unit that waits for its next attempt runs
/// at once, a unit that died of its last one is redriven. Returns how many were refunded, which the operation counts.
pub fn refund_page(
    tx: &mut dyn Tx,
    workflows: &Workflows,
    operation: i64,
    failed: &[Execution],
    now: Timestamp,
) -> StoreResult<u64> {
    let mut refunded = 0;
    for Execution { unit, epoch } in failed {
        let done =
            workflows.for_job(tx, unit.job, |tx| refund(tx, workflows, *unit, *epoch, now))?;
        refunded += u64::from(done.unwrap_or(false));
    }
    if refunded > 0
        && let Some(row) = tx.operation(operation)?
    {
        let (eligible, done) = (row.eligible + refunded, row.done + refunded);
        tx.update_operation(&OperationRow {
            eligible,
            done,
            ..row
        })?;
    }
    Ok(refunded)
}

/// Lifts quarantines that this coordinator imposed and that turned out to be wrong. Returns how many.
pub fn lift_quarantine(tx: &mut dyn Tx, workers: &[WorkerId], now: Timestamp) -> StoreResult<u64> {
    let mut freed = 0;
    for row in tx
        .workers()?
        .into_iter()
        .filter(|row| workers.iter().any(|worker| worker.0 == row.name))
    {
        let ours = row
            .order
            .as_ref()
            .is_some_and(|o| o.kind == OrderKind::Quarantine && o.actor == ACTOR);
        if ours {
            let reason =
                "another worker has no space for the same unit: its destination is full".to_owned();
            let order = WorkerOrder {
                kind: OrderKind::Release,
                actor: ACTOR.into(),
                reason,
                at: now,
            };
            tx.put_order(&row.name, Some(&order))?;
            freed += 1;
        }
    }
    Ok(freed)
}

/// Gives back the attempt that an execution in a sick worker used. Returns whether there was one to give back.
fn refund(
    tx: &mut dyn Tx,
    workflows: &Workflows,
    unit: UnitId,
    epoch: u32,
    now: Timestamp,
) -> StoreResult<bool> {
    let Some(row) = unit_row(tx, unit)? else {
        return Ok(false);
    };
    if row.epoch < epoch || row.attempt == 0 {
        return Ok(false);
    }
    let spent = row.attempt - 1;
    match row.state {
        UnitState::Retrying if row.epoch == epoch => {
            // The pause was for this worker; another need not wait.
            let to = UnitRow {
                state: UnitState::Ready,
                attempt: spent,
                due_at: None,
                ..row
            };
            tx.put_units(unit.job, unit.step, &[(unit.part, to)])?;
            tx.add_to_step(
                unit.job,
                unit.step,
                StepDelta::transition(Some(row.state), to.state),
            )?;
            Ok(true)
        }
        UnitState::Retrying | UnitState::Ready | UnitState::Leased => {
            tx.put_units(
                unit.job,
                unit.step,
                &[(
                    unit.part,
                    UnitRow {
                        attempt: spent,
                        ..row
                    },
                )],
            )?;
            Ok(true)
        }
        UnitState::Dead if row.epoch == epoch => {
            let Some(mut job) = tx.job(unit.job)? else {
                return Ok(false);
            };
            if job.state.has_ended() || job.state == crate::store::JobState::Cancelling {
                return Ok(false);
            }
            let failures = tx.failures_of(unit)?;
            let Some(workflow) = workflows.readable(tx, unit.job)? else {
                return Ok(false);
            };
            Ok(approvals::redrive(
                tx,
                &workflow,
                &mut job,
                &[(unit, failures)],
                RedriveScope::Unit,
                now,
            )? > 0)
        }
        _ => Ok(false),
    }
}
