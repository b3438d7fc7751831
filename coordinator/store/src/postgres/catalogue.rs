//! The catalogue: what is known of assets across jobs.
use super::listing::{declared_json, read_asset};
use super::tx::{PostgresTx, column, signed};
use crate::{CatalogueRow, CatalogueTx, StoreResult};
use protocol::id::{JobNo, PartNo};
use protocol::media::asset::{Asset, AssetFact};
use protocol::time::Timestamp;
use std::collections::HashMap;
use tokio_postgres::Row;

const COLUMNS: &str = "id, title, role, location, path, bytes, hash, declared, copy, verdict, report, updated_at";

fn read_entry(row: &Row) -> StoreResult<CatalogueRow> {
    let asset = read_asset(row, 0)?;
    let fact = AssetFact {
        asset: asset.id.clone(),
        location: column(row, 8)?,
        hash: asset.hash.clone(),
        bytes: asset.bytes,
        verdict: column(row, 9)?,
        report: column(row, 10)?,
        skipped: false,
    };
    Ok(CatalogueRow { asset, fact, updated_at: Timestamp(column(row, 11)?) })
}

/// Rows in waves in which no asset comes twice: one statement changes a row once.
fn waves<T>(rows: &[T], id: impl Fn(&T) -> &str) -> Vec<Vec<&T>> {
    let (mut waves, mut times): (Vec<Vec<&T>>, HashMap<&str, usize>) = Default::default();
    for row in rows {
        let time = times.entry(id(row)).or_default();
        if *time == waves.len() {
            waves.push(Vec::new());
        }
        waves[*time].push(row);
        *time += 1;
    }
    for wave in &mut waves {
        wave.sort_by(|a, b| id(a).cmp(id(b)));
    }
    waves
}

