//! Recovery of an embedded process: what an earlier process had out is lost with it, so it is taken back. A coordinator of
//! its own leaves it out instead, because its workers still run: [`crate::dispatch::outstanding`].
use crate::reconcile::multipart;
use crate::reconcile::take_back::take_back_all;
use crate::rows::job_row;
use crate::store::{MultipartRow, MultipartState, SpeculationState, StoreResult, Tx};
use crate::workflows::Workflows;
use protocol::id::{JobNo, UnitId};
use protocol::rules::unit::transition::UnitState;

const PAGE_UNITS: u32 = 1_000;

/// Takes back a page of what was out. Returns how many units; 0 means done.
pub fn recover(tx: &mut dyn Tx, workflows: &Workflows, job: JobNo) -> StoreResult<usize> {
    let row = job_row(tx, job)?;
    if row.state.has_ended() || workflows.is_aside(tx, &row)? {
        return Ok(0);
    }
    let multiparts = recover_slices(tx, job)?;
    let mut leased = tx.units_in(
        job,
        UnitState::Leased,
        None,
        PAGE_UNITS + multiparts.len() as u32,
    )?;
    leased.retain(|(id, _)| !multiparts.contains(id));
    for (unit, _) in tx
        .speculations(job)?
        .into_iter()
        .filter(|(_, s)| s.state != SpeculationState::Adopted)
    {
        // Neither execution still runs.
        tx.put_speculation(unit, None)?;
    }
    if !leased.is_empty() {
        let executions: Vec<(UnitId, u32)> =
            leased.iter().map(|(id, row)| (*id, row.epoch)).collect();
        take_back_all(tx, job, &executions)?;
        return Ok(leased.len());
    }
    let workflow = workflows.of(tx, job)?;
    for (step, _) in workflow.roots() {
        let out = tx.computed_out(job, step, 0, PAGE_UNITS)?;
        if !out.is_empty() {
            let executions: Vec<(UnitId, u32)> = out
                .iter()
                .map(|part| (UnitId::new(job, step, *part), 1))
                .collect();
            take_back_all(tx, job, &executions)?;
            return Ok(out.len());
        }
    }
    Ok(0)
}

/// Takes back the slices of open uploads. Returns their units, which are leased without an owner.
fn recover_slices(tx: &mut dyn Tx, job: JobNo) -> StoreResult<Vec<UnitId>> {
    let mut without_owner = Vec::new();
    for multipart in multipart::multiparts_of(tx, job)?
        .into_iter()
        .filter(|multipart| multipart.state != MultipartState::Closed)
    {
        let id = multipart.unit;
        without_owner.push(id);
        for slice in tx
            .slices(id)?
            .into_iter()
            .filter(|slice| slice.state == UnitState::Leased)
        {
            multipart::take_back(tx, id, slice.slice.number, slice.epoch)?;
        }
        tx.put_multipart(&MultipartRow {
            state: MultipartState::Open,
            ..multipart
        })?;
    }
    Ok(without_owner)
}
