//! Executions in SQL.
use super::{AttemptRow, AttemptTx};
use crate::error::StoreResult;
use crate::sql::Column::{Int, Text};
use crate::sql::{Insert, Row, Sql, values};
use protocol::failure::{ErrorClass, Failure};
use protocol::id::UnitId;

static INSERT: Insert<11> = Insert::new(
    "attempt",
    [
        Int("job"),
        Int("step"),
        Int("part"),
        Int("epoch"),
        Text("worker"),
        Int("ended_at"),
        Int("duration_us"),
        Int("assets_failed"),
        Text("class"),
        Text("reason"),
        Text("message"),
    ],
    "ON CONFLICT DO NOTHING",
);

/// Reads epoch, worker, ended_at, duration_us, assets_failed, class, reason and message.
fn read_attempt(unit: UnitId, row: Row<'_>) -> StoreResult<AttemptRow> {
    let class: Option<&str> = row.get(5)?;
    let failure = match class {
        None => None,
        Some(class) => Some(Failure {
            class: ErrorClass::parse(class),
            reason: row.get(6)?,
            message: row.get(7)?,
            checks: Vec::new(),
            findings: None,
        }),
    };
    Ok(AttemptRow {
        unit,
        epoch: row.get(0)?,
        worker: row.get(1)?,
        ended_at: row.get(2)?,
        duration_us: row.get(3)?,
        assets_failed: row.get(4)?,
        failure,
    })
}

impl<T: Sql> AttemptTx for T {
    fn put_attempts(&mut self, attempts: &[AttemptRow]) -> StoreResult<()> {
        let rows = attempts.iter().map(|attempt| {
            let (unit, failure) = (attempt.unit, attempt.failure.as_ref());
            values![
                unit.job,
                unit.step,
                unit.packed_part(),
                attempt.epoch,
                &attempt.worker,
                attempt.ended_at,
                attempt.duration_us,
                attempt.assets_failed,
                failure.map(|failure| failure.class.as_str()),
                failure.map(|failure| &failure.reason),
                failure.map(|failure| &failure.message),
            ]
        });
        self.insert(&INSERT, &rows.collect::<Vec<_>>())
    }

    fn attempts(
        &mut self,
        unit: UnitId,
        after: Option<u32>,
        limit: u32,
    ) -> StoreResult<Vec<AttemptRow>> {
        self.query(
            "SELECT epoch, worker, ended_at, duration_us, assets_failed, class, reason, message FROM attempt
             WHERE job = ?1 AND step = ?2 AND part = ?3 AND epoch > ?4 ORDER BY epoch LIMIT ?5",
            &values![unit.job, unit.step, unit.packed_part(), after.map_or(-1, i64::from), limit],
            |row| read_attempt(unit, row),
        )
    }
}
