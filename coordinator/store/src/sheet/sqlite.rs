//! Fact sheets in SQLite: one look-up for each key.
use super::SheetRow;
use super::sql::{Dialect, read_sheet};
use crate::error::StoreResult;
use crate::sql::{Sql, values};
use crate::sqlite::SqliteTx;
use std::collections::BTreeSet;

impl Dialect for SqliteTx<'_> {
    fn sheets_of(&mut self, hashes: &[String]) -> StoreResult<Vec<SheetRow>> {
        let mut found = Vec::new();
        for hash in hashes.iter().collect::<BTreeSet<_>>() {
            let sql = "SELECT hash, sheet, measured_at FROM sheet WHERE hash = ?1";
            found.extend(self.query_one(sql, &values![hash], read_sheet)?);
        }
        Ok(found)
    }

    fn hashes_of(&mut self, assets: &[String]) -> StoreResult<Vec<(String, String)>> {
        let mut found = Vec::new();
        for asset in assets.iter().collect::<BTreeSet<_>>() {
            found.extend(self.query(
                "SELECT hash FROM asset WHERE id = ?1 AND hash IS NOT NULL
                 UNION SELECT hash FROM (SELECT hash FROM verdict WHERE asset = ?1
                   ORDER BY judged_at DESC, hash, digest LIMIT 1)
                 ORDER BY 1",
                &values![asset],
                |row| Ok((asset.clone(), row.get(0)?)),
            )?);
        }
        Ok(found)
    }
}
