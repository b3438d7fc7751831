//! Long operations: the leader carries them out in batches, at their rate. The row of an operation holds all its state, so it
//! continues after a restart.
use crate::audit::{AuditContext, record};
use crate::command::correction::{Corrected, Corrector};
use crate::command::plan::Plan;
use crate::command::progress::{Progress, Tallied};
use crate::command::request::{Correction, OperationChange, Retried};
use crate::command::selection::{Found, List, Place, Walk, obstacle, prefetch_units};
use crate::error::{Answer, Error};
use crate::field_change::field_changes;
use crate::query::operations::{OperationView, view};
use crate::review::approvals::redrive;
use crate::rows::JobCache;
use crate::store::cost::page as share_of;
use crate::store::{OperationRow, OperationState, StoreError, StoreResult, Tx};
use crate::workflows::Workflows;
use protocol::failure::Failure;
use protocol::id::UnitId;
use protocol::rules::unit::redrive_rate::{allowance, is_rate, next_at};
use protocol::time::Timestamp;

/// Units redriven in one transaction.
const BATCH_UNITS: u32 = 1_000;
/// Operations carried out side by side.
const RUNNING_MAX: u32 = 16;
/// Rows of failures and units read for one page.
pub(super) const PAGE_ROWS: u32 = 2_000;
/// The fewest that are worth a look.
const ROWS_MIN: u32 = 16;
/// The same for all operations in one turn.
pub(super) const ROWS_OF_A_TURN: u32 = 2_000;

/// A unit with the failures of its assets.
type Unsuccessful = (UnitId, Vec<(String, Failure)>);

/// Pauses, resumes or aborts an operation under way.
pub fn change_operation(
    tx: &mut dyn Tx,
    no: i64,
    steering: OperationChange,
    audit: &AuditContext,
    now: Timestamp,
) -> Answer<OperationView> {
    let Some(mut row) = tx.operation(no)? else {
        return Err(Error::Unknown(format!(
            "no operation {no}: showrunner operation list"
        )));
    };
    let (word, to) = match steering {
        OperationChange::Pause => ("pause", OperationState::Paused),
        OperationChange::Resume => ("resume", OperationState::Running),
        OperationChange::Abort => ("abort", OperationState::Aborted),
    };
    let open = matches!(row.state, OperationState::Running | OperationState::Paused);
    if !open && row.state != to {
        return Err(Error::Conflict(format!(
            "operation {no} is {} already",
            row.state.as_str()
        )));
    }
    let before = row.state;
    if row.state != to {
        row.state = to;
        row.paced_at = now;
        row.ended_at = (to == OperationState::Aborted).then_some(now);
        if !audit.dry_run {
            tx.update_operation(&row)?;
            if to == OperationState::Aborted {
                tx.put_operation_input(no, None)?;
            }
            record(
                tx,
                audit,
                &format!("{word} operation {no}"),
                row.job,
                1,
                now,
            )?;
        }
    }
    let state = |state: OperationState| state.as_str().to_owned();
    let changes = field_changes([("state", state(before), state(row.state))]);
    Ok(OperationView {
        changes,
        dry_run: audit.dry_run,
        ..view(tx, &mut JobCache::default(), row)?
    })
}

/// Advances every running operation by a page. Returns whether there is more to do at once.
pub fn advance(tx: &mut dyn Tx, workflows: &Workflows, now: Timestamp) -> StoreResult<bool> {
    let mut more = false;
    let running = tx.running_operations(RUNNING_MAX)?;
    // All of them together are one page: a turn costs the same however many there are.
    let rows = share_of(ROWS_OF_A_TURN) / u32::try_from(running.len()).unwrap_or(u32::MAX).max(1);
    for mut row in running {
        more |= carry_out(tx, workflows, &mut row, rows, now)?;
    }
    Ok(more)
}

/// When the next operation may continue by its rate.
pub fn next_due(tx: &mut dyn Tx) -> StoreResult<Option<Timestamp>> {
    Ok(tx
        .running_operations(RUNNING_MAX)?
        .iter()
        .map(|row| next_at(row.rate, row.paced_at))
        .min())
}

/// What an operation is to do. One whose text cannot be read does nothing: what was left out would be done for real.
fn readable(row: &OperationRow) -> Result<(Plan, Progress), String> {
    if row.rate.is_some_and(|rate| !is_rate(rate)) {
        return Err("the stored rate cannot be read".into());
    }
    Ok((Plan::read(row)?, Progress::read(row)?))
}

fn end(
    tx: &mut dyn Tx,
    row: &mut OperationRow,
    state: OperationState,
    now: Timestamp,
) -> StoreResult<bool> {
    row.state = state;
    row.ended_at = Some(now);
    tx.put_operation_input(row.no, None)?;
    tx.update_operation(row)?;
    Ok(false)
}

fn abort(tx: &mut dyn Tx, row: &mut OperationRow, why: &str, now: Timestamp) -> StoreResult<bool> {
    tracing::error!(operation = row.no, why, "an operation was aborted");
    row.message = Some(format!(
        "aborted: {why}; changes made before remain, repeat the request for the rest"
    ));
    end(tx, row, OperationState::Aborted, now)
}

/// Carries one operation on by a page of about `rows` rows: first everything is counted, then it is brought back. Returns
/// whether there is more to do at once.
pub(super) fn carry_out(
    tx: &mut dyn Tx,
    workflows: &Workflows,
    row: &mut OperationRow,
    rows: u32,
    now: Timestamp,
) -> StoreResult<bool> {
    let (plan, progress) = match readable(row) {
        Ok(read) => read,
        Err(why) => return abort(tx, row, &why, now),
    };
    let done = if progress.counted {
        bring_back_page(tx, workflows, (&mut *row, &plan, progress), rows, now)
    } else {
        count_page(tx, workflows, (&mut *row, &plan, progress), rows, now)
    };
    match done {
        // A job of the selection cannot be read by this version: it must not hold up all others.
        Err(StoreError::Corrupt(why)) => abort(tx, row, &why, now),
        done => done,
    }
}

