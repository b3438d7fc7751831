//! Fact sheets, verdicts and tasks.
use super::SqliteTx;
use super::unit::read_id;
use crate::{SheetRow, SheetTx, StoreResult, TaskEventRow, TaskFilter, TaskRow, TaskTx, VerdictRow};
use protocol::id::{JobNo, UnitId};
use protocol::rules::review::task::{TaskKind, TaskState};
use protocol::time::Timestamp;
use rusqlite::types::Value;
use rusqlite::{Row, params, params_from_iter};
use std::collections::BTreeSet;

const TASK: &str = "job, step, part, no, kind, state, subject, asset, title, supplier, policy, digest, hash, checks, \
     findings, message, round, opened_at, due_at, ended_at";

fn read_task(row: &Row<'_>) -> rusqlite::Result<TaskRow> {
    let (kind, state, checks): (String, String, String) = (row.get(4)?, row.get(5)?, row.get(13)?);
    let unknown = |word: &str| rusqlite::Error::InvalidColumnName(format!("unknown word {word} of a task"));
    Ok(TaskRow {
        unit: read_id(row)?,
        no: row.get(3)?,
        kind: TaskKind::parse(&kind).ok_or_else(|| unknown(&kind))?,
        state: TaskState::parse(&state).ok_or_else(|| unknown(&state))?,
        subject: row.get(6)?,
        asset: row.get(7)?,
        title: row.get(8)?,
        supplier: row.get(9)?,
        policy: row.get(10)?,
        digest: row.get(11)?,
        hash: row.get(12)?,
        checks: checks.split(',').filter(|check| !check.is_empty()).map(str::to_owned).collect(),
        findings: row.get(14)?,
        message: row.get(15)?,
        round: row.get(16)?,
        opened_at: Timestamp(row.get(17)?),
        due_at: row.get::<_, Option<i64>>(18)?.map(Timestamp),
        ended_at: row.get::<_, Option<i64>>(19)?.map(Timestamp),
    })
}

fn read_verdict(row: &Row<'_>) -> rusqlite::Result<VerdictRow> {
    Ok(VerdictRow {
        hash: row.get(0)?,
        digest: row.get(1)?,
        asset: row.get(2)?,
        policy: row.get(3)?,
        verdict: row.get(4)?,
        report: row.get(5)?,
        job: JobNo(row.get(6)?),
        judged_at: Timestamp(row.get(7)?),
    })
}

impl SheetTx for SqliteTx<'_> {
    fn put_sheets(&mut self, rows: &[SheetRow]) -> StoreResult<()> {
        for row in rows {
            self.run(
                "INSERT INTO sheet (hash, sheet, measured_at) VALUES (?1, ?2, ?3)
                 ON CONFLICT (hash) DO UPDATE SET sheet = excluded.sheet, measured_at = excluded.measured_at",
                params![row.hash, row.sheet, row.measured_at.0],
            )?;
        }
        Ok(())
    }

    fn sheets(&mut self, hashes: &[String]) -> StoreResult<Vec<SheetRow>> {
        let mut found = Vec::new();
        for hash in hashes.iter().collect::<BTreeSet<_>>() {
            found.extend(self.one(
                "SELECT hash, sheet, measured_at FROM sheet WHERE hash = ?1",
                params![hash],
                |row| Ok(SheetRow { hash: row.get(0)?, sheet: row.get(1)?, measured_at: Timestamp(row.get(2)?) }),
            )?);
        }
        Ok(found)
    }

    fn believed(&mut self, assets: &[String]) -> StoreResult<Vec<(String, String)>> {
        let mut found = Vec::new();
        for asset in assets.iter().collect::<BTreeSet<_>>() {
            found.extend(self.all(
                "SELECT hash FROM asset WHERE id = ?1 AND hash IS NOT NULL
                 UNION SELECT hash FROM (SELECT hash FROM verdict WHERE asset = ?1
                   ORDER BY judged_at DESC, hash, digest LIMIT 1)
                 ORDER BY 1",
                params![asset],
                |row| Ok((asset.clone(), row.get(0)?)),
            )?);
        }
        Ok(found)
    }

    fn put_verdicts(&mut self, rows: &[VerdictRow]) -> StoreResult<()> {
        for row in rows {
            self.run(
                "INSERT INTO verdict (hash, digest, asset, policy, verdict, report, job, judged_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
                 ON CONFLICT (hash, digest, asset) DO UPDATE SET policy = excluded.policy, verdict = excluded.verdict,
                   report = excluded.report, job = excluded.job, judged_at = excluded.judged_at",
                params![
                    row.hash,
                    row.digest,
                    row.asset,
                    row.policy,
                    row.verdict,
                    row.report,
                    row.job.0,
                    row.judged_at.0
                ],
            )?;
        }
        Ok(())
    }

    fn verdicts(&mut self, asset: &str, limit: u32) -> StoreResult<Vec<VerdictRow>> {
        self.all(
            "SELECT hash, digest, asset, policy, verdict, report, job, judged_at FROM verdict WHERE asset = ?1
             ORDER BY judged_at DESC, hash, digest LIMIT ?2",
            params![asset, limit],
            read_verdict,
        )
    }
}

