//! Barrier instances.
use super::SqliteTx;
use super::job::{signed, unsigned};
use crate::{BarrierCounts, BarrierGrowth, BarrierRow, BarrierState, BarrierTx, StoreResult};
use protocol::id::{JobNo, StepNo};
use protocol::time::Timestamp;
use rusqlite::{Row, params};

const COLUMNS: &str = "step, key, first_part, last_part, total, succeeded, failed, state, spread, released_at";

fn read_barrier(row: &Row<'_>) -> rusqlite::Result<BarrierRow> {
    let state: String = row.get(7)?;
    Ok(BarrierRow {
        step: StepNo(row.get(0)?),
        key: row.get(1)?,
        first: row.get(2)?,
        last: row.get(3)?,
        total: unsigned(row, 4)?,
        succeeded: unsigned(row, 5)?,
        failed: unsigned(row, 6)?,
        state: BarrierState::parse(&state)
            .ok_or_else(|| rusqlite::Error::InvalidColumnName(format!("barrier state {state}")))?,
        spread: row.get(8)?,
        released_at: row.get::<_, Option<i64>>(9)?.map(Timestamp),
    })
}

impl BarrierTx for SqliteTx<'_> {
    fn add_to_barrier(&mut self, job: JobNo, step: StepNo, grow: &BarrierGrowth) -> StoreResult<()> {
        self.run(
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
            params![job.0, step.0, grow.key, grow.first, grow.last, signed(grow.members), signed(grow.failed)],
        )?;
        Ok(())
    }

    fn barrier(&mut self, job: JobNo, step: StepNo, key: &str) -> StoreResult<Option<BarrierRow>> {
        self.one(
            &format!("SELECT {COLUMNS} FROM barrier WHERE job = ?1 AND step = ?2 AND key = ?3"),
            params![job.0, step.0, key],
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
                format!("AND state = '{}' AND (state <> 'released' OR spread < last_part)", state.as_str()),
            ),
            Some(BarrierState::Released) => ("", "AND state = 'released'".to_owned()),
            None => ("", String::new()),
        };
        let behind = if after.is_some() { "AND key > ?4" } else { "AND ?4 IS NULL" };
        let sql = format!(
            "SELECT {COLUMNS} FROM barrier {by} WHERE job = ?1 AND step = ?2 {in_state} {behind}
             ORDER BY key LIMIT ?3"
        );
        self.all(&sql, params![job.0, step.0, limit, after], read_barrier)
    }

    fn barrier_counts(&mut self, job: JobNo, step: StepNo) -> StoreResult<BarrierCounts> {
        let counts = self.one(
            "SELECT total, released, held, spreading FROM barrier_count WHERE job = ?1 AND step = ?2",
            params![job.0, step.0],
            |row| {
                Ok(BarrierCounts {
                    total: unsigned(row, 0)?,
                    released: unsigned(row, 1)?,
                    held: unsigned(row, 2)?,
                    spreading: unsigned(row, 3)?,
                })
            },
        )?;
        Ok(counts.unwrap_or_default())
    }

    fn barriers_spreading(&mut self, job: JobNo, step: StepNo, limit: u32) -> StoreResult<Vec<BarrierRow>> {
        self.all(
            &format!(
                "SELECT {COLUMNS} FROM barrier INDEXED BY barrier_state
                 WHERE job = ?1 AND step = ?2 AND state = 'released' AND spread < last_part
                   AND (state <> 'released' OR spread < last_part) ORDER BY key LIMIT ?3"
            ),
            params![job.0, step.0, limit],
            read_barrier,
        )
    }

    fn put_barrier(&mut self, job: JobNo, row: &BarrierRow) -> StoreResult<()> {
        self.run(
            "UPDATE barrier SET first_part = ?4, last_part = ?5, total = ?6, succeeded = ?7, failed = ?8, state = ?9,
               spread = ?10, released_at = ?11 WHERE job = ?1 AND step = ?2 AND key = ?3",
            params![
                job.0,
                row.step.0,
                row.key,
                row.first,
                row.last,
                signed(row.total),
                signed(row.succeeded),
                signed(row.failed),
                row.state.as_str(),
                row.spread,
                row.released_at.map(|t| t.0)
            ],
        )?;
        Ok(())
    }
}
