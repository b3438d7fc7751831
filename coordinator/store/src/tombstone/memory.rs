//! Tombstones in memory.
use super::{TombstoneRow, TombstoneTx};
use crate::error::StoreResult;
use crate::memory::Memory;

impl TombstoneTx for Memory {
    fn put_tombstones(&mut self, rows: &[TombstoneRow]) -> StoreResult<()> {
        for row in rows {
            let key = (row.asset.clone(), row.location.clone(), row.job.clone());
            self.tombstone.entry(key).or_insert_with(|| row.clone());
        }
        Ok(())
    }

    fn tombstones(&mut self, asset: &str) -> StoreResult<Vec<TombstoneRow>> {
        let mut found: Vec<TombstoneRow> = self
            .tombstone
            .values()
            .filter(|row| row.asset == asset)
            .cloned()
            .collect();
        found.sort_by(|a, b| (a.at, &a.location, &a.job).cmp(&(b.at, &b.location, &b.job)));
        Ok(found)
    }
}
