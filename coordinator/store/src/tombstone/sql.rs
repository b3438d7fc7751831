//! Tombstones in SQL.
use super::{TombstoneRow, TombstoneTx};
use crate::error::StoreResult;
use crate::sql::Column::{Int, Text};
use crate::sql::{Insert, Sql, Value, values};

static INSERT: Insert<14> = Insert::new(
    "tombstone",
    [
        Text("asset"),
        Text("location"),
        Text("job"),
        Text("step"),
        Text("version"),
        Int("bytes"),
        Text("hash"),
        Text("copy"),
        Text("proof"),
        Text("ordered_by"),
        Text("reason"),
        Int("found_gone"),
        Int("dry_run"),
        Int("at"),
    ],
    "ON CONFLICT DO NOTHING",
);

fn values_of(row: &TombstoneRow) -> [Value<'_>; 14] {
    values![
        &row.asset,
        &row.location,
        &row.job,
        &row.step,
        &row.version,
        row.bytes,
        &row.hash,
        &row.copy,
        &row.proof,
        &row.ordered_by,
        &row.reason,
        row.found_gone,
        row.dry_run,
        row.at,
    ]
}

impl<T: Sql> TombstoneTx for T {
    fn put_tombstones(&mut self, rows: &[TombstoneRow]) -> StoreResult<()> {
        self.insert(&INSERT, &rows.iter().map(values_of).collect::<Vec<_>>())
    }

    fn tombstones(&mut self, asset: &str) -> StoreResult<Vec<TombstoneRow>> {
        self.query(
            "SELECT asset, location, job, step, version, bytes, hash, copy, proof, ordered_by, reason, found_gone,
               dry_run, at FROM tombstone WHERE asset = ?1 ORDER BY at, location, job",
            &values![asset],
            |row| {
                Ok(TombstoneRow {
                    asset: row.get(0)?,
                    location: row.get(1)?,
                    job: row.get(2)?,
                    step: row.get(3)?,
                    version: row.get(4)?,
                    bytes: row.get(5)?,
                    hash: row.get(6)?,
                    copy: row.get(7)?,
                    proof: row.get(8)?,
                    ordered_by: row.get(9)?,
                    reason: row.get(10)?,
                    found_gone: row.get(11)?,
                    dry_run: row.get(12)?,
                    at: row.get(13)?,
                })
            },
        )
    }
}
