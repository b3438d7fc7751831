//! Causes in PostgreSQL: one delete over arrays.
use super::sql::{Dialect, WAIVER, read_waiver};
use super::{CauseRow, WaiverRow};
use crate::error::StoreResult;
use crate::postgres::tx::{PostgresTx, printable};
use crate::sql::Row;

impl Dialect for PostgresTx<'_> {
    fn waivers_with(&mut self, keys: &[String]) -> StoreResult<Vec<WaiverRow>> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let keys: Vec<String> = keys.iter().map(|key| printable(key)).collect();
        let sql = format!("SELECT {WAIVER} FROM waiver WHERE cause = ANY (?1) ORDER BY cause");
        self.all(&sql, &[&keys], |row| read_waiver(Row::new(row)))
    }

    fn delete_empty(&mut self, causes: &[CauseRow]) -> StoreResult<()> {
        if causes.is_empty() {
            return Ok(());
        }
        let names: Vec<String> = causes.iter().map(|c| printable(&c.cause)).collect();
        let jobs: Vec<i64> = causes.iter().map(|c| c.job.0).collect();
        let steps: Vec<i64> = causes.iter().map(|c| c.step.0.into()).collect();
        self.run(
            "DELETE FROM cause WHERE ctid = ANY(ARRAY(
               SELECT found.ctid FROM unnest(?1::TEXT[], ?2::BIGINT[], ?3::BIGINT[]) AS c (cause, job, step)
               CROSS JOIN LATERAL (SELECT ctid FROM cause
                 WHERE cause = c.cause AND job = c.job AND step = c.step AND units <= 0 OFFSET 0) AS found))",
            &[&names, &jobs, &steps],
        )?;
        Ok(())
    }
}
