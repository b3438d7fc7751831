//! Requeues units whose backoff has elapsed.
use crate::store::cost::page as share_of;
use crate::store::{StepDelta, StoreResult, Tx, UnitRow};
use protocol::id::{JobNo, PartNo, StepNo};
use protocol::rules::unit::transition::UnitState;
use protocol::time::Timestamp;
use std::collections::BTreeMap;

/// Units requeued in one transaction.
const PAGE_UNITS: u32 = 1_000;

/// Makes due units ready. Returns how many.
pub fn requeue_due(tx: &mut dyn Tx, now: Timestamp) -> StoreResult<usize> {
    let due = tx.due_units(now, share_of(PAGE_UNITS))?;
    let mut by_step: BTreeMap<(JobNo, StepNo), Vec<(PartNo, UnitRow)>> = BTreeMap::new();
    for (id, row) in &due {
        let ready = UnitRow {
            state: UnitState::Ready,
            due_at: None,
            ..*row
        };
        by_step
            .entry((id.job, id.step))
            .or_default()
            .push((id.part, ready));
    }
    for ((job, step), units) in by_step {
        let mut delta = StepDelta::default();
        units.iter().for_each(|_| {
            delta.add(StepDelta::transition(
                Some(UnitState::Retrying),
                UnitState::Ready,
            ))
        });
        tx.put_units(job, step, &units)?;
        tx.add_to_step(job, step, delta)?;
    }
    Ok(due.len())
}
