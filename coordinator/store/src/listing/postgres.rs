//! Listings in PostgreSQL: written by COPY.
use super::sql::{
    ASSET, ROW_ERROR, count_asset, counted_rows, declared_json, listed_asset, listing_after,
    read_listed, read_row_error, row_errors,
};
use super::{Appended, ListingTx, RowsOf, duplicate};
use crate::error::StoreResult;
use crate::postgres::copy::CopyRows;
use crate::postgres::tx::{PostgresTx, column, count, printable, signed};
use crate::sql::{Row, Sql, values};
use protocol::id::{JobNo, PartNo};
use protocol::media::asset::Asset;
use protocol::rules::library::partition::Member;
use protocol::wire::report::{ListedAsset, RowError};
use std::collections::HashMap;

/// Bytes of a row.
const ROW_BYTES: &str = "(OCTET_LENGTH(asset) + OCTET_LENGTH(title) + OCTET_LENGTH(location) + OCTET_LENGTH(path) + \
    COALESCE(OCTET_LENGTH(hash), 0) + COALESCE(OCTET_LENGTH(declared), 0))::bigint";

impl PostgresTx<'_> {
    /// Which assets of a page are listed already, with their lines. Manifests are mostly in order: then the whole page
    /// lies behind what is there, and nothing is looked for.
    fn listed(
        &mut self,
        job: JobNo,
        page: &[ListedAsset],
    ) -> StoreResult<HashMap<String, (u64, String)>> {
        let ids: Vec<&str> = page.iter().map(|listed| listed.asset.id.as_str()).collect();
        let (least, greatest) = (ids.iter().min().copied(), ids.iter().max().copied());
        let listed_to = match self.seen.listed_to.remove(&job) {
            Some(known) => known,
            None => {
                // By the order of the key: an aggregate may look at all of it where nothing has counted the table.
                let sql = "SELECT asset FROM listing WHERE job = ?1 ORDER BY asset DESC LIMIT 1";
                self.query_one(sql, &values![job], |row| row.get(0))?
            }
        };
        let behind = listed_to.as_deref().is_none_or(|last| least > Some(last));
        let last = listed_to.as_deref().max(greatest).map(str::to_owned);
        self.seen.listed_to.insert(job, last);
        if behind {
            return Ok(HashMap::new());
        }
        let sql = "SELECT l.* FROM unnest(?2::TEXT[]) AS wanted (asset) CROSS JOIN LATERAL \
             (SELECT asset, line, title FROM listing WHERE job = ?1 AND asset = wanted.asset OFFSET 0) AS l";
        let known = self.all(sql, &[&job.0, &ids], |row| {
            Ok((column(row, 0)?, (count(row, 1)?, column(row, 2)?)))
        })?;
        Ok(known.into_iter().collect())
    }
}

