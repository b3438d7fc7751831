//! Fact sheets in PostgreSQL: one statement over an array of keys.
use super::SheetRow;
use super::sql::{Dialect, read_sheet};
use crate::error::StoreResult;
use crate::postgres::tx::{PostgresTx, column};
use crate::sql::Row;

impl Dialect for PostgresTx<'_> {
    fn sheets_of(&mut self, hashes: &[String]) -> StoreResult<Vec<SheetRow>> {
        if hashes.is_empty() {
            return Ok(Vec::new());
        }
        let sql = "SELECT hash, sheet, measured_at FROM sheet WHERE hash = ANY (?1) ORDER BY hash";
        self.all(sql, &[&hashes], |row| read_sheet(Row::new(row)))
    }

    fn hashes_of(&mut self, assets: &[String]) -> StoreResult<Vec<(String, String)>> {
        if assets.is_empty() {
            return Ok(Vec::new());
        }
        self.all(
            r#"SELECT id, hash FROM asset WHERE id = ANY (?1) AND hash IS NOT NULL
             UNION SELECT a.id COLLATE "C", v.hash FROM unnest(?1::TEXT[]) AS a (id), LATERAL (SELECT hash FROM verdict
               WHERE verdict.asset = a.id ORDER BY judged_at DESC, hash, digest LIMIT 1) AS v
             ORDER BY 1, 2"#,
            &[&assets],
            |row| Ok((column(row, 0)?, column(row, 1)?)),
        )
    }
}
