//! Tasks in SQL.
use super::dialect::Dialect;
use super::list;
use super::row::{COLUMNS, INSERT, read_task, values_of};
use super::{TaskEventRow, TaskFilter, TaskRow, TaskTx};
use crate::error::StoreResult;
use crate::sql::Column::{Int, Text};
use crate::sql::{Insert, Sql, values};
use protocol::id::UnitId;
use protocol::rules::review::task::{TaskKind, TaskState};
use protocol::time::Timestamp;

/// Microseconds of the minutes by which pending tasks are counted.
const MINUTE_US: i64 = 60_000_000;

static INSERT_PICTURES: Insert<2> =
    Insert::new("task_picture", [Int("task"), Text("pictures")], "");

static INSERT_UNITS: Insert<4> = Insert::new(
    "task_unit",
    [Int("task"), Int("job"), Int("step"), Int("part")],
    "ON CONFLICT DO NOTHING",
);

/// The number of the last task, 0 where there is none. One writer at a time: the next number is free.
fn last_number(tx: &mut impl Sql) -> StoreResult<i64> {
    Ok(tx
        .query_one("SELECT no FROM task ORDER BY no DESC LIMIT 1", &[], |row| {
            row.get(0)
        })?
        .unwrap_or(0))
}

impl<T: Dialect> TaskTx for T {
    fn insert_task(&mut self, task: &TaskRow) -> StoreResult<i64> {
        let no = last_number(self)? + 1;
        self.insert(&INSERT, &[values_of(no, task)])?;
        Ok(no)
    }

    fn open_tasks(&mut self, tasks: &[TaskRow]) -> StoreResult<Vec<i64>> {
        if tasks.is_empty() {
            return Ok(Vec::new());
        }
        let numbers: Vec<i64> = (last_number(self)? + 1..).take(tasks.len()).collect();
        let numbered = || numbers.iter().copied().zip(tasks);
        self.insert(
            &INSERT,
            &numbered()
                .map(|(no, task)| values_of(no, task))
                .collect::<Vec<_>>(),
        )?;
        let units = numbered()
            .map(|(no, task)| values![no, task.unit.job, task.unit.step, task.unit.packed_part()]);
        self.insert(&INSERT_UNITS, &units.collect::<Vec<_>>())?;
        Ok(numbers)
    }

    fn end_tasks(
        &mut self,
        tasks: &[TaskRow],
        state: TaskState,
        now: Timestamp,
    ) -> StoreResult<()> {
        self.end(
            &tasks.iter().map(|task| task.no).collect::<Vec<_>>(),
            state,
            now,
        )
    }

    fn insert_task_events(&mut self, events: &[TaskEventRow]) -> StoreResult<()> {
        self.insert_events(events)
    }

    fn task(&mut self, no: i64) -> StoreResult<Option<TaskRow>> {
        self.query_one(
            &format!("SELECT {COLUMNS} FROM task WHERE no = ?1"),
            &values![no],
            read_task,
        )
    }

    fn update_task(&mut self, task: &TaskRow) -> StoreResult<()> {
        self.execute(
            "UPDATE task SET job = ?1, step = ?2, part = ?3, kind = ?5, state = ?6, subject = ?7, asset = ?8,
               title = ?9, supplier = ?10, policy = ?11, digest = ?12, hash = ?13, checks = ?14, findings = ?15,
               message = ?16, round = ?17, opened_at = ?18, due_at = ?19, ended_at = ?20 WHERE no = ?4",
            &values_of(task.no, task),
        )?;
        Ok(())
    }

    fn pending_tasks(&mut self, kind: TaskKind, subjects: &[String]) -> StoreResult<Vec<TaskRow>> {
        self.pending_about(kind, subjects)
    }

    fn tasks(&mut self, filter: &TaskFilter) -> StoreResult<Vec<TaskRow>> {
        list::tasks(self, filter)
    }

    fn task_counts(&mut self, now: Timestamp) -> StoreResult<Vec<(TaskKind, u64, u64)>> {
        // Whole minutes are counted; of the minute that has begun, tasks are looked at one by one.
        let minute = now.0.div_euclid(MINUTE_US);
        let mut counted: Vec<(TaskKind, u64, u64)> = self.query(
            "SELECT kind, CAST(SUM(pending) AS BIGINT),
               CAST(SUM(CASE WHEN minute >= 0 AND minute < ?1 THEN pending ELSE 0 END) AS BIGINT)
             FROM task_count GROUP BY kind",
            &values![minute],
            |row| Ok((row.word(0, TaskKind::parse)?, row.get(1)?, row.get(2)?)),
        )?;
        for (kind, _, overdue) in &mut counted {
            let just: Option<u64> = self.query_one(
                "SELECT COUNT(*) FROM task WHERE kind = ?1 AND ended_at IS NULL AND due_at BETWEEN ?2 AND ?3",
                &values![kind.as_str(), minute.saturating_mul(MINUTE_US), now],
                |row| row.get(0),
            )?;
            *overdue += just.unwrap_or(0);
        }
        let of = |kind: TaskKind| counted.iter().find(|(found, _, _)| *found == kind).copied();
        Ok(TaskKind::ALL.into_iter().filter_map(of).collect())
    }

    fn add_task_unit(&mut self, task: i64, unit: UnitId) -> StoreResult<()> {
        self.insert(
            &INSERT_UNITS,
            &[values![task, unit.job, unit.step, unit.packed_part()]],
        )
    }

    fn task_units(&mut self, task: i64) -> StoreResult<Vec<UnitId>> {
        let sql = "SELECT job, step, part FROM task_unit WHERE task = ?1 ORDER BY job, step, part";
        self.query(sql, &values![task], |row| row.unit(0))
    }

    fn waiting_units(&mut self, units: &[UnitId]) -> StoreResult<Vec<(UnitId, i64)>> {
        let mut found = self.waiting(units)?;
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    fn insert_task_event(&mut self, event: &TaskEventRow) -> StoreResult<()> {
        self.insert_events(std::slice::from_ref(event))
    }

    fn put_task_pictures(&mut self, task: i64, pictures: Option<&str>) -> StoreResult<()> {
        match pictures {
            Some(pictures) => self.execute(
                "INSERT INTO task_picture (task, pictures) VALUES (?1, ?2)
                 ON CONFLICT (task) DO UPDATE SET pictures = excluded.pictures",
                &values![task, pictures],
            )?,
            None => self.execute("DELETE FROM task_picture WHERE task = ?1", &values![task])?,
        };
        Ok(())
    }

    fn insert_task_pictures(&mut self, pictures: &[(i64, &str)]) -> StoreResult<()> {
        let rows = pictures
            .iter()
            .map(|(task, pictures)| values![*task, *pictures]);
        self.insert(&INSERT_PICTURES, &rows.collect::<Vec<_>>())
    }

    fn task_pictures(&mut self, task: i64) -> StoreResult<Option<String>> {
        let sql = "SELECT pictures FROM task_picture WHERE task = ?1";
        self.query_one(sql, &values![task], |row| row.get(0))
    }

    fn task_events(&mut self, task: i64) -> StoreResult<Vec<TaskEventRow>> {
        let sql = "SELECT task, at, actor, event, reason, hash FROM task_event WHERE task = ?1 ORDER BY no";
        self.query(sql, &values![task], |row| {
            Ok(TaskEventRow {
                task: row.get(0)?,
                at: row.get(1)?,
                actor: row.get(2)?,
                event: row.get(3)?,
                reason: row.get(4)?,
                hash: row.get(5)?,
            })
        })
    }
}
