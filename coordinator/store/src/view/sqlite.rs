//! Lists in SQLite.
use super::sql::{job_ids, job_views};
use super::{Candidates, UnitFilter, UnitView, ViewTx, list};
use crate::error::StoreResult;
use crate::job::{JobRow, JobState};
use crate::sql::{Sql, values};
use crate::sqlite::{SqliteTx, failed};
use crate::unit::run::LENGTH_MAX;
use crate::unit::sqlite::{by_state, in_state};
use protocol::id::{JobNo, PartNo, StepNo};
use protocol::rules::unit::transition::UnitState;
use rusqlite::params;

impl ViewTx for SqliteTx<'_> {
    fn job_views(
        &mut self,
        state: Option<JobState>,
        before: Option<JobNo>,
        limit: u32,
    ) -> StoreResult<Vec<JobRow>> {
        job_views(self, state, before, limit)
    }

    fn job_ids(&mut self, prefix: &str, limit: u32) -> StoreResult<Vec<String>> {
        job_ids(self, prefix, limit)
    }

    fn unit_views(&mut self, job: &str, filter: &UnitFilter) -> StoreResult<Vec<UnitView>> {
        list(self, job, filter)
    }
}

impl Candidates for SqliteTx<'_> {
    fn parts_in_state(
        &mut self,
        job: JobNo,
        step: StepNo,
        state: UnitState,
        from: PartNo,
        limit: u32,
    ) -> StoreResult<Vec<PartNo>> {
        let sql = format!(
            "SELECT part FROM unit {} WHERE {} AND job = ?1 AND step = ?2 AND part >= ?3 ORDER BY part LIMIT ?4",
            by_state(state),
            in_state(state)
        );
        self.query(&sql, &values![job, step, from, limit], |row| row.get(0))
    }

    fn runs_from(
        &mut self,
        job: JobNo,
        step: StepNo,
        from: PartNo,
        limit: u32,
    ) -> StoreResult<Vec<(PartNo, PartNo)>> {
        self.query(
            "SELECT first, last FROM streak WHERE job = ?1 AND step = ?2 AND first > ?3 AND last >= ?4
             ORDER BY first LIMIT ?5",
            &values![job, step, from - LENGTH_MAX, from, limit],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
    }

    /// Reads rows and runs in one walk; the units between them have no history.
    fn walk_without_history(
        &mut self,
        job: JobNo,
        step: StepNo,
        from: PartNo,
        to: PartNo,
        limit: u32,
    ) -> StoreResult<Vec<PartNo>> {
        let mut walk = self
            .db
            .prepare_cached(
                "SELECT part, part FROM unit WHERE job = ?1 AND step = ?2 AND part BETWEEN ?3 AND ?4
                 UNION ALL SELECT first, last FROM streak WHERE job = ?1 AND step = ?2 AND first BETWEEN ?5 AND ?4
                 ORDER BY 1",
            )
            .map_err(failed)?;
        let reach = from - LENGTH_MAX + 1;
        let mut known = walk
            .query(params![job.0, step.0, from, to, reach])
            .map_err(failed)?;
        let (mut found, mut next) = (Vec::new(), from);
        while next <= to && (found.len() as u64) < u64::from(limit) {
            let (first, last) = match known.next().map_err(failed)? {
                Some(row) => (row.get(0).map_err(failed)?, row.get(1).map_err(failed)?),
                None => (to + 1, to + 1),
            };
            if next < first {
                let left = u64::from(limit) - found.len() as u64;
                let between = self.all(
                    "SELECT part FROM partition WHERE job = ?1 AND part BETWEEN ?2 AND ?3 ORDER BY part LIMIT ?4",
                    params![job.0, next, first - 1, i64::try_from(left).unwrap_or(i64::MAX)],
                    |row| row.get::<_, PartNo>(0),
                )?;
                found.extend(between);
            }
            next = next.max(last + 1);
        }
        drop(known);
        self.count(&walk);
        Ok(found)
    }

    fn parts_from(&mut self, job: JobNo, from: PartNo, limit: u32) -> StoreResult<Vec<PartNo>> {
        self.query(
            "SELECT part FROM partition WHERE job = ?1 AND part >= ?2 ORDER BY part LIMIT ?3",
            &values![job, from, limit],
            |row| row.get(0),
        )
    }
}
