//! The same in memory, where a job goes at once.
use super::super::memory::Memory;
use super::*;
use crate::JobRow;

impl RetentionTx for Memory {
    fn ended_before(&mut self, before: Timestamp, limit: u32) -> StoreResult<Vec<JobNo>> {
        let newest = self.jobs.keys().last().copied();
        let decided = |job: JobNo| !self.rework.has_pending(job);
        let over = |row: &JobRow| row.ended_at.is_some_and(|at| at < before) && decided(row.no);
        let ended = self.jobs.values().filter(|(row, _)| over(row));
        Ok(ended.map(|(row, _)| row.no).filter(|no| Some(*no) != newest).take(limit as usize).collect())
    }

    fn remove_job(&mut self, job: JobNo, limit: u32) -> StoreResult<Removed> {
        let mut rows = u64::from(self.jobs.remove(&job).is_some());
        let mut count = |kept: bool| {
            rows += u64::from(!kept);
            kept
        };
        self.listing.retain(|key, _| count(key.0 != job));
        self.row_errors.retain(|key, _| count(key.0 != job));
        self.partitions.retain(|key, _| count(key.0 != job));
        self.moved.retain(|key, _| count(key.0 != job));
        self.steps.retain(|key, _| count(key.0 != job));
        self.units.retain(|unit, _| count(unit.job != job));
        self.failures.retain(|key, _| count(key.0.job != job));
        self.barriers.retain(|key, _| count(key.0 != job));
        self.submissions.retain(|_, no| *no != job);
        self.control.forget_job(job);
        self.schedule.forget_job(job);
        Ok(Removed { rows: rows.min(u64::from(limit)), gone: true })
    }
}
