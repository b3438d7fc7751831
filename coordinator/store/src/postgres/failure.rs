//! Why assets failed.
use super::tx::{PostgresTx, column, printable, word};
use super::unit::read_id;
use crate::{FailureRow, FailureTx, StoreResult};
use protocol::failure::{ErrorClass, Failure};
use protocol::id::{JobNo, UnitId};
use protocol::rules::unit::fingerprint::fingerprint;
use protocol::rules::unit::transition::UnitState;
use std::collections::BTreeMap;
use tokio_postgres::Row;

impl PostgresTx<'_> {
    /// Replaces the failures of every unit that waits.
    pub(super) fn flush_failures(&mut self) -> StoreResult<()> {
        if self.waiting.failures.is_empty() {
            return Ok(());
        }
        let failures = std::mem::take(&mut self.waiting.failures);
        let keys = |ids: &[&UnitId]| -> [Vec<i64>; 3] {
            [
                ids.iter().map(|id| id.job.0).collect(),
                ids.iter().map(|id| id.step.0.into()).collect(),
                ids.iter().map(|id| id.part).collect(),
            ]
        };
        let [jobs, steps, parts] = keys(&failures.keys().collect::<Vec<_>>());
        self.run(
            // Found by the key first, a row at a time: a plan made while the table was empty would read all of it.
            "DELETE FROM failure WHERE ctid = ANY(ARRAY(
               SELECT f.ctid FROM unnest($1::BIGINT[], $2::BIGINT[], $3::BIGINT[]) AS u (job, step, part)
               CROSS JOIN LATERAL (SELECT ctid FROM failure
                 WHERE job = u.job AND step = u.step AND part = u.part OFFSET 0) AS f))",
            &[&jobs, &steps, &parts],
        )?;
        // The last word on an asset counts.
        let mut rows: BTreeMap<(&UnitId, &str), &Failure> = BTreeMap::new();
        for (id, of_unit) in &failures {
            rows.extend(of_unit.iter().map(|(asset, failure)| ((id, asset.as_str()), failure)));
        }
        if rows.is_empty() {
            return Ok(());
        }
        let [jobs, steps, parts] = keys(&rows.keys().map(|(id, _)| *id).collect::<Vec<_>>());
        let assets: Vec<String> = rows.keys().map(|(_, asset)| printable(asset)).collect();
        let of = |field: fn(&Failure) -> String| rows.values().map(|f| printable(&field(f))).collect::<Vec<_>>();
        let findings: Vec<Option<String>> = rows.values().map(|f| f.findings.as_deref().map(printable)).collect();
        self.run(
            "INSERT INTO failure (job, step, part, asset, class, reason, message, checks, findings, cause)
             SELECT * FROM unnest($1::BIGINT[], $2::BIGINT[], $3::BIGINT[], $4::TEXT[], $5::TEXT[], $6::TEXT[],
               $7::TEXT[], $8::TEXT[], $9::TEXT[], $10::TEXT[])",
            &[
                &jobs,
                &steps,
                &parts,
                &assets,
                &of(|f| f.class.as_str().to_owned()),
                &of(|f| f.reason.to_string()),
                &of(|f| f.message.clone()),
                &of(|f| f.checks.join(",")),
                &findings,
                &of(fingerprint),
            ],
        )?;
        Ok(())
    }
}

impl FailureTx for PostgresTx<'_> {
    fn put_failures(&mut self, unit: UnitId, failures: &[(String, Failure)]) -> StoreResult<()> {
        self.waiting.failures.insert(unit, failures.to_vec());
        self.flush_when_many()
    }

    fn failures_of(&mut self, unit: UnitId) -> StoreResult<Vec<(String, Failure)>> {
        self.flush_failures()?;
        self.all(
            "SELECT asset, class, reason, message, checks, findings FROM failure
             WHERE job = $1 AND step = $2 AND part = $3 ORDER BY asset",
            &[&unit.job.0, &i64::from(unit.step.0), &unit.part],
            |row| {
                let checks: &str = column(row, 4)?;
                let failure = Failure {
                    class: word(row, 1, |text| Some(ErrorClass::parse(text)))?,
                    reason: column(row, 2)?,
                    message: column(row, 3)?,
                    checks: checks.split(',').filter(|c| !c.is_empty()).map(str::to_owned).collect(),
                    findings: column(row, 5)?,
                };
                Ok((column(row, 0)?, failure))
            },
        )
    }

    fn failures(&mut self, job: JobNo, limit: u32) -> StoreResult<Vec<FailureRow>> {
        self.flush_failures()?;
        self.flush_units()?;
        self.all(
            &failures_where("f.job = $1 ORDER BY f.step, f.part, f.asset LIMIT $2"),
            &[&job.0, &i64::from(limit)],
            read_failure,
        )
    }
}

/// Failures that `which` picks, with what is known of their assets and their units. Each look-up is by a whole key, also in a
/// table that has not been counted yet (OFFSET 0).
pub(super) fn failures_where(which: &str) -> String {
    format!(
        "SELECT f.job, f.step, f.part, f.asset, COALESCE(l.title, p.title, ''), f.class, f.reason, f.message, f.checks,
           f.findings, COALESCE(u.state, CASE WHEN f.part <= s.last THEN 'succeeded' END, 'leased'), COALESCE(l.role, '')
         FROM (SELECT * FROM failure AS f WHERE {which}) AS f
         LEFT JOIN LATERAL (SELECT title, role FROM listing WHERE job = f.job AND asset = f.asset OFFSET 0) AS l ON TRUE
         LEFT JOIN LATERAL (SELECT title FROM partition WHERE job = f.job AND part = f.part OFFSET 0) AS p ON TRUE
         LEFT JOIN LATERAL (SELECT state FROM unit WHERE job = f.job AND step = f.step AND part = f.part OFFSET 0) AS u
           ON TRUE
         LEFT JOIN LATERAL (SELECT last FROM streak WHERE job = f.job AND step = f.step AND first <= f.part
                            ORDER BY first DESC LIMIT 1) AS s ON TRUE
         ORDER BY f.job, f.step, f.part, f.asset"
    )
}

/// Reads what [`failures_where`] selects.
pub(super) fn read_failure(row: &Row) -> StoreResult<FailureRow> {
    let checks: &str = column(row, 8)?;
    Ok(FailureRow {
        unit: read_id(row)?,
        state: word(row, 10, |text| Some(UnitState::parse(text).unwrap_or(UnitState::Dead)))?,
        asset: column(row, 3)?,
        title: column(row, 4)?,
        role: column(row, 11)?,
        failure: Failure {
            class: word(row, 5, |text| Some(ErrorClass::parse(text)))?,
            reason: column(row, 6)?,
            message: column(row, 7)?,
            checks: checks.split(',').filter(|c| !c.is_empty()).map(str::to_owned).collect(),
            findings: column(row, 9)?,
        },
    })
}
