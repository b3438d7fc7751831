//! Corrections in PostgreSQL: one statement over arrays. Members that were read before are forgotten.
use super::{AssetCorrection, CorrectionTx};
use crate::error::StoreResult;
use crate::postgres::tx::{PostgresTx, printable, signed};
use protocol::id::JobNo;

impl CorrectionTx for PostgresTx<'_> {
    fn correct_assets(&mut self, job: JobNo, corrections: &[AssetCorrection]) -> StoreResult<()> {
        if corrections.is_empty() {
            return Ok(());
        }
        self.seen.members.clear();
        if let Some(prefetcher) = &mut self.prefetcher {
            prefetcher.forget(job);
        }
        let text = |field: fn(&AssetCorrection) -> Option<&str>| -> Vec<Option<String>> {
            corrections
                .iter()
                .map(|c| field(c).map(printable))
                .collect()
        };
        let bytes: Vec<Option<i64>> = corrections.iter().map(|c| c.bytes.map(signed)).collect();
        self.run(
            "UPDATE listing SET location = COALESCE(c.location, listing.location),
               hash = COALESCE(c.hash, listing.hash), bytes = COALESCE(c.bytes, listing.bytes)
             FROM (SELECT c.*, found.at FROM unnest(?2::TEXT[], ?3::TEXT[], ?4::TEXT[], ?5::BIGINT[])
                     AS c (asset, location, hash, bytes)
                   CROSS JOIN LATERAL (SELECT ctid AS at FROM listing WHERE job = ?1 AND asset = c.asset OFFSET 0) AS found
                  ) AS c
             WHERE listing.ctid = c.at",
            &[
                &job.0,
                &text(|c| Some(&c.asset)),
                &text(|c| c.location.as_deref()),
                &text(|c| c.hash.as_deref()),
                &bytes,
            ],
        )?;
        Ok(())
    }
}
