//! Jobs in SQLite.
use super::{JobRow, JobTx, NewJob, readable, sql};
use crate::error::StoreResult;
use crate::sql::Sql;
use crate::sqlite::SqliteTx;
use protocol::id::JobNo;
use protocol::workflow::Workflow;

impl JobTx for SqliteTx<'_> {
    fn insert_job(&mut self, job: &NewJob) -> StoreResult<JobNo> {
        sql::insert(self, job)
    }

    fn job(&mut self, no: JobNo) -> StoreResult<Option<JobRow>> {
        sql::find(self, "no = ?1 AND removing = 0", no)
    }

    fn job_by_id(&mut self, id: &str) -> StoreResult<Option<JobRow>> {
        sql::find(self, "id = ?1", id)
    }

    fn job_of_submission(&mut self, submission: &str) -> StoreResult<Option<JobRow>> {
        sql::find(self, "submission = ?1", submission)
    }

    fn jobs(&mut self, open: bool, limit: u32) -> StoreResult<Vec<JobRow>> {
        sql::list(self, open, limit).map(readable)
    }

    fn update_job(&mut self, job: &JobRow) -> StoreResult<()> {
        self.execute(sql::UPDATE, &sql::values_of(job))?;
        Ok(())
    }

    fn workflow(&mut self, no: JobNo) -> StoreResult<Workflow> {
        sql::workflow(self, no)
    }
}
