//! Listings in SQL.
use super::{Appended, RowsOf};
use crate::error::{StoreResult, corrupt};
use crate::sql::{Filter, Row, Sql, values};
use protocol::id::JobNo;
use protocol::media::asset::{Asset, Declared, Role};
use protocol::rules::library::partition::Member;
use protocol::wire::report::{ListedAsset, RowError};

/// Columns of an asset, in the order of [`read_asset`].
pub(crate) const ASSET: &str = "asset, title, role, location, path, bytes, hash, declared";

/// Columns of a row that cannot be used, in the order of [`read_row_error`].
pub(super) const ROW_ERROR: &str = "line, column_name, asset, message, title";

/// Reads an asset from columns starting at `at`.
pub(crate) fn read_asset(row: Row<'_>, at: usize) -> StoreResult<Asset> {
    let declared: Option<&str> = row.get(at + 7)?;
    let declared: Option<Declared> = declared
        .map(serde_json::from_str)
        .transpose()
        .map_err(|e| corrupt("declared", e))?;
    Ok(Asset {
        id: row.get(at)?,
        title: row.get(at + 1)?,
        role: row.word(at + 2, Role::parse)?,
        location: row.get(at + 3)?,
        path: row.get(at + 4)?,
        bytes: row
            .get::<Option<i64>>(at + 5)?
            .and_then(|n| u64::try_from(n).ok()),
        hash: row.get(at + 6)?,
        declared: declared.map(Box::new),
    })
}

/// Reads an asset and its line from [`ASSET`] and `line`.
pub(super) fn read_listed(row: Row<'_>) -> StoreResult<ListedAsset> {
    Ok(ListedAsset {
        asset: read_asset(row, 0)?,
        line: row.get(8)?,
    })
}

/// Reads a row that cannot be used from [`ROW_ERROR`].
pub(super) fn read_row_error(row: Row<'_>) -> StoreResult<RowError> {
    Ok(RowError {
        line: row.get(0)?,
        column: row.get(1)?,
        asset: row.get(2)?,
        message: row.get(3)?,
        title: row.get(4)?,
    })
}

fn read_member(row: Row<'_>) -> StoreResult<Member> {
    let count = |value: Option<i64>| value.and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
    Ok(Member {
        title: row.get(0)?,
        id: row.get(1)?,
        bytes: count(row.get(2)?),
        row_bytes: count(row.get(3)?),
    })
}

/// The declared columns as JSON, `None` when there are none.
pub(crate) fn declared_json(asset: &Asset) -> Option<String> {
    asset
        .declared
        .as_ref()
        .map(|d| serde_json::to_string(d).expect("plain columns always serialise"))
}

/// Rows that cannot be used, by line.
pub(super) fn row_errors(tx: &mut impl Sql, job: JobNo, limit: u32) -> StoreResult<Vec<RowError>> {
    let sql =
        format!("SELECT {ROW_ERROR} FROM row_error WHERE job = ?1 ORDER BY line, message LIMIT ?2");
    tx.query(&sql, &values![job, limit], read_row_error)
}

/// Rows that have been counted as members of barriers, by line.
pub(super) fn counted_rows(
    tx: &mut impl Sql,
    job: JobNo,
    of: RowsOf<'_>,
    limit: u32,
) -> StoreResult<Vec<RowError>> {
    let mut filter = Filter::default();
    filter.term("title IS NOT NULL AND part IS NOT NULL");
    // The expressions are those of the indexes of migration 21: no other index serves them.
    match of {
        RowsOf::Title(title) => {
            filter.compare("job + 0 =", Some(job));
            filter.compare("title =", Some(title));
        }
        RowsOf::Parts(first, last) => {
            filter.compare("job + 0 =", Some(job));
            let (first, last) = (filter.place(first), filter.place(last));
            filter.term(&format!("part BETWEEN {first} AND {last}"));
        }
        RowsOf::Job => {
            let job = filter.place(job);
            filter.term(&format!("-job = -CAST({job} AS BIGINT)"));
        }
    }
    let limit = filter.place(limit);
    let sql = format!(
        "SELECT {ROW_ERROR} FROM row_error {} ORDER BY line, message LIMIT {limit}",
        filter.clause()
    );
    tx.query(&sql, filter.values(), read_row_error)
}

/// One asset of a listing.
pub(super) fn listed_asset(
    tx: &mut impl Sql,
    job: JobNo,
    asset: &str,
) -> StoreResult<Option<Asset>> {
    let sql = format!("SELECT {ASSET} FROM listing WHERE job = ?1 AND asset = ?2");
    tx.query_one(&sql, &values![job, asset], |row| read_asset(row, 0))
}

/// The listing in canonical order after a title and an asset; `row_bytes` computes the bytes of a row.
pub(super) fn listing_after(
    tx: &mut impl Sql,
    row_bytes: &str,
    job: JobNo,
    by_title: bool,
    after: Option<(&str, &str)>,
    limit: u32,
) -> StoreResult<Vec<Member>> {
    let (title, id) = after.unwrap_or(("", ""));
    if by_title {
        let sql = format!(
            "SELECT title, asset, bytes, {row_bytes} FROM listing
             WHERE by_title = 1 AND job = ?1 AND (title, asset) > (?2, ?3) ORDER BY title, asset LIMIT ?4"
        );
        return tx.query(&sql, &values![job, title, id, limit], read_member);
    }
    let sql = format!(
        "SELECT '', asset, bytes, {row_bytes} FROM listing WHERE job = ?1 AND asset > ?2 ORDER BY asset LIMIT ?3"
    );
    tx.query(&sql, &values![job, id, limit], read_member)
}

/// Counts a new asset.
pub(super) fn count_asset(done: &mut Appended, asset: &Asset) {
    done.assets += 1;
    done.bytes += asset.bytes.unwrap_or(0);
}
