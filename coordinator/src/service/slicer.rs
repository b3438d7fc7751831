//! One large transfer over several workers: its unit is cut into slices, each handed out, fenced, tried again and settled as
//! a unit is; the unit may be completed once all of them have succeeded. The slices are members of a barrier of their own,
//! counted in the transaction that makes the transition (BAR-1).
use crate::store::{SliceRow, StoreResult, Tx};
use protocol::failure::Failure;
use protocol::id::UnitId;
use protocol::rules::barrier::{BarrierDecision, BarrierPolicy, BarrierRequire, Tally, evaluate};
use protocol::rules::lifecycle::UnitState;
use protocol::rules::retry::RetryPolicy;
use protocol::rules::settle::{Reported, Settlement, UnitFacts, decide};
use protocol::rules::slice::{SliceLimits, TooLarge, cut as cut_bytes};
use protocol::time::Timestamp;

/// What a report about a slice did.
#[derive(Debug, Clone, PartialEq)]
pub enum Sliced {
    /// Nothing: it was late, foreign or repeated (FEN-1).
    Rejected,
    /// The slice is accounted for; others have not ended.
    Open,
    /// It was the last: the unit may be completed with these receipts, by number. Said once.
    Complete(Vec<String>),
    /// The slice is dead: the unit cannot be completed. Said once.
    Failed(Failure),
}

/// Cuts a unit. Does nothing when that has been done. Returns how many slices there are; 1 means that it stays whole.
pub fn cut(tx: &mut dyn Tx, unit: UnitId, bytes: u64, limits: &SliceLimits) -> StoreResult<Result<usize, TooLarge>> {
    let known = tx.slices(unit)?.len();
    if known > 0 {
        return Ok(Ok(known));
    }
    let slices = match cut_bytes(bytes, limits) {
        Ok(slices) => slices,
        Err(too_large) => return Ok(Err(too_large)),
    };
    if slices.len() > 1 {
        let ready =
            |slice| SliceRow { slice, state: UnitState::Ready, epoch: 0, attempt: 0, due_at: None, receipt: None };
        let rows: Vec<SliceRow> = slices.iter().copied().map(ready).collect();
        tx.put_slices(unit, &rows)?;
    }
    Ok(Ok(slices.len()))
}

/// Claims slices that are ready, or whose pause is over, at most `room`; each under a new epoch.
pub fn claim(tx: &mut dyn Tx, unit: UnitId, room: usize, now: Timestamp) -> StoreResult<Vec<SliceRow>> {
    let due = |row: &SliceRow| {
        row.state == UnitState::Ready || (row.state == UnitState::Retrying && row.due_at.is_none_or(|at| at <= now))
    };
    let leased = |row: SliceRow| SliceRow { state: UnitState::Leased, epoch: row.epoch + 1, due_at: None, ..row };
    let rows: Vec<SliceRow> = tx.slices(unit)?.into_iter().filter(due).take(room).map(leased).collect();
    if !rows.is_empty() {
        tx.put_slices(unit, &rows)?;
    }
    Ok(rows)
}

/// Takes a slice back that is out under `epoch` (FEN-2). Returns whether it was.
pub fn take_back(tx: &mut dyn Tx, unit: UnitId, number: u32, epoch: u32) -> StoreResult<bool> {
    let found = tx.slices(unit)?.into_iter().find(|row| row.slice.number == number);
    let Some(row) = found.filter(|row| row.state == UnitState::Leased && row.epoch == epoch) else { return Ok(false) };
    tx.put_slices(unit, &[SliceRow { state: UnitState::Ready, ..row }])?;
    Ok(true)
}

/// Takes the end of one execution of a slice. `receipt` is what the destination gave for it.
#[expect(clippy::too_many_arguments, reason = "who, under what, what, and the rule's own arguments")]
pub fn settle(
    tx: &mut dyn Tx,
    unit: UnitId,
    number: u32,
    epoch: u32,
    reported: Result<String, Failure>,
    policy: &RetryPolicy,
    now: Timestamp,
    jitter: f64,
) -> StoreResult<Sliced> {
    let mut rows = tx.slices(unit)?;
    let Some(row) = rows.iter_mut().find(|row| row.slice.number == number) else { return Ok(Sliced::Rejected) };
    let facts = UnitFacts { state: row.state, epoch: row.epoch, attempt: row.attempt, assets: 1 };
    let (said, receipt) = match reported {
        Ok(receipt) => (Reported::Finished(Vec::new()), Some(receipt)),
        Err(failure) => (Reported::Failed(failure), None),
    };
    let mut dead = None;
    match decide(facts, epoch, said, policy, now, jitter) {
        Settlement::Reject(_) => return Ok(Sliced::Rejected),
        Settlement::Succeed => (row.state, row.receipt) = (UnitState::Succeeded, receipt),
        Settlement::Retry(at, _) => {
            (row.state, row.due_at, row.attempt) = (UnitState::Retrying, Some(at), row.attempt + 1);
        }
        Settlement::Die(failures) => {
            (row.state, row.attempt) = (UnitState::Dead, row.attempt + 1);
            dead = failures.into_iter().next().map(|(_, failure)| failure);
        }
        Settlement::Split { .. } | Settlement::Release | Settlement::Wait(..) => row.state = UnitState::Ready,
    }
    let changed = row.clone();
    tx.put_slices(unit, &[changed])?;
    if let Some(failure) = dead {
        let others = rows.iter().filter(|row| row.state == UnitState::Dead).count() > 1;
        return Ok(if others { Sliced::Open } else { Sliced::Failed(failure) });
    }
    let policy = BarrierPolicy { require: BarrierRequire::All, budget: None, until: None };
    Ok(match evaluate(&policy, tally(&rows), now) {
        BarrierDecision::Release => Sliced::Complete(rows.into_iter().filter_map(|row| row.receipt).collect()),
        BarrierDecision::Wait { .. } | BarrierDecision::Hold { .. } => Sliced::Open,
    })
}

fn tally(rows: &[SliceRow]) -> Tally {
    let in_state = |state| rows.iter().filter(|row| row.state == state).count() as u64;
    let (succeeded, failed) = (in_state(UnitState::Succeeded), in_state(UnitState::Dead));
    Tally { total: rows.len() as u64, succeeded, failed, sealed: true }
}
