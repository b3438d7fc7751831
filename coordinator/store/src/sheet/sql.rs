//! Fact sheets and verdicts in SQL.
use super::{SheetRow, SheetTx, VerdictRow};
use crate::error::StoreResult;
use crate::sql::Column::{Int, Text};
use crate::sql::{Insert, Row, Sql, values};
use protocol::model::qc::Verdict;
use std::collections::BTreeMap;

static PUT_SHEETS: Insert<3> = Insert::new(
    "sheet",
    [Text("hash"), Text("sheet"), Int("measured_at")],
    "ON CONFLICT (hash) DO UPDATE SET sheet = excluded.sheet, measured_at = excluded.measured_at",
);

static PUT_VERDICTS: Insert<8> = Insert::new(
    "verdict",
    [
        Text("hash"),
        Text("digest"),
        Text("asset"),
        Text("policy"),
        Text("verdict"),
        Text("report"),
        Int("job"),
        Int("judged_at"),
    ],
    "ON CONFLICT (hash, digest, asset) DO UPDATE SET policy = excluded.policy, verdict = excluded.verdict,
       report = excluded.report, job = excluded.job, judged_at = excluded.judged_at",
);

/// Look-ups by many keys: one statement for each, or one over an array.
pub(super) trait Dialect: Sql {
    fn sheets_of(&mut self, hashes: &[String]) -> StoreResult<Vec<SheetRow>>;
    fn hashes_of(&mut self, assets: &[String]) -> StoreResult<Vec<(String, String)>>;
}

/// Reads hash, sheet and the time of the measurement.
pub(super) fn read_sheet(row: Row<'_>) -> StoreResult<SheetRow> {
    Ok(SheetRow {
        hash: row.get(0)?,
        sheet: row.get(1)?,
        measured_at: row.get(2)?,
    })
}

impl<T: Dialect> SheetTx for T {
    fn put_sheets(&mut self, rows: &[SheetRow]) -> StoreResult<()> {
        // The last row of a hash counts.
        let rows: BTreeMap<&str, &SheetRow> =
            rows.iter().map(|row| (row.hash.as_str(), row)).collect();
        let rows = rows
            .values()
            .map(|row| values![&row.hash, &row.sheet, row.measured_at]);
        self.insert(&PUT_SHEETS, &rows.collect::<Vec<_>>())
    }

    fn sheets(&mut self, hashes: &[String]) -> StoreResult<Vec<SheetRow>> {
        self.sheets_of(hashes)
    }

    fn candidate_hashes(&mut self, assets: &[String]) -> StoreResult<Vec<(String, String)>> {
        self.hashes_of(assets)
    }

    fn put_verdicts(&mut self, rows: &[VerdictRow]) -> StoreResult<()> {
        // The last verdict on a key counts.
        let rows: BTreeMap<_, &VerdictRow> = rows
            .iter()
            .map(|row| ((&row.hash, &row.digest, &row.asset), row))
            .collect();
        let rows = rows.values().map(|row| {
            values![
                &row.hash,
                &row.digest,
                &row.asset,
                &row.policy,
                row.verdict.as_str(),
                &row.report,
                row.job,
                row.judged_at,
            ]
        });
        self.insert(&PUT_VERDICTS, &rows.collect::<Vec<_>>())
    }

    fn verdicts(&mut self, asset: &str, limit: u32) -> StoreResult<Vec<VerdictRow>> {
        self.query(
            "SELECT hash, digest, asset, policy, verdict, report, job, judged_at FROM verdict WHERE asset = ?1
             ORDER BY judged_at DESC, hash, digest LIMIT ?2",
            &values![asset, limit],
            |row| {
                Ok(VerdictRow {
                    hash: row.get(0)?,
                    digest: row.get(1)?,
                    asset: row.get(2)?,
                    policy: row.get(3)?,
                    verdict: Verdict::parse(row.get(4)?),
                    report: row.get(5)?,
                    job: row.get(6)?,
                    judged_at: row.get(7)?,
                })
            },
        )
    }
}
