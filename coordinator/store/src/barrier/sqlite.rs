//! Barrier instances in SQLite.
use super::sql::{COLUMNS, counts, read_barrier};
use super::{BarrierCounts, BarrierGrowth, BarrierRow, BarrierState, BarrierTx};
use crate::error::StoreResult;
use crate::sql::{Filter, Sql, values};
use crate::sqlite::SqliteTx;
use protocol::id::{JobNo, StepNo};

impl BarrierTx for SqliteTx<'_> {
    fn add_to_barrier(
        &mut self,
        job: JobNo,
        step: StepNo,
        grow: &BarrierGrowth,
    ) -> StoreResult<()> {
        self.execute(
            "INSERT INTO barrier (job, step, key, first_part, last_part, total, succeeded, failed, state, spread)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, ?7, 'waiting', 0)
             ON CONFLICT (job, step, key) DO UPDATE SET total = barrier.total + excluded.total,
               failed = barrier.failed + excluded.failed,
               first_part = CASE WHEN excluded.last_part < excluded.first_part THEN barrier.first_part
                 WHEN barrier.last_part < barrier.first_part THEN excluded.first_part
                 ELSE MIN(barrier.first_part, excluded.first_part) END,
               last_part = CASE WHEN excluded.last_part < excluded.first_part THEN barrier.last_part
                 WHEN barrier.last_part < barrier.first_part THEN excluded.last_part
                 ELSE MAX(barrier.last_part, excluded.last_part) END",
            &values![job, step, &grow.key, grow.first, grow.last, grow.members, grow.failed],
        )?;
        Ok(())
    }

    fn barrier(&mut self, job: JobNo, step: StepNo, key: &str) -> StoreResult<Option<BarrierRow>> {
        self.query_one(
            &format!("SELECT {COLUMNS} FROM barrier WHERE job = ?1 AND step = ?2 AND key = ?3"),
            &values![job, step, key],
            read_barrier,
        )
    }

    fn barriers(
        &mut self,
        job: JobNo,
        step: StepNo,
        state: Option<BarrierState>,
        after: Option<&str>,
        limit: u32,
    ) -> StoreResult<Vec<BarrierRow>> {
        // The partial index is named: without statistics the key of the table looks as good, and walks all instances.
        let (by, in_state) = match state {
            Some(state @ (BarrierState::Waiting | BarrierState::Held)) => (
                "INDEXED BY barrier_state",
                Some(format!(
                    "state = '{}' AND (state <> 'released' OR spread < last_part)",
                    state.as_str()
                )),
            ),
            Some(BarrierState::Released) => ("", Some("state = 'released'".to_owned())),
            None => ("", None),
        };
        let mut filter = Filter::default();
        filter.compare("job =", Some(job));
        filter.compare("step =", Some(step));
        if let Some(in_state) = in_state {
            filter.term(&in_state);
        }
        filter.compare("key >", after);
        let limit = filter.place(limit);
        let sql = format!(
            "SELECT {COLUMNS} FROM barrier {by} {} ORDER BY key LIMIT {limit}",
            filter.clause()
        );
        self.query(&sql, filter.values(), read_barrier)
    }

    fn barrier_counts(&mut self, job: JobNo, step: StepNo) -> StoreResult<BarrierCounts> {
        counts(self, job, step)
    }

    fn barriers_spreading(
        &mut self,
        job: JobNo,
        step: StepNo,
        limit: u32,
    ) -> StoreResult<Vec<BarrierRow>> {
        self.query(
            &format!(
                "SELECT {COLUMNS} FROM barrier INDEXED BY barrier_state
                 WHERE job = ?1 AND step = ?2 AND state = 'released' AND spread < last_part
                   AND (state <> 'released' OR spread < last_part) ORDER BY key LIMIT ?3"
            ),
            &values![job, step, limit],
            read_barrier,
        )
    }

    fn put_barrier(&mut self, job: JobNo, row: &BarrierRow) -> StoreResult<()> {
        self.execute(
            "UPDATE barrier SET first_part = ?4, last_part = ?5, total = ?6, succeeded = ?7, failed = ?8, state = ?9,
               spread = ?10, released_at = ?11 WHERE job = ?1 AND step = ?2 AND key = ?3",
            &values![
                job,
                row.step,
                &row.key,
                row.first,
                row.last,
                row.total,
                row.succeeded,
                row.failed,
                row.state.as_str(),
                row.spread,
                row.released_at,
            ],
        )?;
        Ok(())
    }
}
