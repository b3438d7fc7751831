//! The listing of a job's library.
use super::job::{signed, unsigned};
use super::{SqliteTx, failed};
use crate::cost;
use crate::{Appended, ListingTx, RowsOf, StoreResult};
use protocol::id::{JobNo, PartNo};
use protocol::media::asset::{Asset, Declared, Role};
use protocol::rules::library::partition::Member;
use protocol::wire::report::RowError;
use rusqlite::{Row, params};

/// Columns of an asset, in the order [`read_asset`] takes them.
pub(super) const ASSET: &str = "asset, title, role, location, path, bytes, hash, declared";

/// Bytes of a row. `OCTET_LENGTH` takes the length of a column from the head of its row, without reading the column.
const ROW_BYTES: &str = "OCTET_LENGTH(asset) + OCTET_LENGTH(title) + OCTET_LENGTH(location) + OCTET_LENGTH(path) + \
    COALESCE(OCTET_LENGTH(hash), 0) + COALESCE(OCTET_LENGTH(declared), 0)";

/// Reads an asset from columns starting at `at`.
pub(super) fn read_asset(row: &Row<'_>, at: usize) -> rusqlite::Result<Asset> {
    let role: String = row.get(at + 2)?;
    let declared: Option<String> = row.get(at + 7)?;
    let wrong = |what: &str| rusqlite::Error::InvalidColumnName(what.to_owned());
    let declared = match declared {
        Some(text) => {
            let read: Declared = serde_json::from_str(&text).map_err(|e| wrong(&format!("declared: {e}")))?;
            Some(Box::new(read))
        }
        None => None,
    };
    Ok(Asset {
        id: row.get(at)?,
        title: row.get(at + 1)?,
        role: Role::parse(&role).ok_or_else(|| wrong(&format!("role {role}")))?,
        location: row.get(at + 3)?,
        path: row.get(at + 4)?,
        bytes: row.get::<_, Option<i64>>(at + 5)?.and_then(|n| u64::try_from(n).ok()),
        hash: row.get(at + 6)?,
        declared,
    })
}

/// Columns of a row that could not be used, in the order [`read_row_error`] takes them.
const ROW_ERROR: &str = "line, column_name, asset, message, title";

fn read_row_error(row: &Row<'_>) -> rusqlite::Result<RowError> {
    Ok(RowError {
        line: unsigned(row, 0)?,
        column: row.get(1)?,
        asset: row.get(2)?,
        message: row.get(3)?,
        title: row.get(4)?,
    })
}

/// The declared columns as JSON, `None` when there are none.
pub(super) fn declared_json(asset: &Asset) -> Option<String> {
    asset.declared.as_ref().map(|d| serde_json::to_string(d).expect("plain columns always serialise"))
}

