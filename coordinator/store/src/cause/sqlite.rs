//! Causes in SQLite: one delete for each cause that lost units.
use super::CauseRow;
use super::sql::Dialect;
use crate::error::StoreResult;
use crate::sql::{Sql, values};
use crate::sqlite::SqliteTx;

impl Dialect for SqliteTx<'_> {
    fn delete_empty(&mut self, causes: &[CauseRow]) -> StoreResult<()> {
        for c in causes.iter().filter(|c| c.units <= 0) {
            self.execute(
                "DELETE FROM cause WHERE cause = ?1 AND job = ?2 AND step = ?3 AND units <= 0",
                &values![&c.cause, c.job, c.step],
            )?;
        }
        Ok(())
    }
}
