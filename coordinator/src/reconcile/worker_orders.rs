//! Keeps the store's list of workers, sees that they do what they were told, and puts sick ones aside.
use crate::graph::redrive::RedriveScope;
use crate::review::approvals;
use crate::rows::unit_row;
use crate::store::{OperationRow, OperationState, StepDelta, StoreResult, Tx, UnitRow, WorkerOrder, WorkerRow};
use crate::workflows::Workflows;
use protocol::id::UnitId;
use protocol::rules::unit::transition::UnitState;
use protocol::rules::worker::command::{CommandStep, DesiredMode, next_command};
use protocol::time::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;

/// Who puts workers aside, for the record.
const ACTOR: &str = "coordinator";
/// Workers not heard of for this long are forgotten.
const KEPT: Duration = Duration::from_secs(86_400);

/// What a worker has to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Telling {
    /// Take no more work.
    Drain(String),
    /// Take work again.
    Release(String),
}

/// Writes how workers are. Returns what has to be told to those that do not do yet what they were told.
pub fn tend(tx: &mut dyn Tx, seen: &[WorkerRow], now: Timestamp) -> StoreResult<Vec<Telling>> {
    tx.put_workers(seen)?;
    let kept = i64::try_from(KEPT.as_micros()).unwrap_or(i64::MAX);
    tx.forget_workers(Timestamp(now.0.saturating_sub(kept)))?;
    let mut tellings = Vec::new();
    let seen: BTreeMap<&str, &WorkerRow> = seen.iter().map(|worker| (worker.name.as_str(), worker)).collect();
    for row in tx.workers()? {
        let Some(order) = &row.order else { continue };
        let Some(now_seen) = seen.get(row.name.as_str()) else { continue };
        let wanted = if order.what == "release" { DesiredMode::Work(order.at) } else { DesiredMode::Pause };
        match next_command(wanted, now_seen.state == "draining", now_seen.heard_at) {
            CommandStep::SendRelease => tellings.push(Telling::Release(row.name)),
            CommandStep::SendPause => tellings.push(Telling::Drain(row.name)),
            CommandStep::Done => drop(tx.put_order(&row.name, None)?),
            CommandStep::Keep => {}
        }
    }
    Ok(tellings)
}

/// Puts a sick worker aside and refunds the attempts it has cost: what waits for its next attempt runs at once, what is
/// dead of its last one is brought back. Returns how many units were refunded; `None` when an operator has spoken already.
pub fn quarantine(
    tx: &mut dyn Tx,
    workflows: &Workflows,
    worker: &str,
    reason: &str,
    failed: &[(UnitId, u32)],
    now: Timestamp,
) -> StoreResult<Option<u64>> {
    let Some(row) = tx.workers()?.into_iter().find(|row| row.name == worker) else { return Ok(None) };
    if row.order.is_some() {
        return Ok(None);
    }
    let order = WorkerOrder { what: "quarantine".into(), actor: ACTOR.into(), reason: reason.to_owned(), at: now };
    tx.put_order(worker, Some(&order))?;
    let mut refunded = 0;
    for (unit, epoch) in failed {
        refunded += u64::from(refund(tx, workflows, *unit, *epoch, now)?);
    }
    tx.insert_operation(&OperationRow {
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
        matched: failed.len() as u64,
        eligible: refunded,
        done: refunded,
        state: OperationState::Done,
        rate: None,
        after: None,
        paced_at: now,
        ended_at: Some(now),
    })?;
    Ok(Some(refunded))
}

/// Takes back what this coordinator itself had told workers: they were not to blame. Returns how many.
pub fn exonerate(tx: &mut dyn Tx, workers: &[String], now: Timestamp) -> StoreResult<u64> {
    let mut freed = 0;
    for row in tx.workers()?.into_iter().filter(|row| workers.contains(&row.name)) {
        let ours = row.order.as_ref().is_some_and(|o| o.what == "quarantine" && o.actor == ACTOR);
        if ours {
            let reason = "another worker has no space for the same unit: its destination is full".to_owned();
            let order = WorkerOrder { what: "release".into(), actor: ACTOR.into(), reason, at: now };
            tx.put_order(&row.name, Some(&order))?;
            freed += 1;
        }
    }
    Ok(freed)
}

/// Gives back the attempt that an execution in a sick worker used. Returns whether there was one to give back.
fn refund(tx: &mut dyn Tx, workflows: &Workflows, unit: UnitId, epoch: u32, now: Timestamp) -> StoreResult<bool> {
    let Some(row) = unit_row(tx, unit)? else { return Ok(false) };
    if row.epoch < epoch || row.attempt == 0 {
        return Ok(false);
    }
    let spent = row.attempt - 1;
    match row.state {
        UnitState::Retrying if row.epoch == epoch => {
            // It waited for the worker to do better; another need not wait.
            let to = UnitRow { state: UnitState::Ready, attempt: spent, due_at: None, ..row };
            tx.put_units(unit.job, unit.step, &[(unit.part, to)])?;
            tx.add_to_step(unit.job, unit.step, StepDelta::transition(Some(row.state), to.state))?;
            Ok(true)
        }
        UnitState::Retrying | UnitState::Ready | UnitState::Leased => {
            tx.put_units(unit.job, unit.step, &[(unit.part, UnitRow { attempt: spent, ..row })])?;
            Ok(true)
        }
        UnitState::Dead if row.epoch == epoch => {
            let Some(mut job) = tx.job(unit.job)? else { return Ok(false) };
            if job.state.has_ended() || job.state == crate::store::JobState::Cancelling {
                return Ok(false);
            }
            let failures = tx.failures_of(unit)?;
            let Some(workflow) = workflows.readable(tx, unit.job)? else { return Ok(false) };
            Ok(approvals::redrive(tx, &workflow, &mut job, &[(unit, failures)], RedriveScope::Unit, now)? > 0)
        }
        _ => Ok(false),
    }
}
