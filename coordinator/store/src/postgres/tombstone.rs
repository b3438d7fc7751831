//! Tombstones: written in one statement over arrays.
use super::tx::{PostgresTx, column, count, printable, signed};
use crate::{StoreResult, TombstoneRow, TombstoneTx};
use protocol::time::Timestamp;

impl TombstoneTx for PostgresTx<'_> {
    fn bury(&mut self, rows: &[TombstoneRow]) -> StoreResult<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let of =
            |field: fn(&TombstoneRow) -> &str| rows.iter().map(|row| printable(field(row))).collect::<Vec<String>>();
        let bytes: Vec<i64> = rows.iter().map(|row| signed(row.bytes)).collect();
        let gone: Vec<i64> = rows.iter().map(|row| i64::from(row.found_gone)).collect();
        let dry: Vec<i64> = rows.iter().map(|row| i64::from(row.dry_run)).collect();
        let at: Vec<i64> = rows.iter().map(|row| row.at.0).collect();
        self.run(
            "INSERT INTO tombstone (asset, location, job, step, version, hash, copy, proof, ordered_by, reason, bytes,
               found_gone, dry_run, at)
             SELECT * FROM unnest($1::TEXT[], $2::TEXT[], $3::TEXT[], $4::TEXT[], $5::TEXT[], $6::TEXT[], $7::TEXT[],
               $8::TEXT[], $9::TEXT[], $10::TEXT[], $11::BIGINT[], $12::BIGINT[], $13::BIGINT[], $14::BIGINT[])
             ON CONFLICT DO NOTHING",
            &[
                &of(|row| &row.asset),
                &of(|row| &row.location),
                &of(|row| &row.job),
                &of(|row| &row.step),
                &of(|row| &row.version),
                &of(|row| &row.hash),
                &of(|row| &row.copy),
                &of(|row| &row.proof),
                &of(|row| &row.ordered_by),
                &of(|row| &row.reason),
                &bytes,
                &gone,
                &dry,
                &at,
            ],
        )?;
        Ok(())
    }

    fn tombstones(&mut self, asset: &str) -> StoreResult<Vec<TombstoneRow>> {
        let sql =
            "SELECT asset, location, job, step, version, bytes, hash, copy, proof, ordered_by, reason, found_gone,
               dry_run, at FROM tombstone WHERE asset = $1 ORDER BY at, location, job";
        self.all(sql, &[&asset], |row| {
            Ok(TombstoneRow {
                asset: column(row, 0)?,
                location: column(row, 1)?,
                job: column(row, 2)?,
                step: column(row, 3)?,
                version: column(row, 4)?,
                bytes: count(row, 5)?,
                hash: column(row, 6)?,
                copy: column(row, 7)?,
                proof: column(row, 8)?,
                ordered_by: column(row, 9)?,
                reason: column(row, 10)?,
                found_gone: column::<i64>(row, 11)? != 0,
                dry_run: column::<i64>(row, 12)? != 0,
                at: Timestamp(column(row, 13)?),
            })
        })
    }
}
