//! The view over every unit, for lists: a unit without a row of its own is in it all the same.
use super::job::{COLUMNS, read_job, unsigned};
use super::{Sqlite, SqliteTx};
use crate::store::view::{UnitFilter, UnitView};
use crate::store::{JobRow, JobState, StoreResult, ViewTx};
use protocol::id::{JobNo, PartNo};
use rusqlite::{Row, params};

impl ViewTx for SqliteTx<'_> {
    fn job_views(&mut self, state: Option<JobState>, before: Option<JobNo>, limit: u32) -> StoreResult<Vec<JobRow>> {
        let before = before.map_or(i64::MAX, |no| no.0);
        self.all(
            &format!(
                "SELECT {COLUMNS} FROM job WHERE no < ?1 AND (?2 IS NULL OR state = ?2) ORDER BY no DESC LIMIT ?3"
            ),
            params![before, state.map(JobState::as_str), limit],
            read_job,
        )
    }

    fn unit_views(&mut self, job: &str, filter: &UnitFilter) -> StoreResult<Vec<UnitView>> {
        let after = filter.after.map_or((-1, -1), |(part, step)| (part, i64::from(step.0)));
        self.all(
            "SELECT job, step, kind, part, title, first_asset, assets, state, epoch, attempt, duration_us FROM units
             WHERE job = ?1 AND (?2 IS NULL OR state = ?2) AND (?3 IS NULL OR step = ?3) AND (?4 IS NULL OR part = ?4)
               AND part >= ?6 AND (part, step_no) > (?6, ?7)
             ORDER BY part, step_no LIMIT ?5",
            params![job, filter.state, filter.step, filter.part, filter.limit, after.0, after.1],
            read,
        )
    }
}

impl Sqlite {
    /// Units of a job in partition order.
    pub fn units(&mut self, job: &str, filter: &UnitFilter) -> StoreResult<Vec<UnitView>> {
        self.read(|tx| tx.unit_views(job, filter))
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
