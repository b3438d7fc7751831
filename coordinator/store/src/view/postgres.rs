//! Lists in PostgreSQL.
use super::sql::{job_ids, job_views};
use super::{Candidates, UnitFilter, UnitView, ViewTx, list};
use crate::error::StoreResult;
use crate::job::{JobRow, JobState};
use crate::postgres::tx::{PostgresTx, column};
use crate::unit::postgres::in_state;
use crate::unit::run::LENGTH_MAX;
use protocol::id::{JobNo, PartNo, StepNo};
use protocol::rules::unit::transition::UnitState;

impl ViewTx for PostgresTx<'_> {
    fn job_views(
        &mut self,
        state: Option<JobState>,
        before: Option<JobNo>,
        limit: u32,
    ) -> StoreResult<Vec<JobRow>> {
        self.flush_jobs()?;
        job_views(self, state, before, limit)
    }

    fn job_ids(&mut self, prefix: &str, limit: u32) -> StoreResult<Vec<String>> {
        self.flush_jobs()?;
        job_ids(self, prefix, limit)
    }

    fn unit_views(&mut self, job: &str, filter: &UnitFilter) -> StoreResult<Vec<UnitView>> {
        list(self, job, filter)
    }
}

impl Candidates for PostgresTx<'_> {
    fn parts_in_state(
        &mut self,
        job: JobNo,
        step: StepNo,
        state: UnitState,
        from: PartNo,
        limit: u32,
    ) -> StoreResult<Vec<PartNo>> {
        self.flush_units()?;
        let sql = format!(
            "SELECT part FROM unit WHERE {} AND step = ?2 AND part >= ?3 ORDER BY part LIMIT ?4",
            in_state(state, 5)
        );
        let state = state.as_str();
        self.all(
            &sql,
            &[&job.0, &i64::from(step.0), &from, &i64::from(limit), &state],
            |row| column(row, 0),
        )
    }

    fn runs_from(
        &mut self,
        job: JobNo,
        step: StepNo,
        from: PartNo,
        limit: u32,
    ) -> StoreResult<Vec<(PartNo, PartNo)>> {
        self.flush_units()?;
        self.all(
            "SELECT first, last FROM streak WHERE job = ?1 AND step = ?2 AND first > ?3 AND last >= ?4
             ORDER BY first LIMIT ?5",
            &[&job.0, &i64::from(step.0), &(from - LENGTH_MAX), &from, &i64::from(limit)],
            |row| Ok((column(row, 0)?, column(row, 1)?)),
        )
    }

    /// The units between two rows or runs have no history. The walk is in order, so that the limit ends it; units behind
    /// the last row or run are read by a second query.
    fn walk_without_history(
        &mut self,
        job: JobNo,
        step: StepNo,
        from: PartNo,
        to: PartNo,
        limit: u32,
    ) -> StoreResult<Vec<PartNo>> {
        self.flush_units()?;
        let (step, reach) = (i64::from(step.0), from - LENGTH_MAX + 1);
        let mut found: Vec<PartNo> = self.all(
            "SELECT p.part FROM (
               SELECT GREATEST(COALESCE(MAX(last) OVER (ORDER BY first ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING),
                        ?3::BIGINT - 1), ?3::BIGINT - 1) + 1 AS first, first - 1 AS last
               FROM (SELECT job, step, part AS first, part AS last FROM unit
                     UNION ALL SELECT job, step, first, last FROM streak) AS known
               WHERE job = ?1 AND step = ?2 AND first BETWEEN ?5 AND ?4
             ) AS gap CROSS JOIN LATERAL (
               SELECT part FROM partition WHERE job = ?1 AND part BETWEEN gap.first AND gap.last ORDER BY part LIMIT ?6
             ) AS p WHERE gap.first <= gap.last LIMIT ?6",
            &[&job.0, &step, &from, &to, &reach, &i64::from(limit)],
            |row| column(row, 0),
        )?;
        let left = i64::from(limit) - found.len() as i64;
        if left > 0 {
            let behind: Vec<PartNo> = self.all(
                "SELECT p.part FROM (SELECT GREATEST(?3::BIGINT - 1,
                     (SELECT part FROM unit WHERE job = ?1 AND step = ?2 AND part <= ?4 ORDER BY part DESC LIMIT 1),
                     (SELECT last FROM streak WHERE job = ?1 AND step = ?2 AND first <= ?4 ORDER BY first DESC LIMIT 1))
                   AS last) AS known
                 CROSS JOIN LATERAL (SELECT part FROM partition WHERE job = ?1 AND part > known.last AND part <= ?4
                                     ORDER BY part LIMIT ?5) AS p",
                &[&job.0, &step, &from, &to, &left],
                |row| column(row, 0),
            )?;
            found.extend(behind);
        }
        found.sort_unstable();
        Ok(found)
    }

    fn parts_from(&mut self, job: JobNo, from: PartNo, limit: u32) -> StoreResult<Vec<PartNo>> {
        self.all(
            "SELECT part FROM partition WHERE job = ?1 AND part >= ?2 ORDER BY part LIMIT ?3",
            &[&job.0, &from, &i64::from(limit)],
            |row| column(row, 0),
        )
    }
}
