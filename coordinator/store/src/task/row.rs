//! A task as a row.
use super::TaskRow;
use crate::error::StoreResult;
use crate::sql::Column::{Int, Text};
use crate::sql::{Insert, Row, Value, values};
use protocol::rules::review::task::{TaskKind, TaskState};

/// Columns of a task, in the order of [`values_of`] and [`read_task`].
pub(super) const COLUMNS: &str = "job, step, part, no, kind, state, subject, asset, title, supplier, policy, digest, hash, \
     checks, findings, message, round, opened_at, due_at, ended_at";

pub(super) static INSERT: Insert<20> = Insert::new(
    "task",
    [
        Int("job"),
        Int("step"),
        Int("part"),
        Int("no"),
        Text("kind"),
        Text("state"),
        Text("subject"),
        Text("asset"),
        Text("title"),
        Text("supplier"),
        Text("policy"),
        Text("digest"),
        Text("hash"),
        Text("checks"),
        Text("findings"),
        Text("message"),
        Int("round"),
        Int("opened_at"),
        Int("due_at"),
        Int("ended_at"),
    ],
    "",
);

/// Reads a task from [`COLUMNS`].
pub(super) fn read_task(row: Row<'_>) -> StoreResult<TaskRow> {
    let checks: &str = row.get(13)?;
    Ok(TaskRow {
        unit: row.unit(0)?,
        no: row.get(3)?,
        kind: row.word(4, TaskKind::parse)?,
        state: row.word(5, TaskState::parse)?,
        subject: row.get(6)?,
        asset: row.get(7)?,
        title: row.get(8)?,
        supplier: row.get(9)?,
        policy: row.get(10)?,
        digest: row.get(11)?,
        hash: row.get(12)?,
        checks: checks
            .split(',')
            .filter(|check| !check.is_empty())
            .map(str::to_owned)
            .collect(),
        findings: row.get(14)?,
        message: row.get(15)?,
        round: row.get(16)?,
        opened_at: row.get(17)?,
        due_at: row.get(18)?,
        ended_at: row.get(19)?,
    })
}

/// The values of [`COLUMNS`].
pub(super) fn values_of(no: i64, t: &TaskRow) -> [Value<'_>; 20] {
    values![
        t.unit.job,
        t.unit.step,
        t.unit.packed_part(),
        no,
        t.kind.as_str(),
        t.state.as_str(),
        &t.subject,
        &t.asset,
        &t.title,
        t.supplier.as_ref(),
        &t.policy,
        &t.digest,
        &t.hash,
        t.checks.join(","),
        t.findings.as_ref(),
        &t.message,
        t.round,
        t.opened_at,
        t.due_at,
        t.ended_at,
    ]
}
