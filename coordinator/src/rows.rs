//! Single rows: a job, a unit.
use crate::error::{Answer, Error};
use crate::store::{JobRow, StoreError, StoreResult, Tx, UnitRow};
use protocol::id::{JobNo, UnitId};

/// The row of a job that must exist.
pub fn job_row(tx: &mut dyn Tx, job: JobNo) -> StoreResult<JobRow> {
    tx.job(job)?.ok_or_else(|| StoreError::Corrupt(format!("no job {}", job.0)))
}

/// The row of the job that a request names.
pub fn find_job(tx: &mut dyn Tx, id: &str) -> Answer<JobRow> {
    tx.job_by_id(id)?.ok_or(Error::NotFound)
}

/// The row of one unit; `None` when it has none.
pub fn unit_row(tx: &mut dyn Tx, unit: UnitId) -> StoreResult<Option<UnitRow>> {
    Ok(tx.units(unit.job, unit.step, &[unit.part])?.into_iter().next().flatten())
}
