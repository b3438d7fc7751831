//! Brings units back whose pause is over.
use crate::store::{StepDelta, StoreResult, Tx, UnitRow};
use protocol::rules::lifecycle::UnitState;
use protocol::time::Timestamp;

/// Units brought back in one transaction.
const PAGE_UNITS: u32 = 1_000;

/// Makes due units ready. Returns how many.
pub fn bring_back(tx: &mut dyn Tx, now: Timestamp) -> StoreResult<usize> {
    let due = tx.due_units(now, PAGE_UNITS)?;
    for (id, row) in &due {
        let ready = UnitRow { state: UnitState::Ready, due_at: None, ..*row };
        tx.put_units(id.job, id.step, &[(id.part, ready)])?;
        tx.add_to_step(id.job, id.step, StepDelta::transition(Some(UnitState::Retrying), UnitState::Ready))?;
    }
    Ok(due.len())
}
