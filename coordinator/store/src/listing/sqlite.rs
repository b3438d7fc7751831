//! Listings in SQLite.
use super::sql::{
    ASSET, ROW_ERROR, count_asset, counted_rows, declared_json, listed_asset, listing_after,
    read_listed, read_row_error, row_errors,
};
use super::{Appended, ListingTx, RowsOf, duplicate};
use crate::cost;
use crate::error::StoreResult;
use crate::sql::{Sql, values};
use crate::sqlite::{SqliteTx, failed};
use protocol::id::{JobNo, PartNo};
use protocol::media::asset::Asset;
use protocol::rules::library::partition::Member;
use protocol::wire::report::{ListedAsset, RowError};
use rusqlite::params_from_iter;
use std::collections::BTreeSet;

/// Bytes of a row. `OCTET_LENGTH` takes the length of a column from the head of its row, without reading the column.
const ROW_BYTES: &str = "OCTET_LENGTH(asset) + OCTET_LENGTH(title) + OCTET_LENGTH(location) + OCTET_LENGTH(path) + \
    COALESCE(OCTET_LENGTH(hash), 0) + COALESCE(OCTET_LENGTH(declared), 0)";

impl ListingTx for SqliteTx<'_> {
    fn append_listing(
        &mut self,
        job: JobNo,
        by_title: bool,
        page: &[ListedAsset],
    ) -> StoreResult<Appended> {
        cost::rows(page.len());
        let mut done = Appended::default();
        let mut insert = self
            .db
            .prepare_cached(
                "INSERT INTO listing (job, asset, title, role, location, path, bytes, hash, declared, line, by_title)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) ON CONFLICT DO NOTHING",
            )
            .map_err(failed)?;
        for ListedAsset { line, asset } in page {
            let added = insert
                .execute(params_from_iter(values![
                    job,
                    &asset.id,
                    &asset.title,
                    asset.role.as_str(),
                    &asset.location,
                    &asset.path,
                    asset.bytes,
                    asset.hash.as_ref(),
                    declared_json(asset),
                    *line,
                    by_title,
                ]))
                .map_err(failed)?;
            if added == 1 {
                count_asset(&mut done, asset);
                continue;
            }
            let sql = "SELECT line, title FROM listing WHERE job = ?1 AND asset = ?2";
            let first: Option<(u64, String)> =
                self.query_one(sql, &values![job, &asset.id], |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })?;
            if let Some((first, title)) = first.filter(|(first, _)| first != line) {
                done.errors.push(duplicate(asset, *line, first, &title));
            }
        }
        self.count(&insert);
        Ok(done)
    }

    fn append_row_errors(&mut self, job: JobNo, errors: &[RowError]) -> StoreResult<u64> {
        let mut added = 0;
        for error in errors {
            added += self.execute(
                "INSERT INTO row_error (job, line, message, column_name, asset, title) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT DO NOTHING",
                &values![
                    job,
                    error.line,
                    &error.message,
                    error.column.as_ref(),
                    error.asset.as_ref(),
                    error.title.as_ref(),
                ],
            )?;
        }
        Ok(added)
    }

    fn row_errors(&mut self, job: JobNo, limit: u32) -> StoreResult<Vec<RowError>> {
        row_errors(self, job, limit)
    }

    fn uncounted_rows(&mut self, job: JobNo, limit: u32) -> StoreResult<Vec<RowError>> {
        let sql = format!(
            "SELECT {ROW_ERROR} FROM row_error WHERE job = ?1 AND title IS NOT NULL AND part IS NULL
             ORDER BY title, asset, line LIMIT ?2"
        );
        self.query(&sql, &values![job, limit], read_row_error)
    }

    fn count_rows(&mut self, job: JobNo, rows: &[(RowError, PartNo)]) -> StoreResult<()> {
        for (error, part) in rows {
            self.execute(
                "UPDATE row_error SET part = ?4 WHERE job = ?1 AND line = ?2 AND message = ?3",
                &values![job, error.line, &error.message, *part],
            )?;
        }
        Ok(())
    }

    fn counted_rows(
        &mut self,
        job: JobNo,
        of: RowsOf<'_>,
        limit: u32,
    ) -> StoreResult<Vec<RowError>> {
        counted_rows(self, job, of, limit)
    }

    fn listed_asset(&mut self, job: JobNo, asset: &str) -> StoreResult<Option<Asset>> {
        listed_asset(self, job, asset)
    }

    fn listing_after(
        &mut self,
        job: JobNo,
        by_title: bool,
        row_bytes: bool,
        after: Option<(&str, &str)>,
        limit: u32,
    ) -> StoreResult<Vec<Member>> {
        listing_after(
            self,
            if row_bytes { ROW_BYTES } else { "0" },
            job,
            by_title,
            after,
            limit,
        )
    }

    fn listed(&mut self, job: JobNo, assets: &[&str]) -> StoreResult<Vec<ListedAsset>> {
        let sql = format!("SELECT {ASSET}, line FROM listing WHERE job = ?1 AND asset = ?2");
        let wanted: BTreeSet<&str> = assets.iter().copied().collect();
        let mut found = Vec::with_capacity(wanted.len());
        for asset in wanted {
            found.extend(self.query_one(&sql, &values![job, asset], read_listed)?);
        }
        Ok(found)
    }
}