fn count_page(
    tx: &mut dyn Tx,
    workflows: &Workflows,
    (row, plan, mut progress): (&mut OperationRow, &Plan, Progress),
    rows: u32,
    now: Timestamp,
) -> StoreResult<bool> {
    let page =
        Walk { plan, job: row.job }.page(tx, workflows, progress.place, rows.min(PAGE_ROWS))?;
    let mut jobs = JobCache::default();
    prefetch_units(tx, workflows, &page.found)?;
    for found in page.found {
        let workflow = workflows.of(tx, found.unit.job)?;
        let why = obstacle(tx, &mut jobs, &workflow, &found, plan.scope(), now)?;
        progress.tallied.add(why);
    }
    progress.place = page.place;
    progress.counted = page.place.list == List::End;
    if progress.counted {
        progress.place = Place::default();
        // The rate is that of bringing back; counting used none of it.
        row.paced_at = now;
    }
    (row.matched, row.eligible) = (progress.tallied.matched, progress.tallied.eligible);
    row.progress = Some(progress.json());
    if progress.counted && row.eligible == 0 {
        return end(tx, row, OperationState::Done, now);
    }
    tx.update_operation(row)?;
    Ok(!progress.counted || row.rate.is_none())
}

fn bring_back_page(
    tx: &mut dyn Tx,
    workflows: &Workflows,
    (row, plan, mut progress): (&mut OperationRow, &Plan, Progress),
    rows: u32,
    now: Timestamp,
) -> StoreResult<bool> {
    let (allowed, paced_at) = allowance(row.rate, row.paced_at, now, rows.clamp(1, BATCH_UNITS));
    if allowed == 0 {
        return Ok(false);
    }
    // At a rate few units go at a time, and the rest of a page would be read for nothing.
    let rows = rows
        .min(PAGE_ROWS)
        .min(allowed.saturating_mul(2).max(ROWS_MIN));
    let page = Walk { plan, job: row.job }.page(tx, workflows, progress.place, rows)?;
    prefetch_units(tx, workflows, &page.found)?;
    let (mut jobs, mut taken, mut place) = (JobCache::default(), Vec::new(), page.place);
    for found in page.found {
        let workflow = workflows.of(tx, found.unit.job)?;
        if obstacle(tx, &mut jobs, &workflow, &found, plan.scope(), now)?.is_some() {
            continue;
        }
        if taken.len() >= allowed as usize {
            // The rest of the page is read again.
            place = Place {
                after: taken.last().map(|last: &Found| last.unit),
                ..progress.place
            };
            break;
        }
        taken.push(found);
    }
    row.done += bring_back_all(tx, workflows, (row.no, plan), taken, now)?;
    (row.paced_at, progress.place) = (paced_at, place);
    if place.list == List::Dead {
        // The version before reads this one.
        row.after = place.after;
    }
    row.progress = Some(progress.json());
    if place.list == List::End {
        return end(tx, row, OperationState::Done, now);
    }
    tx.update_operation(row)?;
    Ok(row.rate.is_none())
}

/// Brings units back, with corrected input where there is some.
fn bring_back_all(
    tx: &mut dyn Tx,
    workflows: &Workflows,
    (operation, plan): (i64, &Plan),
    mut taken: Vec<Found>,
    now: Timestamp,
) -> StoreResult<u64> {
    if plan.corrected && !taken.is_empty() {
        // None was stored by the version before, which had corrected everything when it was asked to.
        if let Some(text) = tx.operation_input(operation)? {
            let corrections: Vec<Correction> = serde_json::from_str(&text).map_err(|error| {
                StoreError::Corrupt(format!("the stored corrections cannot be read: {error}"))
            })?;
            let corrected = Corrector::new(corrections).apply(
                tx,
                workflows,
                &taken,
                &mut Corrected::default(),
            )?;
            for (job, corrections) in corrected {
                tx.correct_assets(job, &corrections)?;
            }
        }
    }
    if plan.selection.causes.len() == 1 {
        // Such a page holds the failures of one cause; a unit that comes back is dead of no other either.
        for found in &mut taken {
            found.failures = tx.failures_of(found.unit)?;
        }
    }
    let mut done = 0;
    for of_job in taken.chunk_by(|a, b| a.unit.job == b.unit.job) {
        let job = of_job[0].unit.job;
        let workflow = workflows.of(tx, job)?;
        let Some(mut job) = tx.job(job)? else {
            continue;
        };
        let units: Vec<Unsuccessful> = of_job
            .iter()
            .map(|found| (found.unit, found.failures.clone()))
            .collect();
        done += redrive(tx, &workflow, &mut job, &units, plan.scope(), now)?;
    }
    Ok(done)
}

/// Progress of an operation in the form of an answer.
pub(super) fn tallied(row: &OperationRow) -> Retried {
    let (tallied, counted) = match Progress::read(row) {
        Ok(progress) => (progress.tallied, progress.counted),
        Err(_) => (Tallied::default(), true),
    };
    let running = matches!(row.state, OperationState::Running | OperationState::Paused);
    Retried {
        matched: row.matched,
        units: row.eligible,
        done: row.done,
        counting: running && !counted,
        ..tallied.retried()
    }
}