impl ListingTx for SqliteTx<'_> {
    fn append_listing(&mut self, job: JobNo, by_title: bool, page: &[(u64, Asset)]) -> StoreResult<Appended> {
        cost::rows(page.len());
        let mut done = Appended::default();
        let mut insert = self
            .db
            .prepare_cached(
                "INSERT INTO listing (job, asset, title, role, location, path, bytes, hash, declared, line, by_title)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) ON CONFLICT DO NOTHING",
            )
            .map_err(failed)?;
        for (line, asset) in page {
            let added = insert
                .execute(params![
                    job.0,
                    asset.id,
                    asset.title,
                    asset.role.as_str(),
                    asset.location,
                    asset.path,
                    asset.bytes.map(signed),
                    asset.hash,
                    declared_json(asset),
                    signed(*line),
                    i64::from(by_title)
                ])
                .map_err(failed)?;
            if added == 1 {
                done.assets += 1;
                done.bytes += asset.bytes.unwrap_or(0);
                continue;
            }
            let sql = "SELECT line, title FROM listing WHERE job = ?1 AND asset = ?2";
            let first: Option<(u64, String)> =
                self.one(sql, params![job.0, asset.id], |row| Ok((unsigned(row, 0)?, row.get(1)?)))?;
            if let Some((first, title)) = first.filter(|(first, _)| first != line) {
                done.errors.push(crate::duplicate(asset, *line, first, &title));
            }
        }
        Ok(done)
    }

    fn append_row_errors(&mut self, job: JobNo, errors: &[RowError]) -> StoreResult<u64> {
        let mut added = 0;
        for error in errors {
            added += self.run(
                "INSERT INTO row_error (job, line, message, column_name, asset, title) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT DO NOTHING",
                params![job.0, signed(error.line), error.message, error.column, error.asset, error.title],
            )? as u64;
        }
        Ok(added)
    }

    fn row_errors(&mut self, job: JobNo, limit: u32) -> StoreResult<Vec<RowError>> {
        self.all(
            &format!("SELECT {ROW_ERROR} FROM row_error WHERE job = ?1 ORDER BY line LIMIT ?2"),
            params![job.0, limit],
            read_row_error,
        )
    }

    fn uncounted_rows(&mut self, job: JobNo, limit: u32) -> StoreResult<Vec<RowError>> {
        self.all(
            &format!(
                "SELECT {ROW_ERROR} FROM row_error WHERE job = ?1 AND title IS NOT NULL AND part IS NULL
                 ORDER BY title, asset, line LIMIT ?2"
            ),
            params![job.0, limit],
            read_row_error,
        )
    }

    fn count_rows(&mut self, job: JobNo, rows: &[(RowError, PartNo)]) -> StoreResult<()> {
        for (error, part) in rows {
            self.run(
                "UPDATE row_error SET part = ?4 WHERE job = ?1 AND line = ?2 AND message = ?3",
                params![job.0, signed(error.line), error.message, part],
            )?;
        }
        Ok(())
    }

    fn counted_rows(&mut self, job: JobNo, of: RowsOf<'_>, limit: u32) -> StoreResult<Vec<RowError>> {
        let select = |which: &str| {
            format!(
                "SELECT {ROW_ERROR} FROM row_error WHERE job = ?1 AND title IS NOT NULL AND part IS NOT NULL {which}
                 ORDER BY line LIMIT ?2"
            )
        };
        match of {
            RowsOf::Title(title) => self.all(&select("AND title = ?3"), params![job.0, limit, title], read_row_error),
            RowsOf::Parts(first, last) => {
                self.all(&select("AND part BETWEEN ?3 AND ?4"), params![job.0, limit, first, last], read_row_error)
            }
            RowsOf::Job => self.all(&select(""), params![job.0, limit], read_row_error),
        }
    }

    fn listing_after(
        &mut self,
        job: JobNo,
        by_title: bool,
        after: Option<(&str, &str)>,
        limit: u32,
    ) -> StoreResult<Vec<Member>> {
        let read = |row: &Row<'_>| {
            let bytes: Option<i64> = row.get(2)?;
            let bytes = bytes.and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
            let row_bytes: i64 = row.get(3)?;
            let row_bytes = u64::try_from(row_bytes).unwrap_or(0);
            Ok(Member { title: row.get(0)?, id: row.get(1)?, bytes, row_bytes })
        };
        let (title, id) = after.unwrap_or(("", ""));
        if by_title {
            return self.all(
                &format!("SELECT title, asset, bytes, {ROW_BYTES} FROM listing WHERE by_title = 1 AND job = ?1 AND (title, asset) > (?2, ?3)
                 ORDER BY title, asset LIMIT ?4"),
                params![job.0, title, id, limit],
                read,
            );
        }
        self.all(
            &format!("SELECT '', asset, bytes, {ROW_BYTES} FROM listing WHERE job = ?1 AND asset > ?2 ORDER BY asset LIMIT ?3"),
            params![job.0, id, limit],
            read,
        )
    }
}
