//! Records of content that was purged. They are kept as long as the database, whatever becomes of the job.
#[cfg(any(test, feature = "testing"))]
pub(crate) mod conformance;
mod memory;
mod sql;

use crate::error::StoreResult;
use protocol::time::Timestamp;
use std::collections::BTreeMap;

/// The record of one purged file or object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TombstoneRow {
    /// The asset's id.
    pub asset: String,
    /// Location of the removed file or object.
    pub location: String,
    /// Public id of the job that removed it.
    pub job: String,
    /// Name of the step that removed it.
    pub step: String,
    /// The removed version, as its storage named it.
    pub version: String,
    /// Size in bytes.
    pub bytes: u64,
    /// Hash of the content, `algorithm:digest`.
    pub hash: String,
    /// The copy that stays.
    pub copy: String,
    /// How the copy was proven: `content` or `checksum`.
    pub proof: String,
    /// The person who ordered the purge.
    pub ordered_by: String,
    /// The reason given for the purge.
    pub reason: String,
    /// The content was gone before the reporting execution looked.
    pub found_gone: bool,
    /// A dry run: nothing was removed.
    pub dry_run: bool,
    /// When it was reported.
    pub at: Timestamp,
}

/// Reads and writes of tombstones.
pub trait TombstoneTx {
    /// Keeps tombstones. The first one for an asset, location and job counts: a report may come twice, or find the content
    /// removed.
    fn put_tombstones(&mut self, rows: &[TombstoneRow]) -> StoreResult<()>;
    /// Tombstones of an asset, oldest first.
    fn tombstones(&mut self, asset: &str) -> StoreResult<Vec<TombstoneRow>>;
}

/// Tombstones in memory, by asset, location and job.
pub(crate) type Table = BTreeMap<(String, String, String), TombstoneRow>;
