//! The catalogue in memory.
use super::{CatalogueRow, CatalogueTx};
use crate::error::StoreResult;
use crate::memory::Memory;
use protocol::id::JobNo;
use protocol::media::asset::{Asset, AssetFact};
use protocol::time::Timestamp;

impl CatalogueTx for Memory {
    fn put_facts(&mut self, job: JobNo, facts: &[AssetFact], now: Timestamp) -> StoreResult<()> {
        for fact in facts {
            let Some((_, asset)) = self.listing.assets.get(&(job, fact.asset.clone())) else {
                continue;
            };
            let old = self.catalogue.get(&fact.asset);
            let hash = fact
                .hash
                .clone()
                .or_else(|| old.and_then(|o| o.asset.hash.clone()))
                .or_else(|| asset.hash.clone());
            let stale = old.is_some_and(|o| fact.hash.is_some() && o.asset.hash != fact.hash);
            let kept = old.filter(|_| !stale);
            let bytes = fact
                .bytes
                .or_else(|| old.and_then(|o| o.asset.bytes))
                .or(asset.bytes);
            let entry = AssetFact {
                asset: fact.asset.clone(),
                location: fact
                    .location
                    .clone()
                    .or_else(|| old.and_then(|o| o.fact.location.clone())),
                hash: hash.clone(),
                bytes,
                verdict: fact
                    .verdict
                    .clone()
                    .or_else(|| kept.and_then(|o| o.fact.verdict.clone())),
                report: fact
                    .report
                    .clone()
                    .or_else(|| kept.and_then(|o| o.fact.report.clone())),
                skipped: false,
            };
            let asset = Asset {
                hash,
                bytes,
                ..asset.clone()
            };
            self.catalogue.insert(
                fact.asset.clone(),
                CatalogueRow {
                    asset,
                    fact: entry,
                    updated_at: now,
                },
            );
        }
        Ok(())
    }

    fn catalogue(
        &mut self,
        title: Option<&str>,
        after: Option<&str>,
        limit: u32,
    ) -> StoreResult<Vec<CatalogueRow>> {
        let found = self.catalogue.iter().filter(|(id, row)| {
            title.is_none_or(|title| row.asset.title == title)
                && after.is_none_or(|after| id.as_str() > after)
        });
        Ok(found
            .take(limit as usize)
            .map(|(_, row)| row.clone())
            .collect())
    }

    fn catalogue_hashes(&mut self, assets: &[&str]) -> StoreResult<Vec<(String, String)>> {
        let hash = |asset: &&str| {
            Some((
                (*asset).to_owned(),
                self.catalogue.get(*asset)?.fact.hash.clone()?,
            ))
        };
        Ok(assets.iter().filter_map(hash).collect())
    }

    fn catalogue_entry(&mut self, asset: &str) -> StoreResult<Option<CatalogueRow>> {
        Ok(self.catalogue.get(asset).cloned())
    }

    fn import_assets(&mut self, assets: &[Asset], now: Timestamp) -> StoreResult<()> {
        for asset in assets {
            let old = self.catalogue.get(&asset.id);
            let stale = old.is_some_and(|o| asset.hash.is_some() && o.asset.hash != asset.hash);
            let mut fact = old
                .filter(|_| !stale)
                .map(|o| o.fact.clone())
                .unwrap_or_default();
            let hash = asset
                .hash
                .clone()
                .or_else(|| old.and_then(|o| o.asset.hash.clone()));
            let bytes = asset.bytes.or_else(|| old.and_then(|o| o.asset.bytes));
            fact.asset.clone_from(&asset.id);
            (fact.hash, fact.bytes) = (hash.clone(), bytes);
            let asset = Asset {
                hash,
                bytes,
                ..asset.clone()
            };
            self.catalogue.insert(
                asset.id.clone(),
                CatalogueRow {
                    asset,
                    fact,
                    updated_at: now,
                },
            );
        }
        Ok(())
    }
}
