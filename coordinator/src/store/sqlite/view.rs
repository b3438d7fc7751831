//! The view over every unit, for lists: a unit without a row of its own is in it all the same.
use super::job::unsigned;
use super::{Sqlite, failed};
use crate::store::StoreResult;
use crate::store::view::{UnitFilter, UnitView};
use protocol::id::PartNo;
use rusqlite::{Row, params};

impl Sqlite {
    /// Units of a job in partition order.
    pub fn units(&self, job: &str, filter: &UnitFilter) -> StoreResult<Vec<UnitView>> {
        let mut statement = self
            .connection
            .prepare_cached(
                "SELECT job, step, kind, part, title, first_asset, assets, state, epoch, attempt, duration_us FROM units
                 WHERE job = ?1 AND (?2 IS NULL OR state = ?2) AND (?3 IS NULL OR step = ?3) AND (?4 IS NULL OR part = ?4)
                 ORDER BY part, step_no LIMIT ?5",
            )
            .map_err(failed)?;
        let rows = statement
            .query_map(params![job, filter.state, filter.step, filter.part, filter.limit], read)
            .map_err(failed)?;
        rows.collect::<rusqlite::Result<Vec<_>>>().map_err(failed)
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<UnitView> {
    let (job, step, part): (String, String, PartNo) = (row.get(0)?, row.get(1)?, row.get(3)?);
    Ok(UnitView {
        unit: format!("{job}/{step}/{part}"),
        step,
        kind: row.get(2)?,
        part,
        title: row.get(4)?,
        first_asset: row.get(5)?,
        assets: unsigned(row, 6)?,
        state: row.get(7)?,
        epoch: row.get(8)?,
        attempt: row.get(9)?,
        duration_us: row.get::<_, Option<i64>>(10)?.and_then(|n| u64::try_from(n).ok()),
    })
}
