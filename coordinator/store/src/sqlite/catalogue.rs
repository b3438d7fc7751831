//! The catalogue: what is known of assets across jobs.
use super::SqliteTx;
use super::job::signed;
use super::listing::{declared_json, read_asset};
use crate::{CatalogueRow, CatalogueTx, StoreResult};
use protocol::id::{JobNo, PartNo};
use protocol::media::asset::{Asset, AssetFact};
use protocol::time::Timestamp;
use rusqlite::{Row, params};

const COLUMNS: &str = "id, title, role, location, path, bytes, hash, declared, copy, verdict, report, updated_at";

fn read_entry(row: &Row<'_>) -> rusqlite::Result<CatalogueRow> {
    let asset = read_asset(row, 0)?;
    let fact = AssetFact {
        asset: asset.id.clone(),
        location: row.get(8)?,
        hash: asset.hash.clone(),
        bytes: asset.bytes,
        verdict: row.get(9)?,
        report: row.get(10)?,
        skipped: false,
    };
    Ok(CatalogueRow { asset, fact, updated_at: Timestamp(row.get(11)?) })
}

impl CatalogueTx for SqliteTx<'_> {
    fn put_facts(&mut self, job: JobNo, facts: &[AssetFact], now: Timestamp) -> StoreResult<()> {
        for fact in facts {
            // A new hash makes an older verdict void (QC-1).
            self.run(
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
                params![
                    job.0,
                    fact.asset,
                    fact.bytes.map(signed),
                    fact.hash,
                    fact.location,
                    fact.verdict,
                    fact.report,
                    now.0
                ],
            )?;
        }
        Ok(())
    }

    fn catalogue(&mut self, title: Option<&str>, after: Option<&str>, limit: u32) -> StoreResult<Vec<CatalogueRow>> {
        let of_title = if title.is_some() { "title = ?1" } else { "?1 IS NULL" };
        let behind = if after.is_some() { "id > ?2" } else { "?2 IS NULL" };
        let sql = format!("SELECT {COLUMNS} FROM asset WHERE {of_title} AND {behind} ORDER BY id LIMIT ?3");
        self.all(&sql, params![title, after, limit], read_entry)
    }

    fn catalogue_entry(&mut self, asset: &str) -> StoreResult<Option<CatalogueRow>> {
        self.one(&format!("SELECT {COLUMNS} FROM asset WHERE id = ?1"), params![asset], read_entry)
    }

    fn import_assets(&mut self, assets: &[Asset], now: Timestamp) -> StoreResult<()> {
        for asset in assets {
            self.run(
                "INSERT INTO asset (id, title, role, location, path, bytes, hash, declared, updated_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
                 ON CONFLICT (id) DO UPDATE SET title = excluded.title, role = excluded.role, location = excluded.location,
                   path = excluded.path, bytes = COALESCE(excluded.bytes, asset.bytes),
                   verdict = CASE WHEN excluded.hash IS NOT NULL AND excluded.hash <> COALESCE(asset.hash, '') THEN NULL ELSE asset.verdict END,
                   hash = COALESCE(excluded.hash, asset.hash), declared = excluded.declared, updated_at = excluded.updated_at",
                params![
                    asset.id,
                    asset.title,
                    asset.role.as_str(),
                    asset.location,
                    asset.path,
                    asset.bytes.map(signed),
                    asset.hash,
                    declared_json(asset),
                    now.0
                ],
            )?;
        }
        Ok(())
    }

    fn find_asset(&mut self, job: JobNo, asset: &str) -> StoreResult<Option<PartNo>> {
        let moved =
            self.one("SELECT part FROM moved WHERE job = ?1 AND asset = ?2", params![job.0, asset], |row| row.get(0))?;
        if moved.is_some() {
            return Ok(moved);
        }
        // Few questions of this kind are asked, so no index is kept for them.
        self.one(
            "SELECT p.part FROM listing l JOIN partition p ON p.job = l.job AND p.parent = 0
               AND (p.title = '' OR p.title = l.title)
               AND p.first <= l.asset AND (CASE p.last WHEN '' THEN p.first ELSE p.last END) >= l.asset
             WHERE l.job = ?1 AND l.asset = ?2 LIMIT 1",
            params![job.0, asset],
            |row| row.get(0),
        )
    }
}
