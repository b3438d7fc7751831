//! The listing of a job's library: its assets, and the rows that cannot be used.
#[cfg(any(test, feature = "testing"))]
pub(crate) mod conformance;
mod memory;
mod postgres;
pub(crate) mod sql;
mod sqlite;

use crate::error::StoreResult;
use protocol::id::{JobNo, PartNo};
use protocol::media::asset::Asset;
use protocol::rules::library::partition::Member;
use protocol::wire::report::{ListedAsset, RowError};
use std::collections::BTreeMap;

/// The result of appending a page.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Appended {
    /// Number of new assets.
    pub assets: u64,
    /// Declared bytes of the new assets.
    pub bytes: u64,
    /// One error for each duplicate.
    pub errors: Vec<RowError>,
}

/// A selection of rows that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowsOf<'a> {
    /// Rows of a title.
    Title(&'a str),
    /// Rows whose place is in this range of partitions.
    Parts(PartNo, PartNo),
    /// All rows of the job.
    Job,
}

/// The listing of a job's library.
pub trait ListingTx {
    /// Appends a page of a listing. An asset on its known line is a replay and ignored; on another line it is a duplicate
    /// and returned as an error.
    fn append_listing(
        &mut self,
        job: JobNo,
        by_title: bool,
        page: &[ListedAsset],
    ) -> StoreResult<Appended>;
    /// Records rows that cannot be used; a recorded line is ignored. Returns the number of new rows.
    fn append_row_errors(&mut self, job: JobNo, errors: &[RowError]) -> StoreResult<u64>;
    /// Rows that cannot be used, by line.
    fn row_errors(&mut self, job: JobNo, limit: u32) -> StoreResult<Vec<RowError>>;
    /// Rows that cannot be used, have a title and are not counted yet, by title, asset and line.
    fn uncounted_rows(&mut self, job: JobNo, limit: u32) -> StoreResult<Vec<RowError>>;
    /// Marks rows as counted, each with the partition that precedes it.
    fn count_rows(&mut self, job: JobNo, rows: &[(RowError, PartNo)]) -> StoreResult<()>;
    /// Rows that have been counted as members of barriers, by line: those of a title, of partitions, or all.
    fn counted_rows(
        &mut self,
        job: JobNo,
        of: RowsOf<'_>,
        limit: u32,
    ) -> StoreResult<Vec<RowError>>;
    /// One asset of a listing.
    fn listed_asset(&mut self, job: JobNo, asset: &str) -> StoreResult<Option<Asset>>;
    /// The listing in canonical order after `after` (title, id). Without `row_bytes` the sizes of rows are 0, which saves
    /// a third of the read.
    fn listing_after(
        &mut self,
        job: JobNo,
        by_title: bool,
        row_bytes: bool,
        after: Option<(&str, &str)>,
        limit: u32,
    ) -> StoreResult<Vec<Member>>;
    /// Assets of a job with these ids and their lines, by id; ids that are not listed are missing.
    fn listed(&mut self, job: JobNo, assets: &[&str]) -> StoreResult<Vec<ListedAsset>>;
}

/// The error of a second row for an asset. Only a row under another title names its title: that title lacks the asset.
fn duplicate(asset: &Asset, line: u64, first: u64, title: &str) -> RowError {
    RowError {
        title: (asset.title != title).then(|| asset.title.clone()),
        line,
        column: Some("asset".into()),
        asset: Some(asset.id.clone()),
        message: format!(
            "asset {:?} is already on line {first}: the first row counts, remove one of them",
            asset.id
        ),
    }
}

/// Listings in memory.
#[derive(Debug, Clone, Default)]
pub(crate) struct Table {
    /// With the line of each asset.
    pub(crate) assets: BTreeMap<(JobNo, String), (u64, Asset)>,
    /// With the partition that precedes each row, once the row has been counted.
    pub(crate) row_errors: BTreeMap<(JobNo, u64, String), (RowError, Option<PartNo>)>,
}
