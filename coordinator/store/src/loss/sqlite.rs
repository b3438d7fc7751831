//! Losses in SQLite: one look-up for each unit.
use super::LossRow;
use super::sql::{Dialect, read_loss};
use crate::error::StoreResult;
use crate::sql::{Sql, values};
use crate::sqlite::SqliteTx;
use protocol::id::UnitId;

impl Dialect for SqliteTx<'_> {
    fn losses_of(&mut self, units: &[UnitId]) -> StoreResult<Vec<LossRow>> {
        let mut found = Vec::new();
        let mut units = units.to_vec();
        units.sort_unstable();
        units.dedup();
        for unit in units {
            found.extend(self.query(
                "SELECT job, step, part, epoch, worker, alone, at FROM loss WHERE job = ?1 AND step = ?2 AND part = ?3
                 ORDER BY epoch",
                &values![unit.job, unit.step, unit.packed_part()],
                read_loss,
            )?);
        }
        Ok(found)
    }

    fn delete_losses_of(&mut self, units: &[UnitId]) -> StoreResult<()> {
        for unit in units {
            self.execute(
                "DELETE FROM loss WHERE job = ?1 AND step = ?2 AND part = ?3",
                &values![unit.job, unit.step, unit.packed_part()],
            )?;
        }
        Ok(())
    }
}
