//! Jobs in memory.
use super::{Carried, JobRow, JobState, JobTx, NewJob, Phase};
use crate::error::{StoreError, StoreResult};
use crate::memory::{Memory, missing};
use crate::step::StepRow;
use protocol::id::JobNo;
use protocol::model::scan_cursor::ScanCursor;
use protocol::workflow::Workflow;

impl JobTx for Memory {
    fn insert_job(&mut self, job: &NewJob) -> StoreResult<JobNo> {
        if self.job.jobs.values().any(|(row, _)| row.id == job.id) {
            return Err(StoreError::Database(format!("job id {} exists", job.id)));
        }
        let no = JobNo(self.job.jobs.keys().last().map_or(1, |last| last.0 + 1));
        self.job
            .submissions
            .extend(job.submission.clone().map(|submission| (submission, no)));
        let row = JobRow {
            no,
            id: job.id.clone(),
            name: job.workflow.name.clone(),
            digest: job.digest.clone(),
            state: JobState::Running,
            phase: Phase::Scanning,
            priority: job.workflow.priority,
            tenant: job.workflow.tenant.clone(),
            deadline: job.workflow.deadline,
            submitted_at: job.submitted_at,
            ended_at: None,
            scan: ScanCursor {
                page: 0,
                byte: 0,
                line: 0,
            },
            scan_after: None,
            scan_epoch: 0,
            scan_attempt: 0,
            plan_after: None,
            assets: 0,
            bytes_declared: 0,
            bytes: 0,
            judged: 0,
            decoded: 0,
            carried: Carried::default(),
            row_errors: 0,
            parts: 0,
            parts_planned: 0,
            message: None,
        };
        self.job.jobs.insert(no, (row, job.workflow.clone()));
        for (step, _) in job.workflow.numbered() {
            let row = StepRow {
                step,
                total: 0,
                succeeded: 0,
                dead: 0,
                cancelled: 0,
                live: 0,
                retrying: 0,
                cursor: 0,
                busy_us: 0,
                executions: 0,
            };
            self.step.insert((no, step), row);
        }
        Ok(no)
    }

    fn job(&mut self, no: JobNo) -> StoreResult<Option<JobRow>> {
        Ok(self.job.jobs.get(&no).map(|(row, _)| row.clone()))
    }

    fn job_by_id(&mut self, id: &str) -> StoreResult<Option<JobRow>> {
        Ok(self
            .job
            .jobs
            .values()
            .map(|(row, _)| row)
            .find(|row| row.id == id)
            .cloned())
    }

    fn job_of_submission(&mut self, submission: &str) -> StoreResult<Option<JobRow>> {
        let no = self.job.submissions.get(submission);
        Ok(no
            .and_then(|no| self.job.jobs.get(no))
            .map(|(row, _)| row.clone()))
    }

    fn jobs(&mut self, open: bool, limit: u32) -> StoreResult<Vec<JobRow>> {
        let rows = self
            .job
            .jobs
            .values()
            .rev()
            .map(|(row, _)| row)
            .filter(|row| !open || row.ended_at.is_none());
        Ok(rows.take(limit as usize).cloned().collect())
    }

    fn update_job(&mut self, job: &JobRow) -> StoreResult<()> {
        self.job
            .jobs
            .get_mut(&job.no)
            .ok_or_else(|| missing("job"))?
            .0 = job.clone();
        Ok(())
    }

    fn workflow(&mut self, no: JobNo) -> StoreResult<Workflow> {
        self.job
            .jobs
            .get(&no)
            .map(|(_, workflow)| workflow.clone())
            .ok_or_else(|| missing("job"))
    }
}
