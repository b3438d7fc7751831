//! Corrections of a job's listing.
#[cfg(any(test, feature = "testing"))]
pub(crate) mod conformance;
mod memory;
mod postgres;
mod sqlite;

use crate::error::StoreResult;
use protocol::id::JobNo;

/// Corrected input of an asset of a job. A field that is `None` stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AssetCorrection {
    /// Id of the asset.
    pub asset: String,
    /// Corrected location of its bytes.
    pub location: Option<String>,
    /// Its hash, as `algorithm:digest`.
    pub hash: Option<String>,
    /// Its size in bytes.
    pub bytes: Option<u64>,
}

/// Corrections of a listing.
pub trait CorrectionTx {
    /// Corrects assets in a job's listing; an asset that is not listed is ignored.
    fn correct_assets(&mut self, job: JobNo, corrections: &[AssetCorrection]) -> StoreResult<()>;
}
