//! Failures in SQL.
use super::{FailureRow, FailureTx};
use crate::error::StoreResult;
use crate::sql::Column::{Int, Text};
use crate::sql::{Insert, Row, Sql, Value, values};
use protocol::failure::{ErrorClass, Failure};
use protocol::id::{JobNo, UnitId};
use protocol::model::location::masked;
use protocol::rules::unit::fingerprint::fingerprint;
use protocol::rules::unit::transition::UnitState;

/// Inserts failures; takes [`values_of`].
pub(super) static INSERT: Insert<10> = Insert::new(
    "failure",
    [
        Int("job"),
        Int("step"),
        Int("part"),
        Text("asset"),
        Text("class"),
        Text("reason"),
        Text("message"),
        Text("checks"),
        Text("findings"),
        Text("cause"),
    ],
    "ON CONFLICT (job, step, part, asset) DO UPDATE SET message = excluded.message, cause = excluded.cause",
);

/// Writes that wait, and queries whose plans need hints.
pub(super) trait Dialect: Sql {
    fn replace(&mut self, unit: UnitId, failures: &[(String, Failure)]) -> StoreResult<()>;
    /// Writes the failures that wait.
    fn flush(&mut self) -> StoreResult<()>;
    fn select(
        &mut self,
        job: Option<JobNo>,
        cause: Option<&str>,
        after: Option<(UnitId, &str)>,
        limit: u32,
    ) -> StoreResult<Vec<FailureRow>>;
}

/// The values of [`INSERT`].
pub(super) fn values_of<'f>(unit: UnitId, asset: &'f str, failure: &'f Failure) -> [Value<'f>; 10] {
    values![
        unit.job,
        unit.step,
        unit.packed_part(),
        asset,
        failure.class.as_str(),
        &failure.reason,
        &failure.message,
        failure.checks.join(","),
        failure.findings.as_ref(),
        fingerprint(failure),
    ]
}

/// Reads class, reason, message, checks and findings from columns starting at `at`.
fn read_reason(row: Row<'_>, at: usize) -> StoreResult<Failure> {
    let checks: &str = row.get(at + 3)?;
    Ok(Failure {
        class: ErrorClass::parse(row.get(at)?),
        reason: row.get(at + 1)?,
        // Rows of earlier versions may quote signed addresses.
        message: masked(row.get(at + 2)?).into_owned(),
        checks: checks
            .split(',')
            .filter(|c| !c.is_empty())
            .map(str::to_owned)
            .collect(),
        findings: row.get(at + 4)?,
    })
}

/// Reads a failure with its asset and the state of its unit.
pub(super) fn read_failure(row: Row<'_>) -> StoreResult<FailureRow> {
    Ok(FailureRow {
        unit: row.unit(0)?,
        state: UnitState::parse(row.get(10)?).unwrap_or(UnitState::Dead),
        asset: row.get(3)?,
        title: row.get(4)?,
        role: row.get(11)?,
        failure: read_reason(row, 5)?,
    })
}

impl<T: Dialect> FailureTx for T {
    fn put_failures(&mut self, unit: UnitId, failures: &[(String, Failure)]) -> StoreResult<()> {
        self.replace(unit, failures)
    }

    fn failures_of(&mut self, unit: UnitId) -> StoreResult<Vec<(String, Failure)>> {
        self.flush()?;
        self.query(
            "SELECT asset, class, reason, message, checks, findings FROM failure
             WHERE job = ?1 AND step = ?2 AND part = ?3 ORDER BY asset",
            &values![unit.job, unit.step, unit.packed_part()],
            |row| Ok((row.get(0)?, read_reason(row, 1)?)),
        )
    }

    fn failures(&mut self, job: JobNo, limit: u32) -> StoreResult<Vec<FailureRow>> {
        self.select(Some(job), None, None, limit)
    }

    fn failures_after(
        &mut self,
        job: Option<JobNo>,
        cause: Option<&str>,
        after: Option<(UnitId, &str)>,
        limit: u32,
    ) -> StoreResult<Vec<FailureRow>> {
        self.select(job, cause, after, limit)
    }
}
