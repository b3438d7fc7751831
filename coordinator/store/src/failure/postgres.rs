//! Failures in PostgreSQL. A transaction gathers them and writes them in two statements.
use super::FailureRow;
use super::sql::{Dialect, INSERT, read_failure, values_of};
use crate::error::StoreResult;
use crate::postgres::tx::PostgresTx;
use crate::sql::{Filter, Sql};
use protocol::failure::Failure;
use protocol::id::{JobNo, UnitId};
use std::collections::BTreeMap;

impl PostgresTx<'_> {
    /// Replaces the failures of every unit that waits.
    pub(crate) fn flush_failures(&mut self) -> StoreResult<()> {
        if self.waiting.failures.is_empty() {
            return Ok(());
        }
        let failures = std::mem::take(&mut self.waiting.failures);
        let jobs: Vec<i64> = failures.keys().map(|id| id.job.0).collect();
        let steps: Vec<i64> = failures.keys().map(|id| id.step.0.into()).collect();
        let parts: Vec<i64> = failures.keys().map(|id| id.packed_part()).collect();
        self.run(
            // Rows are found by the key first: a plan made for an empty table would read all of it.
            "DELETE FROM failure WHERE ctid = ANY(ARRAY(
               SELECT f.ctid FROM unnest(?1::BIGINT[], ?2::BIGINT[], ?3::BIGINT[]) AS u (job, step, part)
               CROSS JOIN LATERAL (SELECT ctid FROM failure
                 WHERE job = u.job AND step = u.step AND part = u.part OFFSET 0) AS f))",
            &[&jobs, &steps, &parts],
        )?;
        // The last failure of an asset counts.
        let mut rows: BTreeMap<(UnitId, &str), &Failure> = BTreeMap::new();
        for (id, of_unit) in &failures {
            rows.extend(
                of_unit
                    .iter()
                    .map(|(asset, failure)| ((*id, asset.as_str()), failure)),
            );
        }
        let rows = rows
            .into_iter()
            .map(|((id, asset), failure)| values_of(id, asset, failure));
        self.insert(&INSERT, &rows.collect::<Vec<_>>())
    }
}

impl Dialect for PostgresTx<'_> {
    fn replace(&mut self, unit: UnitId, failures: &[(String, Failure)]) -> StoreResult<()> {
        self.waiting.failures.insert(unit, failures.to_vec());
        self.flush_when_many()
    }

    fn flush(&mut self) -> StoreResult<()> {
        self.flush_failures()
    }

    fn select(
        &mut self,
        job: Option<JobNo>,
        cause: Option<&str>,
        after: Option<(UnitId, &str)>,
        limit: u32,
    ) -> StoreResult<Vec<FailureRow>> {
        self.flush_failures()?;
        self.flush_units()?;
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
        let limit = filter.place(limit);
        // Each look-up is by a whole key, also in a table without statistics (OFFSET 0).
        let sql = format!(
            "SELECT f.job, f.step, f.part, f.asset, COALESCE(l.title, p.title, ''), f.class, f.reason, f.message,
               f.checks, f.findings, COALESCE(u.state, CASE WHEN f.part <= s.last THEN 'succeeded' END, 'leased'),
               COALESCE(l.role, '')
             FROM (SELECT * FROM failure AS f {} ORDER BY {key} LIMIT {limit}) AS f
             LEFT JOIN LATERAL (SELECT title, role FROM listing WHERE job = f.job AND asset = f.asset OFFSET 0) AS l
               ON TRUE
             LEFT JOIN LATERAL (SELECT title FROM partition WHERE job = f.job AND part = f.part OFFSET 0) AS p ON TRUE
             LEFT JOIN LATERAL (SELECT state FROM unit WHERE job = f.job AND step = f.step AND part = f.part OFFSET 0)
               AS u ON TRUE
             LEFT JOIN LATERAL (SELECT last FROM streak WHERE job = f.job AND step = f.step AND first <= f.part
                                ORDER BY first DESC LIMIT 1) AS s ON TRUE
             ORDER BY f.job, f.step, f.part, f.asset",
            filter.clause()
        );
        self.query(&sql, filter.values(), read_failure)
    }
}