impl SqliteTx<'_> {
    fn write_task(&self, sql: &str, t: &TaskRow) -> StoreResult<()> {
        self.run(
            sql,
            params![
                t.unit.job.0,
                t.unit.step.0,
                t.unit.part,
                t.no,
                t.kind.as_str(),
                t.state.as_str(),
                t.subject,
                t.asset,
                t.title,
                t.supplier,
                t.policy,
                t.digest,
                t.hash,
                t.checks.join(","),
                t.findings,
                t.message,
                t.round,
                t.opened_at.0,
                t.due_at.map(|at| at.0),
                t.ended_at.map(|at| at.0)
            ],
        )?;
        Ok(())
    }
}

impl TaskTx for SqliteTx<'_> {
    fn insert_task(&mut self, task: &TaskRow) -> StoreResult<i64> {
        let last: Option<Option<i64>> = self.one("SELECT MAX(no) FROM task", [], |row| row.get(0))?;
        let no = last.flatten().unwrap_or(0) + 1;
        let sql = format!(
            "INSERT INTO task ({TASK}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16,
               ?17, ?18, ?19, ?20)"
        );
        self.write_task(&sql, &TaskRow { no, ..task.clone() })?;
        Ok(no)
    }

    fn task(&mut self, no: i64) -> StoreResult<Option<TaskRow>> {
        self.one(&format!("SELECT {TASK} FROM task WHERE no = ?1"), params![no], read_task)
    }

    fn update_task(&mut self, task: &TaskRow) -> StoreResult<()> {
        let sql = "UPDATE task SET job = ?1, step = ?2, part = ?3, kind = ?5, state = ?6, subject = ?7, asset = ?8,
             title = ?9, supplier = ?10, policy = ?11, digest = ?12, hash = ?13, checks = ?14, findings = ?15,
             message = ?16, round = ?17, opened_at = ?18, due_at = ?19, ended_at = ?20 WHERE no = ?4";
        self.write_task(sql, task)
    }

    fn pending_tasks(&mut self, kind: TaskKind, subjects: &[String]) -> StoreResult<Vec<TaskRow>> {
        let mut found: Vec<TaskRow> = Vec::new();
        for subject in subjects.iter().collect::<BTreeSet<_>>() {
            let sql = format!("SELECT {TASK} FROM task WHERE kind = ?1 AND subject = ?2 AND ended_at IS NULL");
            found.extend(self.one(&sql, params![kind.as_str(), subject], read_task)?);
        }
        found.sort_by_key(|task| task.no);
        Ok(found)
    }

    fn tasks(&mut self, filter: &TaskFilter) -> StoreResult<Vec<TaskRow>> {
        let (mut terms, mut values): (Vec<String>, Vec<Value>) = (vec!["no > ?1".into()], vec![filter.after.into()]);
        let mut of_job = None;
        let wanted = [
            ("kind", filter.kind.map(|kind| Value::from(kind.as_str().to_owned()))),
            ("state", filter.state.map(|state| Value::from(state.as_str().to_owned()))),
            ("job", filter.job.map(|job| Value::from(job.0))),
            ("asset", filter.asset.clone().map(Value::from)),
            ("title", filter.title.clone().map(Value::from)),
        ];
        for (column, value) in wanted {
            let Some(value) = value else { continue };
            values.push(value);
            match column {
                "job" => of_job = Some(values.len()),
                column => terms.push(format!("{column} = ?{}", values.len())),
            }
        }
        if filter.pending {
            terms.push("ended_at IS NULL".into());
        }
        let (terms, limit) = (terms.join(" AND "), filter.limit);
        // Those of a job are walked in the order of their numbers and looked up one by one: sorted, all of them would be.
        let sql = match of_job {
            None => format!("SELECT {TASK} FROM task WHERE {terms} ORDER BY no LIMIT {limit}"),
            Some(n) => format!(
                "SELECT {TASK} FROM (SELECT DISTINCT task AS own FROM task_unit WHERE job = ?{n} AND task > ?1 ORDER BY task)
                 CROSS JOIN task ON no = own WHERE {terms} LIMIT {limit}"
            ),
        };
        let mut found = self.all(&sql, params_from_iter(values), read_task)?;
        found.sort_unstable_by_key(|task| task.no);
        Ok(found)
    }

    fn task_counts(&mut self, now: Timestamp) -> StoreResult<Vec<(TaskKind, u64, u64)>> {
        let counted: Vec<(String, i64, i64)> = self.all(
            "SELECT kind, COUNT(*), SUM(CASE WHEN due_at <= ?1 THEN 1 ELSE 0 END) FROM task WHERE ended_at IS NULL
             GROUP BY kind",
            params![now.0],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )?;
        let of = |kind: TaskKind| {
            let found = counted.iter().find(|(word, _, _)| word == kind.as_str())?;
            Some((kind, found.1.unsigned_abs(), found.2.unsigned_abs()))
        };
        Ok(TaskKind::ALL.into_iter().filter_map(of).collect())
    }

    fn add_task_unit(&mut self, task: i64, unit: UnitId) -> StoreResult<()> {
        self.run(
            "INSERT INTO task_unit (task, job, step, part) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
            params![task, unit.job.0, unit.step.0, unit.part],
        )?;
        Ok(())
    }

    fn task_units(&mut self, task: i64) -> StoreResult<Vec<UnitId>> {
        let sql = "SELECT job, step, part FROM task_unit WHERE task = ?1 ORDER BY job, step, part";
        self.all(sql, params![task], read_id)
    }

    fn waiting_units(&mut self, job: JobNo, limit: u32) -> StoreResult<Vec<(UnitId, i64)>> {
        self.all(
            "SELECT u.job, u.step, u.part, u.task FROM task_unit u JOIN task t ON t.no = u.task AND t.ended_at IS NULL
             WHERE u.job = ?1 ORDER BY u.job, u.step, u.part, u.task LIMIT ?2",
            params![job.0, limit],
            |row| Ok((read_id(row)?, row.get(3)?)),
        )
    }

    fn insert_task_event(&mut self, event: &TaskEventRow) -> StoreResult<()> {
        self.run(
            "INSERT INTO task_event (task, no, at, actor, event, reason, hash)
             SELECT ?1, COALESCE(MAX(no), 0) + 1, ?2, ?3, ?4, ?5, ?6 FROM task_event WHERE task = ?1",
            params![event.task, event.at.0, event.actor, event.event, event.reason, event.hash],
        )?;
        Ok(())
    }

    fn put_task_pictures(&mut self, task: i64, pictures: Option<&str>) -> StoreResult<()> {
        match pictures {
            Some(pictures) => self.run(
                "INSERT INTO task_picture (task, pictures) VALUES (?1, ?2)
                 ON CONFLICT (task) DO UPDATE SET pictures = excluded.pictures",
                params![task, pictures],
            )?,
            None => self.run("DELETE FROM task_picture WHERE task = ?1", params![task])?,
        };
        Ok(())
    }

    fn task_pictures(&mut self, task: i64) -> StoreResult<Option<String>> {
        self.one("SELECT pictures FROM task_picture WHERE task = ?1", params![task], |row| row.get(0))
    }

    fn task_events(&mut self, task: i64) -> StoreResult<Vec<TaskEventRow>> {
        self.all(
            "SELECT task, at, actor, event, reason, hash FROM task_event WHERE task = ?1 ORDER BY no",
            params![task],
            |row| {
                Ok(TaskEventRow {
                    task: row.get(0)?,
                    at: Timestamp(row.get(1)?),
                    actor: row.get(2)?,
                    event: row.get(3)?,
                    reason: row.get(4)?,
                    hash: row.get(5)?,
                })
            },
        )
    }
}
