//! The catalogue: facts about assets across jobs.
#[cfg(any(test, feature = "testing"))]
pub(crate) mod conformance;
mod memory;
mod postgres;
mod sql;
mod sqlite;

use crate::error::StoreResult;
use protocol::id::JobNo;
use protocol::media::asset::{Asset, AssetFact};
use protocol::time::Timestamp;
use std::collections::BTreeMap;

/// An asset in the catalogue.
#[derive(Debug, Clone, PartialEq)]
pub struct CatalogueRow {
    /// The asset as its last source declared it.
    pub asset: Asset,
    /// Facts that steps reported.
    pub fact: AssetFact,
    /// When the entry was written last.
    pub updated_at: Timestamp,
}

/// Reads and writes of the catalogue.
pub trait CatalogueTx {
    /// Merges facts about assets of a job into the catalogue. A new hash makes an older verdict void (QC-1).
    fn put_facts(&mut self, job: JobNo, facts: &[AssetFact], now: Timestamp) -> StoreResult<()>;
    /// Catalogue entries in id order after `after`; those of one title when given.
    fn catalogue(
        &mut self,
        title: Option<&str>,
        after: Option<&str>,
        limit: u32,
    ) -> StoreResult<Vec<CatalogueRow>>;
    /// The known hashes of these assets in the catalogue, in any order.
    fn catalogue_hashes(&mut self, assets: &[&str]) -> StoreResult<Vec<(String, String)>>;
    /// One catalogue entry.
    fn catalogue_entry(&mut self, asset: &str) -> StoreResult<Option<CatalogueRow>>;
    /// Adds declared assets to the catalogue.
    fn import_assets(&mut self, assets: &[Asset], now: Timestamp) -> StoreResult<()>;
}

/// The catalogue in memory, by asset.
pub(crate) type Table = BTreeMap<String, CatalogueRow>;