impl CatalogueTx for PostgresTx<'_> {
    fn put_facts(&mut self, job: JobNo, facts: &[AssetFact], now: Timestamp) -> StoreResult<()> {
        for wave in waves(facts, |fact| &fact.asset) {
            let of = |field: fn(&AssetFact) -> Option<&String>| -> Vec<Option<&String>> {
                wave.iter().map(|fact| field(fact)).collect()
            };
            let assets: Vec<&str> = wave.iter().map(|fact| fact.asset.as_str()).collect();
            let bytes: Vec<Option<i64>> = wave.iter().map(|fact| fact.bytes.map(signed)).collect();
            // A new hash makes an older verdict void (QC-1).
            self.run(
                "INSERT INTO asset (id, title, role, location, path, bytes, hash, declared, copy, verdict, report, job, updated_at)
                 SELECT l.asset, l.title, l.role, l.location, l.path, COALESCE(f.bytes, o.bytes, l.bytes),
                   COALESCE(f.hash, o.hash, l.hash), l.declared, COALESCE(f.copy, o.copy),
                   CASE WHEN f.verdict IS NOT NULL THEN f.verdict
                        WHEN f.hash IS NOT NULL AND f.hash <> COALESCE(o.hash, '') THEN NULL ELSE o.verdict END,
                   CASE WHEN f.verdict IS NOT NULL THEN f.report
                        WHEN f.hash IS NOT NULL AND f.hash <> COALESCE(o.hash, '') THEN NULL ELSE o.report END,
                   $1, $2
                 FROM unnest($3::TEXT[], $4::BIGINT[], $5::TEXT[], $6::TEXT[], $7::TEXT[], $8::TEXT[])
                   AS f (asset, bytes, hash, copy, verdict, report)
                 CROSS JOIN LATERAL (SELECT * FROM listing WHERE job = $1 AND asset = f.asset OFFSET 0) AS l
                 LEFT JOIN LATERAL (SELECT * FROM asset WHERE id = f.asset OFFSET 0) AS o ON TRUE
                 ON CONFLICT (id) DO UPDATE SET title = excluded.title, role = excluded.role,
                   location = excluded.location, path = excluded.path, bytes = excluded.bytes, hash = excluded.hash,
                   declared = excluded.declared, copy = excluded.copy, verdict = excluded.verdict,
                   report = excluded.report, job = excluded.job, updated_at = excluded.updated_at",
                &[
                    &job.0,
                    &now.0,
                    &assets,
                    &bytes,
                    &of(|fact| fact.hash.as_ref()),
                    &of(|fact| fact.location.as_ref()),
                    &of(|fact| fact.verdict.as_ref()),
                    &of(|fact| fact.report.as_ref()),
                ],
            )?;
        }
        Ok(())
    }

    fn catalogue(&mut self, title: Option<&str>, after: Option<&str>, limit: u32) -> StoreResult<Vec<CatalogueRow>> {
        let of_title = if title.is_some() { "title = $1" } else { "$1::TEXT IS NULL" };
        let behind = if after.is_some() { "id > $2" } else { "$2::TEXT IS NULL" };
        let sql = format!("SELECT {COLUMNS} FROM asset WHERE {of_title} AND {behind} ORDER BY id LIMIT $3");
        self.all(&sql, &[&title, &after, &i64::from(limit)], read_entry)
    }

    fn catalogue_hashes(&mut self, assets: &[&str]) -> StoreResult<Vec<(String, String)>> {
        if assets.is_empty() {
            return Ok(Vec::new());
        }
        let sql = "SELECT id, hash FROM asset WHERE id = ANY ($1) AND hash IS NOT NULL";
        self.all(sql, &[&assets], |row| Ok((column(row, 0)?, column(row, 1)?)))
    }

    fn catalogue_entry(&mut self, asset: &str) -> StoreResult<Option<CatalogueRow>> {
        self.one(&format!("SELECT {COLUMNS} FROM asset WHERE id = $1"), &[&asset], read_entry)
    }

    fn import_assets(&mut self, assets: &[Asset], now: Timestamp) -> StoreResult<()> {
        for wave in waves(assets, |asset| &asset.id) {
            let of = |field: fn(&Asset) -> &str| wave.iter().map(|asset| field(asset)).collect::<Vec<&str>>();
            let bytes: Vec<Option<i64>> = wave.iter().map(|asset| asset.bytes.map(signed)).collect();
            let hashes: Vec<Option<&str>> = wave.iter().map(|asset| asset.hash.as_deref()).collect();
            let declared: Vec<Option<String>> = wave.iter().map(|asset| declared_json(asset)).collect();
            self.run(
                "INSERT INTO asset (id, title, role, location, path, bytes, hash, declared, updated_at)
                 SELECT a.*, $1 FROM unnest($2::TEXT[], $3::TEXT[], $4::TEXT[], $5::TEXT[], $6::TEXT[], $7::BIGINT[],
                   $8::TEXT[], $9::TEXT[]) AS a
                 ON CONFLICT (id) DO UPDATE SET title = excluded.title, role = excluded.role, location = excluded.location,
                   path = excluded.path, bytes = COALESCE(excluded.bytes, asset.bytes),
                   verdict = CASE WHEN excluded.hash IS NOT NULL AND excluded.hash <> COALESCE(asset.hash, '') THEN NULL ELSE asset.verdict END,
                   hash = COALESCE(excluded.hash, asset.hash), declared = excluded.declared, updated_at = excluded.updated_at",
                &[
                    &now.0,
                    &of(|asset| &asset.id),
                    &of(|asset| &asset.title),
                    &of(|asset| asset.role.as_str()),
                    &of(|asset| &asset.location),
                    &of(|asset| &asset.path),
                    &bytes,
                    &hashes,
                    &declared,
                ],
            )?;
        }
        Ok(())
    }

    fn find_asset(&mut self, job: JobNo, asset: &str) -> StoreResult<Option<PartNo>> {
        let moved =
            self.one("SELECT part FROM moved WHERE job = $1 AND asset = $2", &[&job.0, &asset], |row| column(row, 0))?;
        if moved.is_some() {
            return Ok(moved);
        }
        // Few questions of this kind are asked, so no index is kept for them.
        self.one(
            "SELECT p.part FROM listing l JOIN partition p ON p.job = l.job AND p.parent = 0
               AND (p.title = '' OR p.title = l.title)
               AND p.first <= l.asset AND (CASE p.last WHEN '' THEN p.first ELSE p.last END) >= l.asset
             WHERE l.job = $1 AND l.asset = $2 LIMIT 1",
            &[&job.0, &asset],
            |row| column(row, 0),
        )
    }
}
