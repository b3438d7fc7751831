//! Fact sheets and verdicts in memory.
use super::{SheetRow, SheetTx, VerdictRow};
use crate::catalogue::CatalogueTx;
use crate::error::StoreResult;
use crate::memory::Memory;
use std::collections::BTreeSet;

impl SheetTx for Memory {
    fn put_sheets(&mut self, rows: &[SheetRow]) -> StoreResult<()> {
        self.sheet
            .sheets
            .extend(rows.iter().map(|row| (row.hash.clone(), row.clone())));
        Ok(())
    }

    fn sheets(&mut self, hashes: &[String]) -> StoreResult<Vec<SheetRow>> {
        let asked: BTreeSet<&String> = hashes.iter().collect();
        Ok(asked
            .into_iter()
            .filter_map(|hash| self.sheet.sheets.get(hash))
            .cloned()
            .collect())
    }

    fn candidate_hashes(&mut self, assets: &[String]) -> StoreResult<Vec<(String, String)>> {
        let mut found = BTreeSet::new();
        for asset in assets {
            let declared = self
                .catalogue_entry(asset)?
                .and_then(|entry| entry.fact.hash);
            let judged = self.verdicts(asset, 1)?.pop().map(|row| row.hash);
            found.extend(
                declared
                    .into_iter()
                    .chain(judged)
                    .map(|hash| (asset.clone(), hash)),
            );
        }
        Ok(found.into_iter().collect())
    }

    fn put_verdicts(&mut self, rows: &[VerdictRow]) -> StoreResult<()> {
        for row in rows {
            let key = (row.hash.clone(), row.digest.clone(), row.asset.clone());
            self.sheet.verdicts.insert(key, row.clone());
        }
        Ok(())
    }

    fn verdicts(&mut self, asset: &str, limit: u32) -> StoreResult<Vec<VerdictRow>> {
        let mut rows: Vec<VerdictRow> = self
            .sheet
            .verdicts
            .values()
            .filter(|row| row.asset == asset)
            .cloned()
            .collect();
        rows.sort_by(|a, b| {
            (b.judged_at, &a.hash, &a.digest).cmp(&(a.judged_at, &b.hash, &b.digest))
        });
        rows.truncate(limit as usize);
        Ok(rows)
    }
}
