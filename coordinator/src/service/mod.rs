//! One duty a file. Each function runs in one transaction, takes `now` as an argument, and may run at any time and any
//! number of times: what it finds done it leaves.
pub mod burial;
pub mod catalogue;
pub mod census;
pub mod collector;
pub mod control;
pub mod explain;
pub mod forecast;
pub mod graph;
pub mod inquiry;
pub mod janitor;
pub mod pace;
pub mod planner;
pub mod publisher;
pub mod recovery;
pub mod rescuer;
pub mod retrier;
pub mod rework;
pub mod sequencer;
pub mod since;
pub mod slicer;
pub mod speculator;
pub mod splitter;
pub mod submission;
pub mod summary;
pub mod ward;

use crate::store::{JobRow, StoreError, StoreResult, Tx};
use parking_lot::Mutex;
use protocol::id::JobNo;
use protocol::workflow::Workflow;
use std::collections::HashMap;
use std::sync::Arc;

/// Workflows of open jobs, read once. A job runs the revision it started with, so a cached one never goes stale.
#[derive(Debug, Clone, Default)]
pub struct Workflows(Arc<Mutex<HashMap<JobNo, Arc<Workflow>>>>);

impl Workflows {
    /// The workflow of a job.
    pub fn of(&self, tx: &mut dyn Tx, job: JobNo) -> StoreResult<Arc<Workflow>> {
        if let Some(found) = self.0.lock().get(&job) {
            return Ok(Arc::clone(found));
        }
        let read = Arc::new(tx.workflow(job)?);
        self.0.lock().insert(job, Arc::clone(&read));
        Ok(read)
    }

    /// Forgets an ended job.
    pub fn forget(&self, job: JobNo) {
        self.0.lock().remove(&job);
    }
}

/// The row of a job that must exist.
pub(crate) fn job_row(tx: &mut dyn Tx, job: JobNo) -> StoreResult<JobRow> {
    tx.job(job)?.ok_or_else(|| StoreError::Corrupt(format!("no job {}", job.0)))
}
