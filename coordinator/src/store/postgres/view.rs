//! The view over every unit, for lists.
use super::Postgres;
use super::job::{COLUMNS, read_job};
use super::tx::{PostgresTx, column, count};
use crate::store::view::{UnitFilter, UnitView};
use crate::store::{JobRow, JobState, StoreResult, ViewTx};
use protocol::id::{JobNo, PartNo};
use tokio_postgres::Row;

impl ViewTx for PostgresTx<'_> {
    fn job_views(&mut self, state: Option<JobState>, before: Option<JobNo>, limit: u32) -> StoreResult<Vec<JobRow>> {
        let before = before.map_or(i64::MAX, |no| no.0);
        self.all(
            &format!(
                "SELECT {COLUMNS} FROM job WHERE no < $1 AND ($2::TEXT IS NULL OR state = $2) ORDER BY no DESC LIMIT $3"
            ),
            &[&before, &state.map(JobState::as_str), &i64::from(limit)],
            read_job,
        )
    }

    fn unit_views(&mut self, job: &str, filter: &UnitFilter) -> StoreResult<Vec<UnitView>> {
        let after = filter.after.map_or((-1, -1), |(part, step)| (part, i64::from(step.0)));
        self.all(
            "SELECT job, step, kind, part, title, first_asset, assets, state, epoch, attempt, duration_us FROM units
             WHERE job = $1 AND ($2::TEXT IS NULL OR state = $2) AND ($3::TEXT IS NULL OR step = $3)
               AND ($4::BIGINT IS NULL OR part = $4) AND part >= $6 AND (part, step_no::BIGINT) > ($6, $7)
             ORDER BY part, step_no LIMIT $5",
            &[&job, &filter.state, &filter.step, &filter.part, &i64::from(filter.limit), &after.0, &after.1],
            read,
        )
    }
}

impl Postgres {
    /// Units of a job in partition order.
    pub fn units(&mut self, job: &str, filter: &UnitFilter) -> StoreResult<Vec<UnitView>> {
        self.read(|tx| tx.unit_views(job, filter))
    }
}

fn read(row: &Row) -> StoreResult<UnitView> {
    let (job, step, part): (&str, String, PartNo) = (column(row, 0)?, column(row, 1)?, column(row, 3)?);
    Ok(UnitView {
        unit: format!("{job}/{step}/{part}"),
        step,
        kind: column(row, 2)?,
        part,
        title: column(row, 4)?,
        first_asset: column(row, 5)?,
        assets: count(row, 6)?,
        state: column(row, 7)?,
        epoch: count(row, 8)?,
        attempt: count(row, 9)?,
        duration_us: column::<Option<i64>>(row, 10)?.and_then(|n| u64::try_from(n).ok()),
    })
}
