//! The catalogue in PostgreSQL: one statement over arrays.
use super::sql::{Dialect, without_repeats};
use crate::error::StoreResult;
use crate::postgres::tx::{PostgresTx, column, signed};
use protocol::id::JobNo;
use protocol::media::asset::AssetFact;
use protocol::time::Timestamp;

impl Dialect for PostgresTx<'_> {
    fn put_facts_of(&mut self, job: JobNo, facts: &[AssetFact], now: Timestamp) -> StoreResult<()> {
        for group in without_repeats(facts, |fact| &fact.asset) {
            let of = |field: fn(&AssetFact) -> Option<&String>| -> Vec<Option<&String>> {
                group.iter().map(|fact| field(fact)).collect()
            };
            let assets: Vec<&str> = group.iter().map(|fact| fact.asset.as_str()).collect();
            let bytes: Vec<Option<i64>> = group.iter().map(|fact| fact.bytes.map(signed)).collect();
            // A new hash makes an older verdict void (QC-1).
            self.run(
                "INSERT INTO asset (id, title, role, location, path, bytes, hash, declared, copy, verdict, report, job, updated_at)
                 SELECT l.asset, l.title, l.role, l.location, l.path, COALESCE(f.bytes, o.bytes, l.bytes),
                   COALESCE(f.hash, o.hash, l.hash), l.declared, COALESCE(f.copy, o.copy),
                   CASE WHEN f.verdict IS NOT NULL THEN f.verdict
                        WHEN f.hash IS NOT NULL AND f.hash <> COALESCE(o.hash, '') THEN NULL ELSE o.verdict END,
                   CASE WHEN f.verdict IS NOT NULL THEN f.report
                        WHEN f.hash IS NOT NULL AND f.hash <> COALESCE(o.hash, '') THEN NULL ELSE o.report END,
                   ?1, ?2
                 FROM unnest(?3::TEXT[], ?4::BIGINT[], ?5::TEXT[], ?6::TEXT[], ?7::TEXT[], ?8::TEXT[])
                   AS f (asset, bytes, hash, copy, verdict, report)
                 CROSS JOIN LATERAL (SELECT * FROM listing WHERE job = ?1 AND asset = f.asset OFFSET 0) AS l
                 LEFT JOIN LATERAL (SELECT * FROM asset WHERE id = f.asset OFFSET 0) AS o ON TRUE
                 ON CONFLICT (id) DO UPDATE SET title = excluded.title, role = excluded.role,
                   location = excluded.location, path = excluded.path, bytes = excluded.bytes, hash = excluded.hash,
                   declared = excluded.declared, copy = excluded.copy, verdict = excluded.verdict,
                   report = excluded.report, job = excluded.job, updated_at = excluded.updated_at",
                &[
                    &job.0,
                    &now.0,
                    &assets,
                    &bytes,
                    &of(|fact| fact.hash.as_ref()),
                    &of(|fact| fact.location.as_ref()),
                    &of(|fact| fact.verdict.as_ref()),
                    &of(|fact| fact.report.as_ref()),
                ],
            )?;
        }
        Ok(())
    }

    fn hashes_of(&mut self, assets: &[&str]) -> StoreResult<Vec<(String, String)>> {
        if assets.is_empty() {
            return Ok(Vec::new());
        }
        let sql = "SELECT id, hash FROM asset WHERE id = ANY (?1) AND hash IS NOT NULL";
        self.all(sql, &[&assets], |row| {
            Ok((column(row, 0)?, column(row, 1)?))
        })
    }
}
