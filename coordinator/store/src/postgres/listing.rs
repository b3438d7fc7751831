//! The listing of a job's library.
use super::copy::CopyRows;
use super::error::corrupt;
use super::tx::{PostgresTx, column, count, printable, signed, word};
use crate::{Appended, ListingTx, RowsOf, StoreResult, duplicate};
use protocol::id::{JobNo, PartNo};
use protocol::media::asset::{Asset, Declared, Role};
use protocol::rules::library::partition::Member;
use protocol::wire::report::RowError;
use std::collections::HashMap;
use tokio_postgres::Row;

/// Columns of an asset, in the order [`read_asset`] takes them.
pub(super) const ASSET: &str = "asset, title, role, location, path, bytes, hash, declared";

/// Bytes of a row.
const ROW_BYTES: &str = "(OCTET_LENGTH(asset) + OCTET_LENGTH(title) + OCTET_LENGTH(location) + OCTET_LENGTH(path) + \
    COALESCE(OCTET_LENGTH(hash), 0) + COALESCE(OCTET_LENGTH(declared), 0))::bigint";

/// Reads an asset from columns starting at `at`.
pub(super) fn read_asset(row: &Row, at: usize) -> StoreResult<Asset> {
    let declared: Option<&str> = column(row, at + 7)?;
    let declared: Option<Declared> =
        declared.map(serde_json::from_str).transpose().map_err(|e| corrupt("declared", e))?;
    Ok(Asset {
        id: column(row, at)?,
        title: column(row, at + 1)?,
        role: word(row, at + 2, Role::parse)?,
        location: column(row, at + 3)?,
        path: column(row, at + 4)?,
        bytes: column::<Option<i64>>(row, at + 5)?.and_then(|n| u64::try_from(n).ok()),
        hash: column(row, at + 6)?,
        declared: declared.map(Box::new),
    })
}

/// Columns of a row that could not be used, in the order [`read_row_error`] takes them.
const ROW_ERROR: &str = "line, column_name, asset, message, title";

fn read_row_error(row: &Row) -> StoreResult<RowError> {
    Ok(RowError {
        line: count(row, 0)?,
        column: column(row, 1)?,
        asset: column(row, 2)?,
        message: column(row, 3)?,
        title: column(row, 4)?,
    })
}

/// The declared columns as JSON, `None` when there are none.
pub(super) fn declared_json(asset: &Asset) -> Option<String> {
    asset.declared.as_ref().map(|d| serde_json::to_string(d).expect("plain columns always serialise"))
}

impl PostgresTx<'_> {
    /// Which assets of a page are listed already, with their lines. Manifests are mostly in order: then the whole page
    /// lies behind what is there, and nothing is looked for.
    fn listed(&mut self, job: JobNo, page: &[(u64, Asset)]) -> StoreResult<HashMap<String, (u64, String)>> {
        let ids: Vec<&str> = page.iter().map(|(_, asset)| asset.id.as_str()).collect();
        let (least, greatest) = (ids.iter().min().copied(), ids.iter().max().copied());
        let listed_to = match self.seen.listed_to.remove(&job) {
            Some(known) => known,
            None => {
                // By the order of the key: an aggregate may look at all of it where nothing has counted the table.
                let sql = "SELECT asset FROM listing WHERE job = $1 ORDER BY asset DESC LIMIT 1";
                self.one(sql, &[&job.0], |row| column(row, 0))?
            }
        };
        let behind = listed_to.as_deref().is_none_or(|last| least > Some(last));
        let last = listed_to.as_deref().max(greatest).map(str::to_owned);
        self.seen.listed_to.insert(job, last);
        if behind {
            return Ok(HashMap::new());
        }
        let sql = "SELECT l.* FROM unnest($2::TEXT[]) AS wanted (asset) CROSS JOIN LATERAL \
             (SELECT asset, line, title FROM listing WHERE job = $1 AND asset = wanted.asset OFFSET 0) AS l";
        let known = self.all(sql, &[&job.0, &ids], |row| Ok((column(row, 0)?, (count(row, 1)?, column(row, 2)?))))?;
        Ok(known.into_iter().collect())
    }
}

