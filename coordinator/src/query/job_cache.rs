//! Rows of jobs, each read once for many questions.
use crate::store::{JobRow, StoreResult, Tx};
use protocol::id::JobNo;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// Rows of jobs by number; `None` for a job that is gone.
#[derive(Default)]
pub(crate) struct JobCache(BTreeMap<JobNo, Option<JobRow>>);

impl JobCache {
    /// A job.
    pub(crate) fn get(&mut self, tx: &mut dyn Tx, no: JobNo) -> StoreResult<Option<&mut JobRow>> {
        if let Entry::Vacant(vacant) = self.0.entry(no) {
            vacant.insert(tx.job(no)?);
        }
        Ok(self.0.get_mut(&no).and_then(Option::as_mut))
    }
}