impl ListingTx for PostgresTx<'_> {
    /// Known assets are looked up first, because COPY fails on conflicts. It writes the new ones several times faster than an
    /// INSERT with a conflict clause.
    fn append_listing(
        &mut self,
        job: JobNo,
        by_title: bool,
        page: &[ListedAsset],
    ) -> StoreResult<Appended> {
        let mut done = Appended::default();
        if page.is_empty() {
            return Ok(done);
        }
        let known = self.listed(job, page)?;
        let mut lines: HashMap<&str, (u64, &str)> = known
            .iter()
            .map(|(id, (line, title))| (id.as_str(), (*line, title.as_str())))
            .collect();
        let mut rows = CopyRows::new(11, page.len());
        for ListedAsset { line, asset } in page {
            if let Some((first, title)) = lines.get(asset.id.as_str()) {
                if first != line {
                    done.errors.push(duplicate(asset, *line, *first, title));
                }
                continue;
            }
            lines.insert(&asset.id, (*line, &asset.title));
            count_asset(&mut done, asset);
            let row = rows
                .row()
                .int(job.0)
                .text(&asset.id)
                .text(&asset.title)
                .text(asset.role.as_str());
            row.text(&asset.location)
                .text(&asset.path)
                .int_or_null(asset.bytes.map(signed));
            row.text_or_null(asset.hash.as_deref())
                .text_or_null(declared_json(asset).as_deref());
            row.int(signed(*line)).int(by_title.into());
        }
        if done.assets > 0 {
            self.copy(
                "COPY listing (job, asset, title, role, location, path, bytes, hash, declared, line, by_title)
                 FROM STDIN (FORMAT binary)",
                rows,
            )?;
        }
        Ok(done)
    }

    fn append_row_errors(&mut self, job: JobNo, errors: &[RowError]) -> StoreResult<u64> {
        if errors.is_empty() {
            return Ok(0);
        }
        let lines: Vec<i64> = errors.iter().map(|e| signed(e.line)).collect();
        let messages: Vec<String> = errors.iter().map(|e| printable(&e.message)).collect();
        let columns: Vec<Option<String>> = errors
            .iter()
            .map(|e| e.column.as_deref().map(printable))
            .collect();
        let assets: Vec<Option<String>> = errors
            .iter()
            .map(|e| e.asset.as_deref().map(printable))
            .collect();
        let titles: Vec<Option<String>> = errors
            .iter()
            .map(|e| e.title.as_deref().map(printable))
            .collect();
        self.run(
            "INSERT INTO row_error (job, line, message, column_name, asset, title)
             SELECT ?1, e.* FROM unnest(?2::BIGINT[], ?3::TEXT[], ?4::TEXT[], ?5::TEXT[], ?6::TEXT[]) AS e
             ON CONFLICT DO NOTHING",
            &[&job.0, &lines, &messages, &columns, &assets, &titles],
        )
    }

    fn row_errors(&mut self, job: JobNo, limit: u32) -> StoreResult<Vec<RowError>> {
        row_errors(self, job, limit)
    }

    fn uncounted_rows(&mut self, job: JobNo, limit: u32) -> StoreResult<Vec<RowError>> {
        let sql = format!(
            "SELECT {ROW_ERROR} FROM row_error WHERE job = ?1 AND title IS NOT NULL AND part IS NULL
             ORDER BY title, asset NULLS FIRST, line LIMIT ?2"
        );
        self.query(&sql, &values![job, limit], read_row_error)
    }

    fn count_rows(&mut self, job: JobNo, rows: &[(RowError, PartNo)]) -> StoreResult<()> {
        let lines: Vec<i64> = rows.iter().map(|(error, _)| signed(error.line)).collect();
        let messages: Vec<&str> = rows
            .iter()
            .map(|(error, _)| error.message.as_str())
            .collect();
        let parts: Vec<i64> = rows.iter().map(|(_, part)| *part).collect();
        self.run(
            "UPDATE row_error SET part = c.part
             FROM (SELECT c.*, found.at FROM unnest(?2::BIGINT[], ?3::TEXT[], ?4::BIGINT[]) AS c (line, message, part)
                   CROSS JOIN LATERAL (SELECT ctid AS at FROM row_error
                     WHERE job = ?1 AND line = c.line AND md5(message) = md5(c.message) OFFSET 0) AS found) AS c
             WHERE row_error.ctid = c.at",
            &[&job.0, &lines, &messages, &parts],
        )?;
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
            if row_bytes { ROW_BYTES } else { "0::bigint" },
            job,
            by_title,
            after,
            limit,
        )
    }

    fn listed(&mut self, job: JobNo, assets: &[&str]) -> StoreResult<Vec<ListedAsset>> {
        let sql = format!(
            "SELECT l.* FROM (SELECT DISTINCT * FROM unnest(?2::TEXT[]) AS w (asset)) AS wanted CROSS JOIN LATERAL \
             (SELECT {ASSET}, line FROM listing WHERE job = ?1 AND asset = wanted.asset OFFSET 0) AS l
             ORDER BY l.asset COLLATE \"C\""
        );
        let assets: Vec<&str> = assets.to_vec();
        self.all(&sql, &[&job.0, &assets], |row| read_listed(Row::new(row)))
    }
}
