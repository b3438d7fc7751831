//! After a restart. Of an embedded process: nothing is out any more, whatever was handed out and not heard of is taken
//! back. Of a coordinator alone: workers went on, so what is out is watched again, as [`crate::leases`] would have.
use super::rescuer::take_back;
use super::{Workflows, job_row};
use crate::store::{StoreResult, Tx};
use protocol::id::{JobNo, Kind, PartNo, UnitId};
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

/// Everything a job has out, with epoch and kind: rows that are leased, and computed units the cursor has passed. The
/// publisher's window bounds it. A scan is not among it: it is handed out again under a new epoch.
pub fn outstanding(tx: &mut dyn Tx, workflows: &Workflows, job: JobNo) -> StoreResult<Vec<(UnitId, u32, Kind)>> {
    let workflow = workflows.of(tx, job)?;
    let mut out = Vec::new();
    for (id, row) in tx.units_in(job, UnitState::Leased, None, u32::MAX)? {
        out.extend(workflow.step(id.step).and_then(|s| s.kind()).map(|kind| (id, row.epoch, kind)));
    }
    for (step, declared) in workflow.roots() {
        let Some(kind) = declared.kind() else { continue };
        let parts: Vec<PartNo> = tx.computed_out(job, step, u32::MAX)?;
        out.extend(parts.into_iter().map(|part| (UnitId { job, step, part }, 1, kind)));
    }
    Ok(out)
}
