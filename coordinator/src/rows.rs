//! Single rows: a job, a unit.
use crate::error::{Answer, Error};
use crate::store::{JobRow, StoreError, StoreResult, Tx, UnitRow};
use protocol::id::{JobNo, UnitId};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// The row of a job that must exist.
pub fn job_row(tx: &mut dyn Tx, job: JobNo) -> StoreResult<JobRow> {
    tx.job(job)?
        .ok_or_else(|| StoreError::Corrupt(format!("no job {}", job.0)))
}

/// The row of the job that a request names.
pub fn find_job(tx: &mut dyn Tx, id: &str) -> Answer<JobRow> {
    readable(id, tx.job_by_id(id).map_err(Error::Store))?.ok_or(Error::NotFound)
}

/// An answer about one job. A job that this version cannot read is set aside and says so; that is no error of the store.
pub fn readable<R>(id: &str, answer: Answer<R>) -> Answer<R> {
    match answer {
        Err(Error::Store(StoreError::Corrupt(why))) => Err(Error::Conflict(format!(
            "job {id} cannot be read by this version of showrunner and is set aside ({why}): use the version that \
             submitted it, or a newer one"
        ))),
        answer => answer,
    }
}

/// The row of one unit; `None` when it has none.
pub fn unit_row(tx: &mut dyn Tx, unit: UnitId) -> StoreResult<Option<UnitRow>> {
    Ok(tx
        .units(unit.job, unit.step, &[unit.packed_part()])?
        .into_iter()
        .next()
        .flatten())
}

/// Rows of jobs by number; `None` for a job that is gone, or that this version cannot read: a list goes without it.
#[derive(Default)]
pub(crate) struct JobCache(BTreeMap<JobNo, Option<JobRow>>);

impl JobCache {
    /// The row of a job, read from the store at the first call; `None` when it is gone or unreadable.
    pub(crate) fn get(&mut self, tx: &mut dyn Tx, no: JobNo) -> StoreResult<Option<&mut JobRow>> {
        if let Entry::Vacant(vacant) = self.0.entry(no) {
            vacant.insert(match tx.job(no) {
                Err(StoreError::Corrupt(_)) => None,
                row => row?,
            });
        }
        Ok(self.0.get_mut(&no).and_then(Option::as_mut))
    }
}
