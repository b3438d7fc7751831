//! Failures in SQLite: written at once.
use super::FailureRow;
use super::sql::{Dialect, INSERT, read_failure, values_of};
use crate::error::StoreResult;
use crate::sql::{Filter, Sql, values};
use crate::sqlite::SqliteTx;
use protocol::failure::Failure;
use protocol::id::{JobNo, UnitId};

impl Dialect for SqliteTx<'_> {
    fn replace(&mut self, unit: UnitId, failures: &[(String, Failure)]) -> StoreResult<()> {
        self.execute(
            "DELETE FROM failure WHERE job = ?1 AND step = ?2 AND part = ?3",
            &values![unit.job, unit.step, unit.packed_part()],
        )?;
        let rows = failures
            .iter()
            .map(|(asset, failure)| values_of(unit, asset, failure));
        self.insert(&INSERT, &rows.collect::<Vec<_>>())
    }

    fn flush(&mut self) -> StoreResult<()> {
        Ok(())
    }

    fn select(
        &mut self,
        job: Option<JobNo>,
        cause: Option<&str>,
        after: Option<(UnitId, &str)>,
        limit: u32,
    ) -> StoreResult<Vec<FailureRow>> {
        let mut filter = Filter::default();
        filter.compare("f.job =", job);
        if cause.is_some() {
            filter.compare("f.cause =", cause);
            filter.term("f.cause <> ''");
        }
        // Within a job, the number of the job is no part of the order: the order must be that of the index.
        let key = if job.is_some() {
            "f.step, f.part, f.asset"
        } else {
            "f.job, f.step, f.part, f.asset"
        };
        if let Some((unit, asset)) = after {
            let of_job = if job.is_some() {
                String::new()
            } else {
                filter.place(unit.job) + ", "
            };
            let (step, part) = (filter.place(unit.step), filter.place(unit.packed_part()));
            let asset = filter.place(asset);
            filter.term(&format!("({key}) > ({of_job}{step}, {part}, {asset})"));
        }
        // Without a hint, SQLite prefers the key of the table and reads all failures of the job.
        let hint = if cause.is_some() {
            "INDEXED BY failure_cause"
        } else {
            ""
        };
        let limit = filter.place(limit);
        let sql = format!(
            "SELECT f.job, f.step, f.part, f.asset, COALESCE(l.title, p.title, ''), f.class, f.reason, f.message,
               f.checks, f.findings, COALESCE(u.state,
                 CASE WHEN f.part <= (SELECT s.last FROM streak s WHERE s.job = f.job AND s.step = f.step
                   AND s.first <= f.part ORDER BY s.first DESC LIMIT 1) THEN 'succeeded' END, 'leased'),
               COALESCE(l.role, '')
             FROM failure f {hint}
             LEFT JOIN listing l ON l.job = f.job AND l.asset = f.asset
             LEFT JOIN partition p ON p.job = f.job AND p.part = f.part
             LEFT JOIN unit u ON u.job = f.job AND u.step = f.step AND u.part = f.part
             {} ORDER BY {key} LIMIT {limit}",
            filter.clause()
        );
        self.query(&sql, filter.values(), read_failure)
    }
}
