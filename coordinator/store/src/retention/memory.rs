//! Retention in memory, where a job is removed at once.
use super::{Removed, RetentionTx};
use crate::error::StoreResult;
use crate::job::JobRow;
use crate::memory::Memory;
use protocol::id::JobNo;
use protocol::time::Timestamp;

impl RetentionTx for Memory {
    fn ended_before(&mut self, before: Timestamp, limit: u32) -> StoreResult<Vec<JobNo>> {
        let newest = self.job.jobs.keys().last().copied();
        let decided = |job: JobNo| !self.task.has_pending(job);
        let over = |row: &JobRow| row.ended_at.is_some_and(|at| at < before) && decided(row.no);
        let ended = self.job.jobs.values().filter(|(row, _)| over(row));
        Ok(ended
            .map(|(row, _)| row.no)
            .filter(|no| Some(*no) != newest)
            .take(limit as usize)
            .collect())
    }

    fn remove_job(&mut self, job: JobNo, limit: u32) -> StoreResult<Removed> {
        let mut rows = u64::from(self.job.jobs.remove(&job).is_some());
        let mut count = |kept: bool| {
            rows += u64::from(!kept);
            kept
        };
        self.listing.assets.retain(|key, _| count(key.0 != job));
        self.listing.row_errors.retain(|key, _| count(key.0 != job));
        self.partition
            .partitions
            .retain(|key, _| count(key.0 != job));
        self.partition.moved.retain(|key, _| count(key.0 != job));
        self.step.retain(|key, _| count(key.0 != job));
        self.unit.retain(|unit, _| count(unit.job != job));
        self.failure.retain(|key, _| count(key.0.job != job));
        self.barrier.retain(|key, _| count(key.0 != job));
        self.job.submissions.retain(|_, no| *no != job);
        self.cause.causes.retain(|key, _| key.1 != job);
        self.attempt.retain(|key, _| key.0.job != job);
        self.loss.retain(|key, _| key.0.job != job);
        self.schedule.forget_job(job);
        Ok(Removed {
            rows: rows.min(u64::from(limit)),
            gone: true,
        })
    }

    fn aging_time(&mut self) -> StoreResult<Option<Timestamp>> {
        Ok(self.retention)
    }

    fn put_aging_time(&mut self, at: Timestamp) -> StoreResult<()> {
        self.retention = Some(at);
        Ok(())
    }
}
