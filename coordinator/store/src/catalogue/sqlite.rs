//! The catalogue in SQLite: one statement for each asset.
use super::CatalogueTx;
use super::sql::Dialect;
use crate::error::StoreResult;
use crate::sql::{Sql, values};
use crate::sqlite::SqliteTx;
use protocol::id::JobNo;
use protocol::media::asset::AssetFact;
use protocol::time::Timestamp;

impl Dialect for SqliteTx<'_> {
    fn put_facts_of(&mut self, job: JobNo, facts: &[AssetFact], now: Timestamp) -> StoreResult<()> {
        for fact in facts {
            // A new hash makes an older verdict void (QC-1).
            self.execute(
                "INSERT INTO asset (id, title, role, location, path, bytes, hash, declared, copy, verdict, report, job, updated_at)
                 SELECT asset, title, role, location, path, COALESCE(?3, bytes), COALESCE(?4, hash), declared, ?5, ?6, ?7, ?1, ?8
                 FROM listing WHERE job = ?1 AND asset = ?2
                 ON CONFLICT (id) DO UPDATE SET title = excluded.title, role = excluded.role,
                   location = excluded.location, path = excluded.path, declared = excluded.declared,
                   bytes = COALESCE(?3, asset.bytes), copy = COALESCE(excluded.copy, asset.copy),
                   verdict = CASE WHEN ?6 IS NOT NULL THEN ?6
                                  WHEN ?4 IS NOT NULL AND ?4 <> COALESCE(asset.hash, '') THEN NULL ELSE asset.verdict END,
                   report = CASE WHEN ?6 IS NOT NULL THEN ?7
                                 WHEN ?4 IS NOT NULL AND ?4 <> COALESCE(asset.hash, '') THEN NULL ELSE asset.report END,
                   hash = COALESCE(?4, asset.hash), job = excluded.job, updated_at = excluded.updated_at",
                &values![
                    job,
                    &fact.asset,
                    fact.bytes,
                    fact.hash.as_ref(),
                    fact.location.as_ref(),
                    fact.verdict.as_ref(),
                    fact.report.as_ref(),
                    now,
                ],
            )?;
        }
        Ok(())
    }

    fn hashes_of(&mut self, assets: &[&str]) -> StoreResult<Vec<(String, String)>> {
        let mut found = Vec::new();
        for asset in assets {
            let hash = self
                .catalogue_entry(asset)?
                .and_then(|entry| entry.fact.hash);
            found.extend(hash.map(|hash| ((*asset).to_owned(), hash)));
        }
        Ok(found)
    }
}
