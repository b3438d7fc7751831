//! Takes work back whose worker has fallen silent: epoch + 1, then ready again (FEN-2).
use super::speculator::{Standing, standing};
use crate::store::{StepDelta, StoreResult, Tx, UnitRow};
use protocol::id::{StepNo, UnitId};
use protocol::rules::lifecycle::UnitState;

/// Takes one unit back that is out under `epoch`. Returns whether it was still out.
pub fn take_back(tx: &mut dyn Tx, unit: UnitId, epoch: u32) -> StoreResult<bool> {
    if unit.step == StepNo::SCAN {
        // The next claim of the scan gets a new epoch by itself.
        return Ok(true);
    }
    let row = tx.units(unit.job, unit.step, &[unit.part])?.pop().flatten();
    let ready = UnitRow { state: UnitState::Ready, epoch, attempt: 0, due_at: None, duration_us: 0 };
    let (from, to) = match row {
        Some(row) if row.state == UnitState::Leased => match standing(tx, unit, &row, epoch, false)? {
            Standing::Current => (Some(UnitState::Leased), UnitRow { state: UnitState::Ready, ..row }),
            Standing::Withdrawn => return Ok(true),
            Standing::Stale => return Ok(false),
        },
        Some(_) => return Ok(false),
        None => (None, ready),
    };
    tx.put_units(unit.job, unit.step, &[(unit.part, to)])?;
    tx.add_to_step(unit.job, unit.step, StepDelta::transition(from, UnitState::Ready))?;
    Ok(true)
}
