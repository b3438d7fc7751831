//! Redelivers an asset to other jobs: their listing gets the new bytes, and their dead units run again.
use crate::audit::{AuditContext, record};
use crate::graph::redrive::RedriveScope;
use crate::review::approvals;
use crate::review::history::COORDINATOR;
use crate::rows::unit_row;
use crate::store::{AssetCorrection, JobState, StoreResult, Tx};
use crate::workflows::Workflows;
use protocol::id::{JobNo, UnitId};
use protocol::rules::unit::transition::UnitState;
use protocol::time::Timestamp;

/// Corrects the listing of a job and redrives those of its units that died of the asset. Returns how many. A cancelled job
/// stays cancelled.
pub(crate) fn redeliver(
    tx: &mut dyn Tx,
    workflows: &Workflows,
    job: JobNo,
    units: &[UnitId],
    correction: &AssetCorrection,
    why: &str,
    now: Timestamp,
) -> StoreResult<u64> {
    let Some(mut row) = tx.job(job)? else { return Ok(0) };
    if matches!(row.state, JobState::Cancelled | JobState::Cancelling | JobState::Failed) {
        return Ok(0);
    }
    let mut dead = Vec::new();
    for unit in units {
        let state = unit_row(tx, UnitId { job, step: unit.step, part: unit.part })?.map(|row| row.state);
        if state != Some(UnitState::Dead) {
            continue;
        }
        let failures = tx.failures_of(*unit)?;
        if failures.iter().any(|(asset, _)| *asset == correction.asset) {
            dead.push((*unit, failures));
        }
    }
    if dead.is_empty() {
        return Ok(0);
    }
    tx.correct_assets(job, std::slice::from_ref(correction))?;
    let workflow = workflows.of(tx, job)?;
    let done = approvals::redrive(tx, &workflow, &mut row, &dead, RedriveScope::FromSource, now)?;
    let audit = AuditContext { actor: COORDINATOR.to_owned(), reason: why.to_owned(), dry_run: false };
    record(tx, &audit, "redeliver", Some(job), done, now)?;
    Ok(done)
}