impl ListingTx for PostgresTx<'_> {
    /// What is there is asked first: COPY takes no conflicts, and writes what is left several times faster than an
    /// INSERT that would.
    fn append_listing(&mut self, job: JobNo, by_title: bool, page: &[(u64, Asset)]) -> StoreResult<Appended> {
        let mut done = Appended::default();
        if page.is_empty() {
            return Ok(done);
        }
        let known = self.listed(job, page)?;
        let mut lines: HashMap<&str, (u64, &str)> =
            known.iter().map(|(id, (line, title))| (id.as_str(), (*line, title.as_str()))).collect();
        let mut rows = CopyRows::new(11, page.len());
        for (line, asset) in page {
            if let Some((first, title)) = lines.get(asset.id.as_str()) {
                if first != line {
                    done.errors.push(duplicate(asset, *line, *first, title));
                }
                continue;
            }
            lines.insert(&asset.id, (*line, &asset.title));
            done.assets += 1;
            done.bytes += asset.bytes.unwrap_or(0);
            let row = rows.row().int(job.0).text(&asset.id).text(&asset.title).text(asset.role.as_str());
            row.text(&asset.location).text(&asset.path).int_or_null(asset.bytes.map(signed));
            row.text_or_null(asset.hash.as_deref()).text_or_null(declared_json(asset).as_deref());
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
        let columns: Vec<Option<String>> = errors.iter().map(|e| e.column.as_deref().map(printable)).collect();
        let assets: Vec<Option<String>> = errors.iter().map(|e| e.asset.as_deref().map(printable)).collect();
        let titles: Vec<Option<String>> = errors.iter().map(|e| e.title.as_deref().map(printable)).collect();
        self.run(
            "INSERT INTO row_error (job, line, message, column_name, asset, title)
             SELECT $1, e.* FROM unnest($2::BIGINT[], $3::TEXT[], $4::TEXT[], $5::TEXT[], $6::TEXT[]) AS e
             ON CONFLICT DO NOTHING",
            &[&job.0, &lines, &messages, &columns, &assets, &titles],
        )
    }

    fn row_errors(&mut self, job: JobNo, limit: u32) -> StoreResult<Vec<RowError>> {
        self.all(
            &format!("SELECT {ROW_ERROR} FROM row_error WHERE job = $1 ORDER BY line, message LIMIT $2"),
            &[&job.0, &i64::from(limit)],
            read_row_error,
        )
    }

    fn uncounted_rows(&mut self, job: JobNo, limit: u32) -> StoreResult<Vec<RowError>> {
        self.all(
            &format!(
                "SELECT {ROW_ERROR} FROM row_error WHERE job = $1 AND title IS NOT NULL AND part IS NULL
                 ORDER BY title, asset NULLS FIRST, line LIMIT $2"
            ),
            &[&job.0, &i64::from(limit)],
            read_row_error,
        )
    }

    fn count_rows(&mut self, job: JobNo, rows: &[(RowError, PartNo)]) -> StoreResult<()> {
        let lines: Vec<i64> = rows.iter().map(|(error, _)| signed(error.line)).collect();
        let messages: Vec<&str> = rows.iter().map(|(error, _)| error.message.as_str()).collect();
        let parts: Vec<i64> = rows.iter().map(|(_, part)| *part).collect();
        self.run(
            "UPDATE row_error SET part = c.part
             FROM (SELECT c.*, found.at FROM unnest($2::BIGINT[], $3::TEXT[], $4::BIGINT[]) AS c (line, message, part)
                   CROSS JOIN LATERAL (SELECT ctid AS at FROM row_error
                     WHERE job = $1 AND line = c.line AND md5(message) = md5(c.message) OFFSET 0) AS found) AS c
             WHERE row_error.ctid = c.at",
            &[&job.0, &lines, &messages, &parts],
        )?;
        Ok(())
    }

    fn counted_rows(&mut self, job: JobNo, of: RowsOf<'_>, limit: u32) -> StoreResult<Vec<RowError>> {
        let select = |which: &str| {
            format!(
                "SELECT {ROW_ERROR} FROM row_error WHERE job = $1 AND title IS NOT NULL AND part IS NOT NULL {which}
                 ORDER BY line, message LIMIT $2"
            )
        };
        let limit = i64::from(limit);
        match of {
            RowsOf::Title(title) => self.all(&select("AND title = $3"), &[&job.0, &limit, &title], read_row_error),
            RowsOf::Parts(first, last) => {
                self.all(&select("AND part BETWEEN $3 AND $4"), &[&job.0, &limit, &first, &last], read_row_error)
            }
            RowsOf::Job => self.all(&select(""), &[&job.0, &limit], read_row_error),
        }
    }

    fn listing_after(
        &mut self,
        job: JobNo,
        by_title: bool,
        after: Option<(&str, &str)>,
        limit: u32,
    ) -> StoreResult<Vec<Member>> {
        let read = |row: &Row| {
            let bytes: Option<i64> = column(row, 2)?;
            let bytes = bytes.and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
            let row_bytes: i64 = column(row, 3)?;
            let row_bytes = u64::try_from(row_bytes).unwrap_or(0);
            Ok(Member { title: column(row, 0)?, id: column(row, 1)?, bytes, row_bytes })
        };
        let (title, id) = after.unwrap_or(("", ""));
        if by_title {
            return self.all(
                &format!("SELECT title, asset, bytes, {ROW_BYTES} FROM listing WHERE by_title = 1 AND job = $1 AND (title, asset) > ($2, $3)
                 ORDER BY title, asset LIMIT $4"),
                &[&job.0, &title, &id, &i64::from(limit)],
                read,
            );
        }
        self.all(
            &format!("SELECT '', asset, bytes, {ROW_BYTES} FROM listing WHERE job = $1 AND asset > $2 ORDER BY asset LIMIT $3"),
            &[&job.0, &id, &i64::from(limit)],
            read,
        )
    }
}
