//! The catalogue in SQL.
use super::{CatalogueRow, CatalogueTx};
use crate::error::StoreResult;
use crate::listing::sql::{declared_json, read_asset};
use crate::sql::Column::{Int, Text};
use crate::sql::{Filter, Insert, Row, Sql, values};
use protocol::id::JobNo;
use protocol::media::asset::{Asset, AssetFact};
use protocol::time::Timestamp;
use std::collections::HashMap;

const COLUMNS: &str =
    "id, title, role, location, path, bytes, hash, declared, copy, verdict, report, updated_at";

static IMPORT: Insert<9> = Insert::new(
    "asset",
    [
        Text("id"),
        Text("title"),
        Text("role"),
        Text("location"),
        Text("path"),
        Int("bytes"),
        Text("hash"),
        Text("declared"),
        Int("updated_at"),
    ],
    "ON CONFLICT (id) DO UPDATE SET title = excluded.title, role = excluded.role, location = excluded.location,
       path = excluded.path, bytes = COALESCE(excluded.bytes, asset.bytes),
       verdict = CASE WHEN excluded.hash IS NOT NULL AND excluded.hash <> COALESCE(asset.hash, '') THEN NULL
         ELSE asset.verdict END,
       hash = COALESCE(excluded.hash, asset.hash), declared = excluded.declared, updated_at = excluded.updated_at",
);

/// Statements over many assets: one for each, or one over arrays.
pub(super) trait Dialect: Sql {
    fn put_facts_of(&mut self, job: JobNo, facts: &[AssetFact], now: Timestamp) -> StoreResult<()>;
    fn hashes_of(&mut self, assets: &[&str]) -> StoreResult<Vec<(String, String)>>;
}

fn read_entry(row: Row<'_>) -> StoreResult<CatalogueRow> {
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
    Ok(CatalogueRow {
        asset,
        fact,
        updated_at: row.get(11)?,
    })
}

/// Rows in groups in which no asset comes twice, since one statement changes a row once.
pub(super) fn without_repeats<T>(rows: &[T], id: impl Fn(&T) -> &str) -> Vec<Vec<&T>> {
    let (mut groups, mut times): (Vec<Vec<&T>>, HashMap<&str, usize>) = Default::default();
    for row in rows {
        let time = times.entry(id(row)).or_default();
        if *time == groups.len() {
            groups.push(Vec::new());
        }
        groups[*time].push(row);
        *time += 1;
    }
    for group in &mut groups {
        group.sort_by(|a, b| id(a).cmp(id(b)));
    }
    groups
}

impl<T: Dialect> CatalogueTx for T {
    fn put_facts(&mut self, job: JobNo, facts: &[AssetFact], now: Timestamp) -> StoreResult<()> {
        self.put_facts_of(job, facts, now)
    }

    fn catalogue(
        &mut self,
        title: Option<&str>,
        after: Option<&str>,
        limit: u32,
    ) -> StoreResult<Vec<CatalogueRow>> {
        let mut filter = Filter::default();
        filter.compare("title =", title);
        filter.compare("id >", after);
        let limit = filter.place(limit);
        let sql = format!(
            "SELECT {COLUMNS} FROM asset {} ORDER BY id LIMIT {limit}",
            filter.clause()
        );
        self.query(&sql, filter.values(), read_entry)
    }

    fn catalogue_hashes(&mut self, assets: &[&str]) -> StoreResult<Vec<(String, String)>> {
        self.hashes_of(assets)
    }

    fn catalogue_entry(&mut self, asset: &str) -> StoreResult<Option<CatalogueRow>> {
        self.query_one(
            &format!("SELECT {COLUMNS} FROM asset WHERE id = ?1"),
            &values![asset],
            read_entry,
        )
    }

    fn import_assets(&mut self, assets: &[Asset], now: Timestamp) -> StoreResult<()> {
        for group in without_repeats(assets, |asset| &asset.id) {
            let rows = group.into_iter().map(|asset| {
                values![
                    &asset.id,
                    &asset.title,
                    asset.role.as_str(),
                    &asset.location,
                    &asset.path,
                    asset.bytes,
                    asset.hash.as_ref(),
                    declared_json(asset),
                    now,
                ]
            });
            self.insert(&IMPORT, &rows.collect::<Vec<_>>())?;
        }
        Ok(())
    }
}
