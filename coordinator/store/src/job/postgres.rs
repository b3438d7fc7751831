//! Jobs in PostgreSQL. A transaction remembers the jobs it has seen and writes changed ones at its end.
use super::{JobRow, JobTx, NewJob, Phase, readable, sql};
use crate::error::StoreResult;
use crate::postgres::statistics::ASSETS_MIN;
use crate::postgres::tx::PostgresTx;
use protocol::id::JobNo;
use protocol::workflow::Workflow;

impl PostgresTx<'_> {
    /// Writes the jobs that wait.
    pub(crate) fn flush_jobs(&mut self) -> StoreResult<()> {
        for job in std::mem::take(&mut self.waiting.jobs).values() {
            self.later_with(sql::UPDATE, sql::values_of(job))?;
        }
        Ok(())
    }
}

impl JobTx for PostgresTx<'_> {
    fn insert_job(&mut self, job: &NewJob) -> StoreResult<JobNo> {
        let no = sql::insert(self, job)?;
        self.seen.open = None;
        Ok(no)
    }

    fn job(&mut self, no: JobNo) -> StoreResult<Option<JobRow>> {
        if let Some(seen) = self.seen.jobs.get(&no) {
            return Ok(Some(seen.clone()));
        }
        let found = sql::find(self, "no = ?1 AND removing = 0", no)?;
        self.seen.jobs.extend(found.clone().map(|job| (no, job)));
        Ok(found)
    }

    fn job_by_id(&mut self, id: &str) -> StoreResult<Option<JobRow>> {
        self.flush_jobs()?;
        let found = sql::find(self, "id = ?1", id)?;
        self.seen
            .jobs
            .extend(found.clone().map(|job| (job.no, job)));
        Ok(found)
    }

    fn job_of_submission(&mut self, submission: &str) -> StoreResult<Option<JobRow>> {
        self.flush_jobs()?;
        sql::find(self, "submission = ?1", submission)
    }

    fn jobs(&mut self, open: bool, limit: u32) -> StoreResult<Vec<JobRow>> {
        if let Some(seen) = self.seen.open.as_ref().filter(|_| open) {
            let rows = seen
                .iter()
                .filter_map(|no| self.seen.jobs.get(no))
                .filter(|row| row.ended_at.is_none());
            return Ok(rows.take(limit as usize).cloned().collect());
        }
        self.flush_jobs()?;
        let found = sql::list(self, open, limit)?;
        let whole = found.len() < limit as usize;
        let found = readable(found);
        if open {
            self.seen
                .jobs
                .extend(found.iter().map(|job| (job.no, job.clone())));
            self.seen.open = whole.then(|| found.iter().map(|job| job.no).collect());
        }
        Ok(found)
    }

    fn update_job(&mut self, job: &JobRow) -> StoreResult<()> {
        if self
            .seen
            .open
            .as_ref()
            .is_some_and(|open| job.ended_at.is_none() && !open.contains(&job.no))
        {
            // The job had ended and is open again.
            self.seen.open = None;
        }
        let before = self.seen.jobs.insert(job.no, job.clone());
        let now_sealed = job.phase == Phase::Sealed
            && before.is_some_and(|before| before.phase != Phase::Sealed);
        self.seen.sealed |= now_sealed && job.assets >= ASSETS_MIN;
        self.waiting.jobs.insert(job.no, job.clone());
        Ok(())
    }

    fn workflow(&mut self, no: JobNo) -> StoreResult<Workflow> {
        sql::workflow(self, no)
    }
}
