//! Tasks in SQLite: one statement for each key.
use super::sql::{COLUMNS, Dialect, read_task};
use super::{TaskEventRow, TaskFilter, TaskRow};
use crate::error::StoreResult;
use crate::sql::{Filter, Sql, values};
use crate::sqlite::SqliteTx;
use protocol::id::{JobNo, UnitId};
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

    fn select(&mut self, wanted: &TaskFilter) -> StoreResult<Vec<TaskRow>> {
        let mut filter = Filter::default();
        filter.compare("no >", Some(wanted.after));
        filter.compare("kind =", wanted.kind.map(TaskKind::as_str));
        filter.compare("state =", wanted.state.map(TaskState::as_str));
        filter.compare("asset =", wanted.asset.as_ref());
        filter.compare("title =", wanted.title.as_ref());
        if wanted.pending {
            filter.term("ended_at IS NULL");
        }
        let job = wanted.job.map(|job| filter.place(job));
        let (terms, limit) = (filter.clause(), filter.place(wanted.limit));
        // Tasks of a job are found in the order of their numbers and looked up one by one; a sort would read all of them.
        let sql = match job {
            None => format!("SELECT {COLUMNS} FROM task {terms} ORDER BY no LIMIT {limit}"),
            Some(job) => format!(
                "SELECT {COLUMNS}
                 FROM (SELECT DISTINCT task AS own FROM task_unit WHERE job = {job} AND task > ?1 ORDER BY task)
                 CROSS JOIN task ON no = own {terms} LIMIT {limit}"
            ),
        };
        let mut found = self.query(&sql, filter.values(), read_task)?;
        found.sort_unstable_by_key(|task| task.no);
        Ok(found)
    }

    fn waiting_in(&mut self, job: JobNo, limit: u32) -> StoreResult<Vec<(UnitId, i64)>> {
        self.query(
            "SELECT u.job, u.step, u.part, u.task FROM task_unit u JOIN task t ON t.no = u.task AND t.ended_at IS NULL
             WHERE u.job = ?1 ORDER BY u.job, u.step, u.part, u.task LIMIT ?2",
            &values![job, limit],
            |row| Ok((row.unit(0)?, row.get(3)?)),
        )
    }
}
