//! Tasks in PostgreSQL: one statement over arrays of keys.
use super::dialect::Dialect;
use super::row::{COLUMNS, read_task};
use super::{TaskEventRow, TaskRow};
use crate::error::StoreResult;
use crate::postgres::tx::{PostgresTx, column, printable};
use crate::sql::Row;
use protocol::id::UnitId;
use protocol::rules::review::task::{TaskKind, TaskState};
use protocol::time::Timestamp;
use std::collections::BTreeSet;

impl Dialect for PostgresTx<'_> {
    fn end(&mut self, tasks: &[i64], state: TaskState, now: Timestamp) -> StoreResult<()> {
        if tasks.is_empty() {
            return Ok(());
        }
        let sql = "UPDATE task SET state = ?2, ended_at = ?3 WHERE no = ANY (?1)";
        self.run(sql, &[&tasks, &state.as_str(), &now.0])?;
        Ok(())
    }

    fn insert_events(&mut self, events: &[TaskEventRow]) -> StoreResult<()> {
        if events.is_empty() {
            return Ok(());
        }
        let int = |field: fn(&TaskEventRow) -> i64| events.iter().map(field).collect::<Vec<i64>>();
        let text = |field: fn(&TaskEventRow) -> &str| {
            events
                .iter()
                .map(|e| printable(field(e)))
                .collect::<Vec<String>>()
        };
        self.run(
            "INSERT INTO task_event (task, no, at, actor, event, reason, hash)
             SELECT e.task, COALESCE((SELECT o.no FROM task_event o WHERE o.task = e.task ORDER BY o.no DESC LIMIT 1), 0)
               + row_number() OVER (PARTITION BY e.task ORDER BY e.place), e.at, e.actor, e.event, e.reason, e.hash
             FROM unnest(?1::BIGINT[], ?2::BIGINT[], ?3::TEXT[], ?4::TEXT[], ?5::TEXT[], ?6::TEXT[])
               WITH ORDINALITY AS e (task, at, actor, event, reason, hash, place)",
            &[
                &int(|e| e.task),
                &int(|e| e.at.0),
                &text(|e| &e.actor),
                &text(|e| &e.event),
                &text(|e| &e.reason),
                &text(|e| &e.hash),
            ],
        )?;
        Ok(())
    }

    fn pending_about(&mut self, kind: TaskKind, subjects: &[String]) -> StoreResult<Vec<TaskRow>> {
        if subjects.is_empty() {
            return Ok(Vec::new());
        }
        let subjects: BTreeSet<String> =
            subjects.iter().map(|subject| printable(subject)).collect();
        let subjects: Vec<String> = subjects.into_iter().collect();
        // The look-up has the key alone: with the terms of a partial index, each of those would look as good as the key.
        let sql = format!(
            "SELECT t.* FROM unnest(?2::TEXT[]) AS wanted (subject)
             CROSS JOIN LATERAL (SELECT {COLUMNS} FROM task
               WHERE subject = wanted.subject AND kind = ?1 OFFSET 0) AS t WHERE t.ended_at IS NULL ORDER BY t.no"
        );
        self.all(&sql, &[&kind.as_str(), &subjects], |row| {
            read_task(Row::new(row))
        })
    }

    fn by_number(&mut self, numbers: &[i64]) -> StoreResult<Vec<TaskRow>> {
        if numbers.is_empty() {
            return Ok(Vec::new());
        }
        let sql = format!(
            "SELECT t.* FROM unnest(?1::BIGINT[]) AS wanted (no)
             CROSS JOIN LATERAL (SELECT {COLUMNS} FROM task WHERE no = wanted.no OFFSET 0) AS t"
        );
        self.all(&sql, &[&numbers], |row| read_task(Row::new(row)))
    }

    fn waiting(&mut self, units: &[UnitId]) -> StoreResult<Vec<(UnitId, i64)>> {
        if units.is_empty() {
            return Ok(Vec::new());
        }
        let int = |field: fn(&UnitId) -> i64| units.iter().map(field).collect::<Vec<i64>>();
        // The look-up has the key alone: with the terms of a partial index, that index would look as good as the key.
        self.all(
            "SELECT u.job, u.step, u.part, u.task
             FROM unnest(?1::BIGINT[], ?2::BIGINT[], ?3::BIGINT[]) AS wanted (job, step, part)
             CROSS JOIN LATERAL (SELECT job, step, part, task FROM task_unit
               WHERE job + 0 = wanted.job AND step = wanted.step AND part = wanted.part OFFSET 0) AS u
             CROSS JOIN LATERAL (SELECT ended_at FROM task WHERE no = u.task OFFSET 0) AS t
             WHERE t.ended_at IS NULL",
            &[&int(|unit| unit.job.0), &int(|unit| unit.step.0.into()), &int(|unit| unit.part)],
            |row| Ok((Row::new(row).unit(0)?, column(row, 3)?)),
        )
    }
}
