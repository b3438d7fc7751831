//! Corrections in SQLite: one statement for each asset.
use super::{AssetCorrection, CorrectionTx};
use crate::error::StoreResult;
use crate::sql::{Sql, values};
use crate::sqlite::SqliteTx;
use protocol::id::JobNo;

impl CorrectionTx for SqliteTx<'_> {
    fn correct_assets(&mut self, job: JobNo, corrections: &[AssetCorrection]) -> StoreResult<()> {
        for c in corrections {
            self.execute(
                "UPDATE listing SET location = COALESCE(?3, location), hash = COALESCE(?4, hash),
                   bytes = COALESCE(?5, bytes) WHERE job = ?1 AND asset = ?2",
                &values![job, &c.asset, c.location.as_ref(), c.hash.as_ref(), c.bytes],
            )?;
        }
        Ok(())
    }
}
