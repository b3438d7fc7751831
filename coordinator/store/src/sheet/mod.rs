//! Fact sheets by the hash of the measured bytes, and the verdicts on them.
#[cfg(any(test, feature = "testing"))]
pub(crate) mod conformance;
mod memory;
mod postgres;
mod sql;
mod sqlite;

use crate::error::StoreResult;
use protocol::id::JobNo;
use protocol::model::qc::Verdict;
use protocol::time::Timestamp;
use std::collections::BTreeMap;

/// A fact sheet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SheetRow {
    /// Hash of the bytes, `xxh128:hex`.
    pub hash: String,
    /// The sheet as JSON, with its version and those of the measuring programs.
    pub sheet: String,
    /// When it was measured or extended.
    pub measured_at: Timestamp,
}

/// The verdict of a policy on bytes, for one asset: declarations of the asset's source are part of the judgement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerdictRow {
    /// Hash of the bytes.
    pub hash: String,
    /// Digest of the policy.
    pub digest: String,
    /// Id of the asset.
    pub asset: String,
    /// Name of the policy.
    pub policy: String,
    /// Result of the judgement.
    pub verdict: Verdict,
    /// The report as JSON.
    pub report: String,
    /// The job that judged last.
    pub job: JobNo,
    /// When it judged.
    pub judged_at: Timestamp,
}

/// Fact sheets and verdicts.
pub trait SheetTx {
    /// Writes fact sheets. They replace earlier ones of the same bytes.
    fn put_sheets(&mut self, rows: &[SheetRow]) -> StoreResult<()>;
    /// The fact sheets of these hashes that exist, by hash.
    fn sheets(&mut self, hashes: &[String]) -> StoreResult<Vec<SheetRow>>;
    /// Candidate hashes of assets, by asset and hash: the hash in the catalogue and the hash that was judged last.
    fn candidate_hashes(&mut self, assets: &[String]) -> StoreResult<Vec<(String, String)>>;
    /// Writes verdicts. They replace earlier ones of the same bytes, policy and asset.
    fn put_verdicts(&mut self, rows: &[VerdictRow]) -> StoreResult<()>;
    /// Verdicts on an asset, the latest first.
    fn verdicts(&mut self, asset: &str, limit: u32) -> StoreResult<Vec<VerdictRow>>;
}

/// Fact sheets and verdicts in memory.
#[derive(Debug, Clone, Default)]
pub(crate) struct Table {
    sheets: BTreeMap<String, SheetRow>,
    verdicts: BTreeMap<(String, String, String), VerdictRow>,
}
