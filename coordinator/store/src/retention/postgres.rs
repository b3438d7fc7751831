//! Retention in PostgreSQL.
use super::{OF_A_JOB, Removed, RetentionTx, sql};
use crate::error::StoreResult;
use crate::postgres::tx::PostgresTx;
use protocol::id::JobNo;
use protocol::time::Timestamp;

impl RetentionTx for PostgresTx<'_> {
    fn ended_before(&mut self, before: Timestamp, limit: u32) -> StoreResult<Vec<JobNo>> {
        self.flush_jobs()?;
        sql::ended_before(self, before, limit)
    }

    fn remove_job(&mut self, job: JobNo, limit: u32) -> StoreResult<Removed> {
        let mut rows = 0;
        self.flush_jobs()?;
        self.seen.jobs.remove(&job);
        self.seen.steps.remove(&job);
        (self.seen.open, self.seen.due) = (None, None);
        self.seen.listed_to.remove(&job);
        // Its name may be given to another job meanwhile.
        self.run(
            "UPDATE job SET removing = 1, id = id || '/removed/' || no, submission = NULL WHERE no = ?1 AND removing = 0",
            &[&job.0],
        )?;
        for (table, _) in OF_A_JOB {
            // By place: neither side reads more than what goes.
            let sql = format!(
                "DELETE FROM {table} WHERE ctid = ANY (ARRAY(SELECT ctid FROM {table} WHERE job = ?1 LIMIT ?2))"
            );
            let left = i64::from(limit) - i64::try_from(rows).unwrap_or(i64::MAX);
            rows += self.run(&sql, &[&job.0, &left])?;
            if rows >= u64::from(limit) {
                return Ok(Removed { rows, gone: false });
            }
        }
        rows += self.run("DELETE FROM step WHERE job = ?1", &[&job.0])?;
        rows += self.run("DELETE FROM job WHERE no = ?1", &[&job.0])?;
        Ok(Removed { rows, gone: true })
    }

    fn aging_time(&mut self) -> StoreResult<Option<Timestamp>> {
        sql::aging_time(self)
    }

    fn put_aging_time(&mut self, at: Timestamp) -> StoreResult<()> {
        sql::put_aging_time(self, at)
    }
}
