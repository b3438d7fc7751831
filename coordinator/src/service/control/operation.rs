//! Operations that take a while: the leader carries them out in batches, at their rate. All there is to know of one stands
//! in its row, so that it goes on where it was after a restart.
use super::order::{Order, Steering};
use super::redrive::bring_back;
use super::select::{Jobs, Plan, Walk, obstacle};
use super::{Answer, Refusal, find, record};
use crate::service::Workflows;
use crate::store::{OperationRow, OperationState, StoreResult, Tx};
use protocol::failure::Failure;
use protocol::id::{JobNo, UnitId};
use protocol::rules::lifecycle::UnitState;
use protocol::rules::redrive::{allowance, next_at};
use protocol::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// Units brought back in one transaction.
const BATCH_UNITS: u32 = 1_000;
/// Operations carried out side by side.
const RUNNING_MAX: u32 = 16;

/// A unit with the failures of its assets.
pub(super) type Unsuccessful = (UnitId, Vec<(String, Failure)>);

/// An operation as lists show it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct OperationView {
    /// Its number.
    pub operation: i64,
    /// When it was asked for.
    pub at: String,
    /// Who asked.
    pub actor: String,
    /// What.
    pub action: String,
    /// The job, when it is about one.
    pub job: Option<String>,
    /// Terms of the selection.
    pub filter: Vec<String>,
    /// Why.
    pub reason: String,
    /// Units the selection matched.
    pub matched: u64,
    /// Of those, what could be acted on.
    pub eligible: u64,
    /// Units acted on so far.
    pub done: u64,
    /// `running`, `paused`, `done` or `aborted`.
    pub state: String,
    /// Units a second.
    pub rate: Option<f64>,
    /// When it ended.
    pub ended_at: Option<String>,
}

/// Operations, newest first; those of one job when it is named.
pub fn operations(tx: &mut dyn Tx, job: Option<&str>, limit: u32) -> StoreResult<Answer<Vec<OperationView>>> {
    let job = match job.map(|id| find(tx, id)).transpose()?.transpose() {
        Ok(job) => job,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let rows = tx.operations(job.map(|job| job.no), limit)?;
    let mut jobs = Jobs::default();
    rows.into_iter().map(|row| view(tx, &mut jobs, row)).collect::<StoreResult<Vec<_>>>().map(Ok)
}

fn view(tx: &mut dyn Tx, jobs: &mut Jobs, row: OperationRow) -> StoreResult<OperationView> {
    let job = match row.job {
        Some(no) => jobs.get(tx, no)?.map(|job| job.id.clone()),
        None => None,
    };
    Ok(OperationView {
        operation: row.no,
        at: row.at.to_string(),
        actor: row.actor,
        action: row.action,
        job,
        filter: row.filter.lines().map(str::to_owned).collect(),
        reason: row.reason,
        matched: row.matched,
        eligible: row.eligible,
        done: row.done,
        state: row.state.as_str().to_owned(),
        rate: row.rate,
        ended_at: row.ended_at.map(|t| t.to_string()),
    })
}

/// Pauses, resumes or aborts an operation under way.
pub fn steer(
    tx: &mut dyn Tx,
    no: i64,
    steering: Steering,
    order: &Order,
    now: Timestamp,
) -> StoreResult<Answer<OperationView>> {
    let Some(mut row) = tx.operation(no)? else {
        return Ok(Err(Refusal::Unknown(format!("no operation {no}: showrunner operation list"))));
    };
    let (word, to) = match steering {
        Steering::Pause => ("pause", OperationState::Paused),
        Steering::Resume => ("resume", OperationState::Running),
        Steering::Abort => ("abort", OperationState::Aborted),
    };
    let open = matches!(row.state, OperationState::Running | OperationState::Paused);
    if !open && row.state != to {
        return Ok(Err(Refusal::Conflict(format!("operation {no} is {} already", row.state.as_str()))));
    }
    if row.state != to {
        row.state = to;
        row.paced_at = now;
        row.ended_at = (to == OperationState::Aborted).then_some(now);
        if !order.dry_run {
            tx.update_operation(&row)?;
            record(tx, order, &format!("{word} operation {no}"), row.job, 1, now)?;
        }
    }
    view(tx, &mut Jobs::default(), row).map(Ok)
}

/// Carries every running operation on by what its rate allows. Returns whether there is more to do at once.
pub fn advance(tx: &mut dyn Tx, workflows: &Workflows, now: Timestamp) -> StoreResult<bool> {
    let mut more = false;
    for mut row in tx.running_operations(RUNNING_MAX)? {
        more |= carry_out(tx, workflows, &mut row, now)?;
    }
    Ok(more)
}

/// When the next operation may go on by its rate.
pub fn next_due(tx: &mut dyn Tx) -> StoreResult<Option<Timestamp>> {
    Ok(tx.running_operations(RUNNING_MAX)?.iter().map(|row| next_at(row.rate, row.paced_at)).min())
}

/// Carries one operation on. Returns whether there is more to do at once.
pub(super) fn carry_out(
    tx: &mut dyn Tx,
    workflows: &Workflows,
    row: &mut OperationRow,
    now: Timestamp,
) -> StoreResult<bool> {
    let (allowed, paced_at) = allowance(row.rate, row.paced_at, now, BATCH_UNITS);
    if allowed == 0 {
        return Ok(false);
    }
    let plan = Plan::read(&row.filter);
    let (mut walk, mut jobs) = (Walk::new(&plan, row.job, row.after), Jobs::default());
    let mut batch: BTreeMap<JobNo, Vec<Unsuccessful>> = BTreeMap::new();
    let (mut taken, mut ended) = (0, true);
    while let Some(found) = walk.next(tx, workflows)? {
        let workflow = workflows.of(tx, found.unit.job)?;
        let obstacle = obstacle(tx, &mut jobs, &workflow, &found, plan.again(), now)?;
        if found.state == UnitState::Dead {
            row.after = Some(found.unit);
        }
        if obstacle.is_some() {
            continue;
        }
        taken += 1;
        batch.entry(found.unit.job).or_default().push((found.unit, found.failures));
        if taken >= allowed {
            ended = false;
            break;
        }
    }
    for (no, units) in batch {
        let workflow = workflows.of(tx, no)?;
        if let Some(job) = jobs.get(tx, no)? {
            let mut job = job.clone();
            row.done += bring_back(tx, &workflow, &mut job, &units, plan.again(), now)?;
        }
    }
    row.paced_at = paced_at;
    if ended {
        row.state = OperationState::Done;
        row.ended_at = Some(now);
    }
    tx.update_operation(row)?;
    Ok(!ended && row.rate.is_none())
}
