//! Counters of steps in SQL.
use super::StepRow;
use crate::error::StoreResult;
use crate::sql::{Sql, values};
use protocol::id::JobNo;

/// Counters of every step of a job.
pub(super) fn select(tx: &mut impl Sql, job: JobNo) -> StoreResult<Vec<StepRow>> {
    tx.query(
        "SELECT step, total, succeeded, dead, cancelled, live, retrying, cursor, busy_us, executions
         FROM step WHERE job = ?1 ORDER BY step",
        &values![job],
        |row| {
            Ok(StepRow {
                step: row.get(0)?,
                total: row.get(1)?,
                succeeded: row.get(2)?,
                dead: row.get(3)?,
                cancelled: row.get(4)?,
                live: row.get(5)?,
                retrying: row.get(6)?,
                cursor: row.get(7)?,
                busy_us: row.get(8)?,
                executions: row.get(9)?,
            })
        },
    )
}
