//! Tombstones.
use super::SqliteTx;
use super::job::{signed, unsigned};
use crate::{StoreResult, TombstoneRow, TombstoneTx};
use protocol::time::Timestamp;
use rusqlite::params;

impl TombstoneTx for SqliteTx<'_> {
    fn bury(&mut self, rows: &[TombstoneRow]) -> StoreResult<()> {
        for row in rows {
            self.run(
                "INSERT INTO tombstone (asset, location, job, step, version, bytes, hash, copy, proof, ordered_by, reason,
                   found_gone, dry_run, at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14) ON CONFLICT DO NOTHING",
                params![
                    row.asset,
                    row.location,
                    row.job,
                    row.step,
                    row.version,
                    signed(row.bytes),
                    row.hash,
                    row.copy,
                    row.proof,
                    row.ordered_by,
                    row.reason,
                    i64::from(row.found_gone),
                    i64::from(row.dry_run),
                    row.at.0
                ],
            )?;
        }
        Ok(())
    }

    fn tombstones(&mut self, asset: &str) -> StoreResult<Vec<TombstoneRow>> {
        self.all(
            "SELECT asset, location, job, step, version, bytes, hash, copy, proof, ordered_by, reason, found_gone, dry_run,
               at FROM tombstone WHERE asset = ?1 ORDER BY at, location, job",
            params![asset],
            |row| {
                Ok(TombstoneRow {
                    asset: row.get(0)?,
                    location: row.get(1)?,
                    job: row.get(2)?,
                    step: row.get(3)?,
                    version: row.get(4)?,
                    bytes: unsigned(row, 5)?,
                    hash: row.get(6)?,
                    copy: row.get(7)?,
                    proof: row.get(8)?,
                    ordered_by: row.get(9)?,
                    reason: row.get(10)?,
                    found_gone: row.get::<_, i64>(11)? != 0,
                    dry_run: row.get::<_, i64>(12)? != 0,
                    at: Timestamp(row.get(13)?),
                })
            },
        )
    }
}
