//! Tasks in SQLite: one statement for each key.
use super::dialect::Dialect;
use super::row::{COLUMNS, read_task};
use super::{TaskEventRow, TaskRow, TaskTx as _};
use crate::error::StoreResult;
use crate::sql::{Sql, values};
use crate::sqlite::SqliteTx;
use protocol::id::UnitId;
use protocol::rules::review::task::{TaskKind, TaskState};
use protocol::time::Timestamp;
use std::collections::BTreeSet;

impl Dialect for SqliteTx<'_> {
    fn end(&mut self, tasks: &[i64], state: TaskState, now: Timestamp) -> StoreResult<()> {
        for task in tasks {
            let sql = "UPDATE task SET state = ?2, ended_at = ?3 WHERE no = ?1";
            self.execute(sql, &values![*task, state.as_str(), now])?;
        }
        Ok(())
    }

    fn insert_events(&mut self, events: &[TaskEventRow]) -> StoreResult<()> {
        for event in events {
            self.execute(
                "INSERT INTO task_event (task, no, at, actor, event, reason, hash)
                 SELECT ?1, COALESCE(MAX(no), 0) + 1, ?2, ?3, ?4, ?5, ?6 FROM task_event WHERE task = ?1",
                &values![event.task, event.at, &event.actor, &event.event, &event.reason, &event.hash],
            )?;
        }
        Ok(())
    }

    fn pending_about(&mut self, kind: TaskKind, subjects: &[String]) -> StoreResult<Vec<TaskRow>> {
        let mut found: Vec<TaskRow> = Vec::new();
        for subject in subjects.iter().collect::<BTreeSet<_>>() {
            let sql = format!(
                "SELECT {COLUMNS} FROM task WHERE kind = ?1 AND subject = ?2 AND ended_at IS NULL"
            );
            found.extend(self.query_one(&sql, &values![kind.as_str(), subject], read_task)?);
        }
        found.sort_by_key(|task| task.no);
        Ok(found)
    }

    fn by_number(&mut self, numbers: &[i64]) -> StoreResult<Vec<TaskRow>> {
        let mut found = Vec::with_capacity(numbers.len());
        for no in numbers {
            found.extend(self.task(*no)?);
        }
        Ok(found)
    }

    fn waiting(&mut self, units: &[UnitId]) -> StoreResult<Vec<(UnitId, i64)>> {
        let mut found = Vec::new();
        for unit in units {
            found.extend(self.query(
                "SELECT u.task FROM task_unit u CROSS JOIN task t ON t.no = u.task
                 WHERE u.job = ?1 AND u.step = ?2 AND u.part = ?3 AND t.ended_at IS NULL",
                &values![unit.job, unit.step, unit.part],
                |row| Ok((*unit, row.get(0)?)),
            )?);
        }
        Ok(found)
    }
}
