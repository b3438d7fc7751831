//! Barrier instances in SQL.
use super::{BarrierCounts, BarrierRow, BarrierState};
use crate::error::StoreResult;
use crate::sql::{Row, Sql, values};
use protocol::id::{JobNo, StepNo};

/// Columns of an instance, in the order of [`read_barrier`].
pub(super) const COLUMNS: &str =
    "step, key, first_part, last_part, total, succeeded, failed, state, spread, released_at";

/// Reads an instance from [`COLUMNS`].
pub(super) fn read_barrier(row: Row<'_>) -> StoreResult<BarrierRow> {
    Ok(BarrierRow {
        step: row.get(0)?,
        key: row.get(1)?,
        first: row.get(2)?,
        last: row.get(3)?,
        total: row.get(4)?,
        succeeded: row.get(5)?,
        failed: row.get(6)?,
        state: row.word(7, BarrierState::parse)?,
        spread: row.get(8)?,
        released_at: row.get(9)?,
    })
}

/// The numbers of instances of a step in each state.
pub(super) fn counts(tx: &mut impl Sql, job: JobNo, step: StepNo) -> StoreResult<BarrierCounts> {
    let counts = tx.query_one(
        "SELECT total, released, held, spreading FROM barrier_count WHERE job = ?1 AND step = ?2",
        &values![job, step],
        |row| {
            Ok(BarrierCounts {
                total: row.get(0)?,
                released: row.get(1)?,
                held: row.get(2)?,
                spreading: row.get(3)?,
            })
        },
    )?;
    Ok(counts.unwrap_or_default())
}
