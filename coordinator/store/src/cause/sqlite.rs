//! Causes in SQLite: one delete for each cause that lost units.
use super::sql::{Dialect, WAIVER, read_waiver};
use super::{CauseRow, WaiverRow};
use crate::error::StoreResult;
use crate::sql::{Sql, values};
use crate::sqlite::SqliteTx;
use std::collections::BTreeSet;

impl Dialect for SqliteTx<'_> {
    fn waivers_with(&mut self, keys: &[String]) -> StoreResult<Vec<WaiverRow>> {
        let mut found = Vec::new();
        for key in keys.iter().collect::<BTreeSet<_>>() {
            let sql = format!("SELECT {WAIVER} FROM waiver WHERE cause = ?1");
            found.extend(self.query_one(&sql, &values![key], read_waiver)?);
        }
        Ok(found)
    }

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
