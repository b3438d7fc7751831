//! Losses in PostgreSQL: one statement over arrays of keys.
use super::LossRow;
use super::sql::{Dialect, read_loss};
use crate::error::StoreResult;
use crate::postgres::tx::PostgresTx;
use crate::sql::Row;
use protocol::id::UnitId;

/// Jobs, steps and partitions of units, for a statement over arrays.
fn keys(units: &[UnitId]) -> [Vec<i64>; 3] {
    [
        units.iter().map(|id| id.job.0).collect(),
        units.iter().map(|id| id.step.0.into()).collect(),
        units.iter().map(|id| id.packed_part()).collect(),
    ]
}

impl Dialect for PostgresTx<'_> {
    fn losses_of(&mut self, units: &[UnitId]) -> StoreResult<Vec<LossRow>> {
        let [jobs, steps, parts] = keys(units);
        self.all(
            "SELECT DISTINCT l.job, l.step, l.part, l.epoch, l.worker, l.alone, l.at
             FROM unnest(?1::BIGINT[], ?2::BIGINT[], ?3::BIGINT[]) AS u (job, step, part)
             CROSS JOIN LATERAL (SELECT * FROM loss WHERE job = u.job AND step = u.step AND part = u.part OFFSET 0) AS l
             ORDER BY l.job, l.step, l.part, l.epoch",
            &[&jobs, &steps, &parts],
            |row| read_loss(Row::new(row)),
        )
    }

    fn delete_losses_of(&mut self, units: &[UnitId]) -> StoreResult<()> {
        if units.is_empty() {
            return Ok(());
        }
        let [jobs, steps, parts] = keys(units);
        self.run(
            "DELETE FROM loss WHERE ctid = ANY(ARRAY(
               SELECT found.ctid FROM unnest(?1::BIGINT[], ?2::BIGINT[], ?3::BIGINT[]) AS u (job, step, part)
               CROSS JOIN LATERAL (SELECT ctid FROM loss
                 WHERE job = u.job AND step = u.step AND part = u.part OFFSET 0) AS found))",
            &[&jobs, &steps, &parts],
        )?;
        Ok(())
    }
}
