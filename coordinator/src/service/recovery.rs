//! After a restart of an embedded process nothing is out any more: whatever was handed out and not heard of is taken back.
use super::rescuer::take_back;
use super::{Workflows, job_row};
use crate::store::{StoreResult, Tx};
use protocol::id::{JobNo, UnitId};
use protocol::rules::lifecycle::UnitState;

const PAGE_UNITS: u32 = 1_000;

/// Takes back a page of what was out. Returns how many units; 0 means done.
pub fn recover(tx: &mut dyn Tx, workflows: &Workflows, job: JobNo) -> StoreResult<usize> {
    if job_row(tx, job)?.state.has_ended() {
        return Ok(0);
    }
    let leased = tx.units_in(job, UnitState::Leased, None, PAGE_UNITS)?;
    for (id, row) in &leased {
        take_back(tx, *id, row.epoch)?;
    }
    if !leased.is_empty() {
        return Ok(leased.len());
    }
    let workflow = workflows.of(tx, job)?;
    for (step, _) in workflow.roots() {
        let out = tx.computed_out(job, step, PAGE_UNITS)?;
        for part in &out {
            take_back(tx, UnitId { job, step, part: *part }, 1)?;
        }
        if !out.is_empty() {
            return Ok(out.len());
        }
    }
    Ok(0)
}
