//! Units in SQL.
use super::UnitRow;
use crate::error::{StoreError, StoreResult};
use crate::sql::{Row, Sql, values};
use protocol::id::UnitId;
use protocol::rules::unit::transition::UnitState;
use protocol::time::Timestamp;

/// Columns of a unit behind its key, in the order of [`read_unit`].
pub(super) const COLUMNS: &str = "state, epoch, attempt, due_at, duration_us";

/// Reads a unit from [`COLUMNS`] starting at `at`.
pub(super) fn read_unit(row: Row<'_>, at: usize) -> StoreResult<UnitRow> {
    Ok(UnitRow {
        state: row.word(at, UnitState::parse)?,
        epoch: row.get(at + 1)?,
        attempt: row.get(at + 2)?,
        due_at: row.get(at + 3)?,
        duration_us: row.get(at + 4)?,
    })
}

/// Reads a unit behind its job, step and part.
pub(super) fn read_with_id(row: Row<'_>) -> StoreResult<(UnitId, UnitRow)> {
    Ok((row.unit(0)?, read_unit(row, 3)?))
}

/// Units whose backoff has ended at `now`. A row that cannot be read is left out: it must not hold up those of other jobs.
pub(super) fn due_units(
    tx: &mut impl Sql,
    now: Timestamp,
    limit: u32,
) -> StoreResult<Vec<(UnitId, UnitRow)>> {
    let sql = format!(
        "SELECT job, step, part, {COLUMNS} FROM unit
         WHERE state = 'retrying' AND due_at <= ?1 ORDER BY due_at LIMIT ?2"
    );
    let due = tx.query(&sql, &values![now, limit], |row| {
        Ok((row.unit(0)?, read_unit(row, 3)))
    })?;
    let mut readable = Vec::with_capacity(due.len());
    for (id, row) in due {
        match row {
            Ok(row) => readable.push((id, row)),
            Err(StoreError::Corrupt(why)) => {
                tracing::warn!(unit.id = %id, why, "a unit cannot be read by this version")
            }
            Err(error) => return Err(error),
        }
    }
    Ok(readable)
}

/// When the next backoff ends. The end of an index is found by its order: an aggregate may read all of it in a table without
/// statistics.
pub(super) fn next_due(tx: &mut impl Sql) -> StoreResult<Option<Timestamp>> {
    let sql = "SELECT due_at FROM unit WHERE state = 'retrying' ORDER BY due_at LIMIT 1";
    Ok(tx
        .query_one(sql, &[], |row| row.get::<Option<Timestamp>>(0))?
        .flatten())
}
