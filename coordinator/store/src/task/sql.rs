//! Tasks in SQL.
use super::{TaskEventRow, TaskFilter, TaskRow, TaskTx};
use crate::error::StoreResult;
use crate::sql::Column::{Int, Text};
use crate::sql::{Filter, Insert, Row, Sql, Value, values};
use protocol::id::{JobNo, UnitId};
use protocol::rules::review::task::{TaskKind, TaskState};
use protocol::time::Timestamp;

/// Columns of a task, in the order of [`values_of`] and [`read_task`].
pub(super) const COLUMNS: &str = "job, step, part, no, kind, state, subject, asset, title, supplier, policy, digest, hash, \
     checks, findings, message, round, opened_at, due_at, ended_at";

static INSERT: Insert<20> = Insert::new(
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

/// Microseconds of the minutes by which pending tasks are counted.
const MINUTE_US: i64 = 60_000_000;

static INSERT_PICTURES: Insert<2> =
    Insert::new("task_picture", [Int("task"), Text("pictures")], "");

static INSERT_UNITS: Insert<4> = Insert::new(
    "task_unit",
    [Int("task"), Int("job"), Int("step"), Int("part")],
    "ON CONFLICT DO NOTHING",
);

/// Statements over many keys, and queries whose plans need hints.
pub(super) trait Dialect: Sql {
    fn end(&mut self, tasks: &[i64], state: TaskState, now: Timestamp) -> StoreResult<()>;
    fn insert_events(&mut self, events: &[TaskEventRow]) -> StoreResult<()>;
    fn pending_about(&mut self, kind: TaskKind, subjects: &[String]) -> StoreResult<Vec<TaskRow>>;
    /// Tasks with these numbers.
    fn by_number(&mut self, numbers: &[i64]) -> StoreResult<Vec<TaskRow>>;
    /// Pending tasks that these units wait for.
    fn waiting(&mut self, units: &[UnitId]) -> StoreResult<Vec<(UnitId, i64)>>;
}

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

fn values_of(no: i64, t: &TaskRow) -> [Value<'_>; 20] {
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

/// The first tasks of each state and kind that a filter asks for: each of these lists is a range of a key, however few
/// tasks it has.
fn by_state<T: Dialect>(
    tx: &mut T,
    filter: &TaskFilter,
    mut list: impl FnMut(&mut T, TaskState, TaskKind) -> StoreResult<Vec<TaskRow>>,
) -> StoreResult<Vec<TaskRow>> {
    let mut found = Vec::new();
    for kind in TaskKind::ALL
        .into_iter()
        .filter(|kind| filter.kind.is_none_or(|wanted| wanted == *kind))
    {
        let states = TaskState::ALL
            .into_iter()
            .filter(|state| filter.state.is_none_or(|wanted| wanted == *state));
        for state in states.filter(|state| !filter.pending || state.is_pending(kind)) {
            found.extend(list(tx, state, kind)?);
        }
    }
    Ok(found)
}

// The expressions are those of the indexes of migration 21: no other index serves them.

fn in_state(
    tx: &mut impl Sql,
    filter: &TaskFilter,
    state: TaskState,
    kind: TaskKind,
) -> StoreResult<Vec<TaskRow>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM task WHERE state || '' = ?1 AND kind = ?2 AND no + 0 > ?3 ORDER BY no + 0 LIMIT ?4"
    );
    tx.query(
        &sql,
        &values![state.as_str(), kind.as_str(), filter.after, filter.limit],
        read_task,
    )
}

/// Whether a unit of a job waits or waited for a task, as a term; nothing where no job is asked for.
fn of_a_job<'f>(terms: &mut Filter<'f>, filter: &TaskFilter) {
    if let Some(job) = filter.job {
        let job = terms.place(job);
        terms.term(&format!(
            "EXISTS (SELECT 1 FROM task_unit u WHERE u.task = t.no AND u.job = {job})"
        ));
    }
}

fn of_title(
    tx: &mut impl Sql,
    filter: &TaskFilter,
    title: &str,
    state: TaskState,
    kind: TaskKind,
) -> StoreResult<Vec<TaskRow>> {
    let mut terms = Filter::default();
    terms.compare("t.title || '' =", Some(title));
    terms.compare("t.state =", Some(state.as_str()));
    terms.compare("t.kind =", Some(kind.as_str()));
    terms.compare("t.no + 0 >", Some(filter.after));
    of_a_job(&mut terms, filter);
    let limit = terms.place(filter.limit);
    let sql = format!(
        "SELECT {COLUMNS} FROM task t {} ORDER BY t.no + 0 LIMIT {limit}",
        terms.clause()
    );
    tx.query(&sql, terms.values(), read_task)
}

fn of_job(
    tx: &mut impl Dialect,
    filter: &TaskFilter,
    job: JobNo,
    state: TaskState,
    kind: TaskKind,
) -> StoreResult<Vec<TaskRow>> {
    let numbers: Vec<i64> = tx.query(
        "SELECT task FROM job_task WHERE job = ?1 AND state = ?2 AND kind = ?3 AND task > ?4 ORDER BY task LIMIT ?5",
        &values![job, state.as_str(), kind.as_str(), filter.after, filter.limit],
        |row| row.get(0),
    )?;
    tx.by_number(&numbers)
}

/// An asset has few tasks: all of them are looked at.
fn about_asset(tx: &mut impl Sql, filter: &TaskFilter, asset: &str) -> StoreResult<Vec<TaskRow>> {
    let sql = format!("SELECT {COLUMNS} FROM task t WHERE asset = ?1 ORDER BY asset, no");
    let mut found = tx.query(&sql, &values![asset], read_task)?;
    found.retain(|task| {
        task.no > filter.after
            && filter.kind.is_none_or(|kind| task.kind == kind)
            && filter.state.is_none_or(|state| task.state == state)
            && filter
                .title
                .as_ref()
                .is_none_or(|title| task.title == *title)
            && (!filter.pending || task.ended_at.is_none())
    });
    if let Some(job) = filter.job {
        let mut of_job = Vec::new();
        for task in found {
            let sql = "SELECT job FROM task_unit WHERE task = ?1 AND job = ?2 LIMIT 1";
            let waits: Option<JobNo> =
                tx.query_one(sql, &values![task.no, job], |row| row.get(0))?;
            of_job.extend(waits.map(|_| task));
        }
        return Ok(of_job);
    }
    Ok(found)
}

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
        let mut found = match (&filter.asset, &filter.title, filter.job) {
            (Some(asset), ..) => about_asset(self, filter, asset)?,
            (None, Some(title), _) => by_state(self, filter, |tx, state, kind| {
                of_title(tx, filter, title, state, kind)
            })?,
            (None, None, Some(job)) => by_state(self, filter, |tx, state, kind| {
                of_job(tx, filter, job, state, kind)
            })?,
            (None, None, None)
                if filter.pending || filter.kind.is_some() || filter.state.is_some() =>
            {
                by_state(self, filter, |tx, state, kind| {
                    in_state(tx, filter, state, kind)
                })?
            }
            (None, None, None) => {
                let sql = format!("SELECT {COLUMNS} FROM task WHERE no > ?1 ORDER BY no LIMIT ?2");
                self.query(&sql, &values![filter.after, filter.limit], read_task)?
            }
        };
        found.sort_unstable_by_key(|task| task.no);
        found.truncate(filter.limit as usize);
        Ok(found)
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
