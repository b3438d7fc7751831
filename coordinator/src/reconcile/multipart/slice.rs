//! One slice of a multipart upload: the end of its execution, and how it is taken back or given up.
use super::has_ended;
use crate::store::{SliceRow, StoreResult, Tx};
use protocol::id::{SliceNo, UnitId};
use protocol::rules::unit::retry::RetryPolicy;
use protocol::rules::unit::settle::{Reported, Settlement, UnitFacts, decide};
use protocol::rules::unit::transition::UnitState;
use protocol::time::Timestamp;
use protocol::wire::report::{Outcome, UnitResult};

/// The outcome of a report about a slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Nothing: it was late, foreign or repeated (FEN-1).
    Rejected,
    /// It has arrived.
    Succeeded,
    /// It is tried again after a pause.
    Retried,
    /// It cannot be carried.
    Dead,
    /// It came back.
    Released,
}

fn find(tx: &mut dyn Tx, unit: UnitId, number: SliceNo) -> StoreResult<Option<SliceRow>> {
    Ok(tx
        .slices(unit)?
        .into_iter()
        .find(|row| row.slice.number == number))
}

/// Takes a slice back that is out under `epoch` (FEN-2). Returns whether it was.
pub fn take_back(tx: &mut dyn Tx, unit: UnitId, number: SliceNo, epoch: u32) -> StoreResult<bool> {
    let found =
        find(tx, unit, number)?.filter(|row| row.state == UnitState::Leased && row.epoch == epoch);
    let Some(row) = found else { return Ok(false) };
    tx.put_slices(
        unit,
        &[SliceRow {
            state: UnitState::Ready,
            ..row
        }],
    )?;
    Ok(true)
}

/// Gives a slice up that has not ended. Returns whether it was one.
pub fn give_up(tx: &mut dyn Tx, unit: UnitId, number: SliceNo) -> StoreResult<bool> {
    let Some(row) = find(tx, unit, number)?.filter(|row| !has_ended(row)) else {
        return Ok(false);
    };
    tx.put_slices(
        unit,
        &[SliceRow {
            state: UnitState::Dead,
            ..row
        }],
    )?;
    Ok(true)
}

/// Takes the end of one execution of a slice.
pub fn settle(
    tx: &mut dyn Tx,
    outcome: &Outcome,
    policy: &RetryPolicy,
    now: Timestamp,
    jitter: f64,
) -> StoreResult<Ended> {
    let Some(number) = outcome.unit.slice else {
        return Ok(Ended::Rejected);
    };
    let unit = outcome.unit.whole();
    let Some(mut row) = find(tx, unit, number)? else {
        return Ok(Ended::Rejected);
    };
    let facts = UnitFacts {
        state: row.state,
        epoch: row.epoch,
        attempt: row.attempt,
        assets: 1,
    };
    let (said, receipt) = match &outcome.result {
        UnitResult::Sliced(receipt) => (Reported::Finished(Vec::new()), Some(receipt.clone())),
        UnitResult::Failed(failure) => (Reported::Failed(failure.clone()), None),
        _ => (Reported::Returned, None),
    };
    let ended = match decide(facts, outcome.epoch, said, policy, now, jitter) {
        Settlement::Reject(_) => return Ok(Ended::Rejected),
        Settlement::Succeed => {
            (row.state, row.receipt) = (UnitState::Succeeded, receipt);
            Ended::Succeeded
        }
        Settlement::Retry(at, failure) => {
            tracing::warn!(unit.id = %outcome.unit, why = failure.message, "a slice failed and is retried");
            (row.state, row.due_at, row.attempt) = (UnitState::Retrying, Some(at), row.attempt + 1);
            Ended::Retried
        }
        Settlement::Die(failures) => {
            let why = failures
                .into_iter()
                .next()
                .map(|(_, failure)| failure.message)
                .unwrap_or_default();
            tracing::warn!(unit.id = %outcome.unit, why, "a slice failed for good; one worker transfers its asset");
            (row.state, row.attempt) = (UnitState::Dead, row.attempt + 1);
            Ended::Dead
        }
        Settlement::Split { .. } | Settlement::Release | Settlement::Wait(..) => {
            row.state = UnitState::Ready;
            Ended::Released
        }
    };
    tx.put_slices(unit, &[row])?;
    Ok(ended)
}
