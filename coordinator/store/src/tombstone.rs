//! What is left of content that was removed for good. It is kept for as long as the database is, whatever becomes of the
//! job that removed it.
use super::error::StoreResult;
use protocol::time::Timestamp;
use std::collections::BTreeMap;

/// What is left of one file or object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TombstoneRow {
    /// The asset's id.
    pub asset: String,
    /// What was removed.
    pub location: String,
    /// Public id of the job that removed it.
    pub job: String,
    /// The step.
    pub step: String,
    /// Its state, as its storage called it.
    pub version: String,
    /// Its size.
    pub bytes: u64,
    /// Its content, `algorithm:digest`.
    pub hash: String,
    /// The copy that stays.
    pub copy: String,
    /// How the copy was proven: `content` or `checksum`.
    pub proof: String,
    /// Who ordered it.
    pub ordered_by: String,
    /// Why.
    pub reason: String,
    /// It was gone before the execution that reports it looked.
    pub found_gone: bool,
    /// Nothing was removed; it would have been.
    pub dry_run: bool,
    /// When it was reported.
    pub at: Timestamp,
}

/// Tombstones.
pub trait TombstoneTx {
    /// Keeps tombstones. One for the same asset, location and job is there already when a report comes twice, or when
    /// the removal is found done: the first one counts.
    fn bury(&mut self, rows: &[TombstoneRow]) -> StoreResult<()>;
    /// Tombstones of an asset, oldest first.
    fn tombstones(&mut self, asset: &str) -> StoreResult<Vec<TombstoneRow>>;
}

/// Tombstones in memory, by asset, location and job.
pub(super) type Buried = BTreeMap<(String, String, String), TombstoneRow>;
