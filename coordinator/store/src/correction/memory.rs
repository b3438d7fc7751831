//! Corrections in memory.
use super::{AssetCorrection, CorrectionTx};
use crate::error::StoreResult;
use crate::memory::Memory;
use protocol::id::JobNo;

impl CorrectionTx for Memory {
    fn correct_assets(&mut self, job: JobNo, corrections: &[AssetCorrection]) -> StoreResult<()> {
        for correction in corrections {
            let Some((_, asset)) = self
                .listing
                .assets
                .get_mut(&(job, correction.asset.clone()))
            else {
                continue;
            };
            if let Some(location) = &correction.location {
                asset.location.clone_from(location);
            }
            asset.hash = correction.hash.clone().or(asset.hash.take());
            asset.bytes = correction.bytes.or(asset.bytes);
        }
        Ok(())
    }
}
