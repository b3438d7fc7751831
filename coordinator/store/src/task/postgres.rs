//! Tasks in PostgreSQL: one statement over arrays of keys.
use super::sql::{COLUMNS, Dialect, read_task};
use super::{TaskEventRow, TaskFilter, TaskRow};
use crate::error::StoreResult;
use crate::postgres::tx::{PostgresTx, printable};
use crate::sql::{Filter, Row, Sql, values};
use protocol::id::{JobNo, UnitId};
use protocol::rules::review::task::{TaskKind, TaskState};
use protocol::time::Timestamp;

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
        let subjects: Vec<String> = subjects.iter().map(|subject| printable(subject)).collect();
        let sql = format!(
            "SELECT {COLUMNS} FROM task WHERE kind = ?1 AND subject = ANY (?2) AND ended_at IS NULL ORDER BY no"
        );
        self.all(&sql, &[&kind.as_str(), &subjects], |row| {
            read_task(Row::new(row))
        })
    }

    fn select(&mut self, wanted: &TaskFilter) -> StoreResult<Vec<TaskRow>> {
        let mut filter = Filter::default();
        let after = filter.place(wanted.after);
        filter.compare("kind =", wanted.kind.map(TaskKind::as_str));
        filter.compare("state =", wanted.state.map(TaskState::as_str));
        filter.compare("asset =", wanted.asset.as_ref());
        filter.compare("title =", wanted.title.as_ref());
        if wanted.pending {
            filter.term("ended_at IS NULL");
        }
        // Tasks of a job are looked up one by one, also in a table without statistics (OFFSET 0).
        let sql = match wanted.job {
            None => {
                filter.term(&format!("no > {after}"));
                let (terms, limit) = (filter.clause(), filter.place(wanted.limit));
                format!("SELECT {COLUMNS} FROM task {terms} ORDER BY no LIMIT {limit}")
            }
            Some(job) => {
                let (terms, job, limit) = (
                    filter.clause(),
                    filter.place(job),
                    filter.place(wanted.limit),
                );
                format!(
                    "SELECT t.* FROM (SELECT DISTINCT task FROM task_unit
                       WHERE -job = -{job}::BIGINT AND task > {after} ORDER BY task) AS own
                     CROSS JOIN LATERAL (SELECT {COLUMNS} FROM task WHERE no = own.task OFFSET 0) AS t
                     {terms} ORDER BY own.task LIMIT {limit}"
                )
            }
        };
        self.query(&sql, filter.values(), read_task)
    }

    fn waiting_in(&mut self, job: JobNo, limit: u32) -> StoreResult<Vec<(UnitId, i64)>> {
        // The look-up has the key alone: with the terms of a partial index, that index would look as good as the key.
        self.query(
            "SELECT u.job, u.step, u.part, u.task FROM task_unit u
             CROSS JOIN LATERAL (SELECT ended_at FROM task WHERE no = u.task OFFSET 0) AS t
             WHERE u.job + 0 = ?1 AND t.ended_at IS NULL ORDER BY u.step, u.part, u.task LIMIT ?2",
            &values![job, limit],
            |row| Ok((row.unit(0)?, row.get(3)?)),
        )
    }
}
