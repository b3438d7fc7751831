//! Workflows of open jobs in memory.
use crate::store::{JobRow, StoreError, StoreResult, Tx};
use parking_lot::Mutex;
use protocol::id::JobNo;
use protocol::workflow::Workflow;
use std::collections::HashMap;
use std::sync::Arc;

/// Workflows of open jobs, read once. A job runs the revision it started with, so a cached one never goes stale.
#[derive(Debug, Clone, Default)]
pub struct Workflows(Arc<Mutex<HashMap<JobNo, Read>>>);

/// Outcome of reading a workflow.
#[derive(Debug, Clone)]
enum Read {
    Workflow(Arc<Workflow>),
    /// This version cannot read it, why, and whether that was logged. It is not tried again: another version may.
    Aside(String, bool),
}

impl Workflows {
    /// The workflow of a job.
    pub fn of(&self, tx: &mut dyn Tx, job: JobNo) -> StoreResult<Arc<Workflow>> {
        match self.0.lock().get(&job) {
            Some(Read::Workflow(found)) => return Ok(Arc::clone(found)),
            Some(Read::Aside(why, _)) => return Err(StoreError::Corrupt(why.clone())),
            None => {}
        }
        match tx.workflow(job) {
            Ok(workflow) => {
                let read = Arc::new(workflow);
                self.0.lock().insert(job, Read::Workflow(Arc::clone(&read)));
                Ok(read)
            }
            Err(StoreError::Corrupt(why)) => {
                self.0.lock().insert(job, Read::Aside(why.clone(), false));
                Err(StoreError::Corrupt(why))
            }
            Err(error) => Err(error),
        }
    }

    /// Whether a job cannot be read and is set aside: it keeps its rows, nothing of it is handed out, and all other jobs go
    /// on.
    pub fn is_aside(&self, tx: &mut dyn Tx, job: &JobRow) -> StoreResult<bool> {
        match self.of(tx, job.no) {
            Ok(_) => Ok(false),
            Err(StoreError::Corrupt(why)) => {
                let said = self.0.lock().insert(job.no, Read::Aside(why.clone(), true));
                if !matches!(said, Some(Read::Aside(_, true))) {
                    tracing::error!(job.id = %job.id, why, "a job cannot be read by this version and is set aside");
                }
                Ok(true)
            }
            Err(error) => Err(error),
        }
    }

    /// Runs the part of a transaction that is about one job. When its rows cannot be read, the job is set aside, and the
    /// error asks for the transaction to be repeated: then nothing of this part is done for it. `None` for a job that is
    /// aside already.
    pub fn for_job<R>(
        &self,
        tx: &mut dyn Tx,
        job: JobNo,
        part: impl FnOnce(&mut dyn Tx) -> StoreResult<R>,
    ) -> StoreResult<Option<R>> {
        if matches!(self.0.lock().get(&job), Some(Read::Aside(..))) {
            return Ok(None);
        }
        match part(tx) {
            Err(StoreError::Corrupt(why)) => {
                tracing::error!(
                    job.no = job.0,
                    why,
                    "a job cannot be read by this version and is set aside"
                );
                self.0.lock().insert(job, Read::Aside(why.clone(), true));
                Err(StoreError::JobAside { no: job.0, why })
            }
            done => done.map(Some),
        }
    }

    /// A job and its workflow; `None` when it is gone or cannot be read.
    pub fn job(&self, tx: &mut dyn Tx, job: JobNo) -> StoreResult<Option<(JobRow, Arc<Workflow>)>> {
        let row = match tx.job(job) {
            Ok(Some(row)) => row,
            Ok(None) | Err(StoreError::Corrupt(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(self.readable(tx, job)?.map(|workflow| (row, workflow)))
    }

    /// The workflow of a job, unless it cannot be read.
    pub fn readable(&self, tx: &mut dyn Tx, job: JobNo) -> StoreResult<Option<Arc<Workflow>>> {
        match self.of(tx, job) {
            Ok(workflow) => Ok(Some(workflow)),
            Err(StoreError::Corrupt(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Forgets an ended job.
    pub fn forget(&self, job: JobNo) {
        self.0.lock().remove(&job);
    }
}
