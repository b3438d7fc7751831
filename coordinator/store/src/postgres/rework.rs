//! Fact sheets, verdicts and tasks.
use super::tx::{PostgresTx, column, count, printable, word};
use super::unit::read_id;
use crate::{SheetRow, SheetTx, StoreResult, TaskEventRow, TaskFilter, TaskRow, TaskTx, VerdictRow};
use protocol::id::{JobNo, UnitId};
use protocol::rules::review::task::{TaskKind, TaskState};
use protocol::time::Timestamp;
use std::collections::BTreeMap;
use tokio_postgres::Row;

const TASK: &str = "job, step, part, no, kind, state, subject, asset, title, supplier, policy, digest, hash, checks, \
     findings, message, round, opened_at, due_at, ended_at";

fn read_task(row: &Row) -> StoreResult<TaskRow> {
    let checks: &str = column(row, 13)?;
    Ok(TaskRow {
        unit: read_id(row)?,
        no: column(row, 3)?,
        kind: word(row, 4, TaskKind::parse)?,
        state: word(row, 5, TaskState::parse)?,
        subject: column(row, 6)?,
        asset: column(row, 7)?,
        title: column(row, 8)?,
        supplier: column(row, 9)?,
        policy: column(row, 10)?,
        digest: column(row, 11)?,
        hash: column(row, 12)?,
        checks: checks.split(',').filter(|check| !check.is_empty()).map(str::to_owned).collect(),
        findings: column(row, 14)?,
        message: column(row, 15)?,
        round: count(row, 16)?,
        opened_at: Timestamp(column(row, 17)?),
        due_at: column::<Option<i64>>(row, 18)?.map(Timestamp),
        ended_at: column::<Option<i64>>(row, 19)?.map(Timestamp),
    })
}

impl SheetTx for PostgresTx<'_> {
    fn put_sheets(&mut self, rows: &[SheetRow]) -> StoreResult<()> {
        // One statement cannot touch a row twice; the last one counts.
        let rows: BTreeMap<&str, &SheetRow> = rows.iter().map(|row| (row.hash.as_str(), row)).collect();
        if rows.is_empty() {
            return Ok(());
        }
        let hashes: Vec<&str> = rows.keys().copied().collect();
        let sheets: Vec<String> = rows.values().map(|row| printable(&row.sheet)).collect();
        let moments: Vec<i64> = rows.values().map(|row| row.measured_at.0).collect();
        self.run(
            "INSERT INTO sheet (hash, sheet, measured_at) SELECT * FROM unnest($1::TEXT[], $2::TEXT[], $3::BIGINT[])
             ON CONFLICT (hash) DO UPDATE SET sheet = excluded.sheet, measured_at = excluded.measured_at",
            &[&hashes, &sheets, &moments],
        )?;
        Ok(())
    }

    fn sheets(&mut self, hashes: &[String]) -> StoreResult<Vec<SheetRow>> {
        if hashes.is_empty() {
            return Ok(Vec::new());
        }
        self.all("SELECT hash, sheet, measured_at FROM sheet WHERE hash = ANY ($1) ORDER BY hash", &[&hashes], |row| {
            Ok(SheetRow { hash: column(row, 0)?, sheet: column(row, 1)?, measured_at: Timestamp(column(row, 2)?) })
        })
    }

    fn believed(&mut self, assets: &[String]) -> StoreResult<Vec<(String, String)>> {
        if assets.is_empty() {
            return Ok(Vec::new());
        }
        self.all(
            r#"SELECT id, hash FROM asset WHERE id = ANY ($1) AND hash IS NOT NULL
             UNION SELECT a.id COLLATE "C", v.hash FROM unnest($1::TEXT[]) AS a (id), LATERAL (SELECT hash FROM verdict
               WHERE verdict.asset = a.id ORDER BY judged_at DESC, hash, digest LIMIT 1) AS v
             ORDER BY 1, 2"#,
            &[&assets],
            |row| Ok((column(row, 0)?, column(row, 1)?)),
        )
    }

    fn put_verdicts(&mut self, rows: &[VerdictRow]) -> StoreResult<()> {
        let key = |row: &'_ VerdictRow| (row.hash.clone(), row.digest.clone(), row.asset.clone());
        let rows: BTreeMap<_, &VerdictRow> = rows.iter().map(|row| (key(row), row)).collect();
        if rows.is_empty() {
            return Ok(());
        }
        let text = |field: fn(&VerdictRow) -> &str| rows.values().map(|r| printable(field(r))).collect::<Vec<String>>();
        let int = |field: fn(&VerdictRow) -> i64| rows.values().map(|r| field(r)).collect::<Vec<i64>>();
        self.run(
            "INSERT INTO verdict (hash, digest, asset, policy, verdict, report, job, judged_at)
             SELECT * FROM unnest($1::TEXT[], $2::TEXT[], $3::TEXT[], $4::TEXT[], $5::TEXT[], $6::TEXT[], $7::BIGINT[],
               $8::BIGINT[])
             ON CONFLICT (hash, digest, asset) DO UPDATE SET policy = excluded.policy, verdict = excluded.verdict,
               report = excluded.report, job = excluded.job, judged_at = excluded.judged_at",
            &[
                &text(|r| &r.hash),
                &text(|r| &r.digest),
                &text(|r| &r.asset),
                &text(|r| &r.policy),
                &text(|r| &r.verdict),
                &text(|r| &r.report),
                &int(|r| r.job.0),
                &int(|r| r.judged_at.0),
            ],
        )?;
        Ok(())
    }

    fn verdicts(&mut self, asset: &str, limit: u32) -> StoreResult<Vec<VerdictRow>> {
        self.all(
            "SELECT hash, digest, asset, policy, verdict, report, job, judged_at FROM verdict WHERE asset = $1
             ORDER BY judged_at DESC, hash, digest LIMIT $2",
            &[&asset, &i64::from(limit)],
            |row| {
                Ok(VerdictRow {
                    hash: column(row, 0)?,
                    digest: column(row, 1)?,
                    asset: column(row, 2)?,
                    policy: column(row, 3)?,
                    verdict: column(row, 4)?,
                    report: column(row, 5)?,
                    job: JobNo(column(row, 6)?),
                    judged_at: Timestamp(column(row, 7)?),
                })
            },
        )
    }
}

impl PostgresTx<'_> {
    /// The number of the last task, 0 where there is none. One writer at a time, so the next number is free.
    fn last_task(&mut self) -> StoreResult<i64> {
        Ok(self.one("SELECT no FROM task ORDER BY no DESC LIMIT 1", &[], |row| column(row, 0))?.unwrap_or(0))
    }

    fn write_task(&mut self, sql: &str, t: &TaskRow) -> StoreResult<()> {
        self.run(
            sql,
            &[
                &t.unit.job.0,
                &i64::from(t.unit.step.0),
                &t.unit.part,
                &t.no,
                &t.kind.as_str(),
                &t.state.as_str(),
                &printable(&t.subject),
                &printable(&t.asset),
                &printable(&t.title),
                &t.supplier.as_deref().map(printable),
                &printable(&t.policy),
                &t.digest,
                &t.hash,
                &t.checks.join(","),
                &t.findings.as_deref().map(printable),
                &printable(&t.message),
                &i64::from(t.round),
                &t.opened_at.0,
                &t.due_at.map(|at| at.0),
                &t.ended_at.map(|at| at.0),
            ],
        )?;
        Ok(())
    }
}

impl TaskTx for PostgresTx<'_> {
    fn insert_task(&mut self, task: &TaskRow) -> StoreResult<i64> {
        let no = self.last_task()? + 1;
        let sql = format!(
            "INSERT INTO task ({TASK}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16,
               $17, $18, $19, $20)"
        );
        self.write_task(&sql, &TaskRow { no, ..task.clone() })?;
        Ok(no)
    }

    fn open_tasks(&mut self, tasks: &[TaskRow]) -> StoreResult<Vec<i64>> {
        if tasks.is_empty() {
            return Ok(Vec::new());
        }
        let first = self.last_task()? + 1;
        let numbers: Vec<i64> = (first..).take(tasks.len()).collect();
        let int = |field: fn(&TaskRow) -> i64| tasks.iter().map(field).collect::<Vec<i64>>();
        let moment = |field: fn(&TaskRow) -> Option<Timestamp>| {
            tasks.iter().map(|task| field(task).map(|at| at.0)).collect::<Vec<Option<i64>>>()
        };
        let text = |field: fn(&TaskRow) -> &str| tasks.iter().map(|t| printable(field(t))).collect::<Vec<String>>();
        let some = |field: fn(&TaskRow) -> Option<&str>| {
            tasks.iter().map(|task| field(task).map(printable)).collect::<Vec<Option<String>>>()
        };
        let checks: Vec<String> = tasks.iter().map(|task| task.checks.join(",")).collect();
        let (jobs, steps) = (int(|t| t.unit.job.0), int(|t| t.unit.step.0.into()));
        let parts = int(|t| t.unit.part);
        let sql = format!(
            "INSERT INTO task ({TASK})
             SELECT * FROM unnest($1::BIGINT[], $2::BIGINT[], $3::BIGINT[], $4::BIGINT[], $5::TEXT[], $6::TEXT[],
               $7::TEXT[], $8::TEXT[], $9::TEXT[], $10::TEXT[], $11::TEXT[], $12::TEXT[], $13::TEXT[], $14::TEXT[],
               $15::TEXT[], $16::TEXT[], $17::BIGINT[], $18::BIGINT[], $19::BIGINT[], $20::BIGINT[])"
        );
        self.run(
            &sql,
            &[
                &jobs,
                &steps,
                &parts,
                &numbers,
                &text(|t| t.kind.as_str()),
                &text(|t| t.state.as_str()),
                &text(|t| &t.subject),
                &text(|t| &t.asset),
                &text(|t| &t.title),
                &some(|t| t.supplier.as_deref()),
                &text(|t| &t.policy),
                &text(|t| &t.digest),
                &text(|t| &t.hash),
                &checks,
                &some(|t| t.findings.as_deref()),
                &text(|t| &t.message),
                &int(|t| t.round.into()),
                &int(|t| t.opened_at.0),
                &moment(|t| t.due_at),
                &moment(|t| t.ended_at),
            ],
        )?;
        self.run(
            "INSERT INTO task_unit (task, job, step, part)
             SELECT * FROM unnest($1::BIGINT[], $2::BIGINT[], $3::BIGINT[], $4::BIGINT[]) ON CONFLICT DO NOTHING",
            &[&numbers, &jobs, &steps, &parts],
        )?;
        Ok(numbers)
    }

    fn end_tasks(&mut self, tasks: &[TaskRow], state: TaskState, now: Timestamp) -> StoreResult<()> {
        if tasks.is_empty() {
            return Ok(());
        }
        let numbers: Vec<i64> = tasks.iter().map(|task| task.no).collect();
        let sql = "UPDATE task SET state = $2, ended_at = $3 WHERE no = ANY ($1)";
        self.run(sql, &[&numbers, &state.as_str(), &now.0])?;
        Ok(())
    }

    fn insert_task_events(&mut self, events: &[TaskEventRow]) -> StoreResult<()> {
        if events.is_empty() {
            return Ok(());
        }
        let int = |field: fn(&TaskEventRow) -> i64| events.iter().map(field).collect::<Vec<i64>>();
        let text =
            |field: fn(&TaskEventRow) -> &str| events.iter().map(|e| printable(field(e))).collect::<Vec<String>>();
        self.run(
            "INSERT INTO task_event (task, no, at, actor, event, reason, hash)
             SELECT e.task, COALESCE((SELECT o.no FROM task_event o WHERE o.task = e.task ORDER BY o.no DESC LIMIT 1), 0)
               + row_number() OVER (PARTITION BY e.task ORDER BY e.place), e.at, e.actor, e.event, e.reason, e.hash
             FROM unnest($1::BIGINT[], $2::BIGINT[], $3::TEXT[], $4::TEXT[], $5::TEXT[], $6::TEXT[])
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

    fn task(&mut self, no: i64) -> StoreResult<Option<TaskRow>> {
        self.one(&format!("SELECT {TASK} FROM task WHERE no = $1"), &[&no], read_task)
    }

    fn update_task(&mut self, task: &TaskRow) -> StoreResult<()> {
        let sql = "UPDATE task SET job = $1, step = $2, part = $3, kind = $5, state = $6, subject = $7, asset = $8,
             title = $9, supplier = $10, policy = $11, digest = $12, hash = $13, checks = $14, findings = $15,
             message = $16, round = $17, opened_at = $18, due_at = $19, ended_at = $20 WHERE no = $4";
        self.write_task(sql, task)
    }

    fn pending_tasks(&mut self, kind: TaskKind, subjects: &[String]) -> StoreResult<Vec<TaskRow>> {
        if subjects.is_empty() {
            return Ok(Vec::new());
        }
        let subjects: Vec<String> = subjects.iter().map(|subject| printable(subject)).collect();
        let sql =
            format!("SELECT {TASK} FROM task WHERE kind = $1 AND subject = ANY ($2) AND ended_at IS NULL ORDER BY no");
        self.all(&sql, &[&kind.as_str(), &subjects], read_task)
    }

    fn tasks(&mut self, filter: &TaskFilter) -> StoreResult<Vec<TaskRow>> {
        // What is not asked for is not in the text, so that the indexes apply.
        let term = |wanted: bool, column: &str, n: u32, kind: &str| {
            if wanted { format!("{column} = ${n}") } else { format!("${n}::{kind} IS NULL") }
        };
        let terms = [
            term(filter.kind.is_some(), "kind", 2, "TEXT"),
            term(filter.state.is_some(), "state", 3, "TEXT"),
            term(filter.asset.is_some(), "asset", 5, "TEXT"),
            term(filter.title.is_some(), "title", 6, "TEXT"),
            if filter.pending { "ended_at IS NULL".to_owned() } else { "TRUE".to_owned() },
        ];
        let terms = terms.join(" AND ");
        // Those of a job are looked up one by one, also in a table that has not been counted yet (OFFSET 0).
        let sql = match filter.job {
            None => {
                format!("SELECT {TASK} FROM task WHERE no > $1 AND $4::BIGINT IS NULL AND {terms} ORDER BY no LIMIT $7")
            }
            Some(_) => format!(
                "SELECT t.* FROM (SELECT DISTINCT task FROM task_unit WHERE -job = -$4::BIGINT AND task > $1 ORDER BY task) AS own
                 CROSS JOIN LATERAL (SELECT {TASK} FROM task WHERE no = own.task OFFSET 0) AS t
                 WHERE {terms} ORDER BY own.task LIMIT $7"
            ),
        };
        self.all(
            &sql,
            &[
                &filter.after,
                &filter.kind.map(TaskKind::as_str),
                &filter.state.map(TaskState::as_str),
                &filter.job.map(|job| job.0),
                &filter.asset,
                &filter.title,
                &i64::from(filter.limit),
            ],
            read_task,
        )
    }

    fn task_counts(&mut self, now: Timestamp) -> StoreResult<Vec<(TaskKind, u64, u64)>> {
        let counted: Vec<(TaskKind, u64, u64)> = self.all(
            "SELECT kind, COUNT(*), COUNT(*) FILTER (WHERE due_at <= $1) FROM task WHERE ended_at IS NULL GROUP BY kind",
            &[&now.0],
            |row| Ok((word(row, 0, TaskKind::parse)?, count(row, 1)?, count(row, 2)?)),
        )?;
        let of = |kind: TaskKind| counted.iter().find(|(found, _, _)| *found == kind).copied();
        Ok(TaskKind::ALL.into_iter().filter_map(of).collect())
    }

    fn add_task_unit(&mut self, task: i64, unit: UnitId) -> StoreResult<()> {
        self.run(
            "INSERT INTO task_unit (task, job, step, part) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
            &[&task, &unit.job.0, &i64::from(unit.step.0), &unit.part],
        )?;
        Ok(())
    }

    fn task_units(&mut self, task: i64) -> StoreResult<Vec<UnitId>> {
        let sql = "SELECT job, step, part FROM task_unit WHERE task = $1 ORDER BY job, step, part";
        self.all(sql, &[&task], read_id)
    }

    fn waiting_units(&mut self, job: JobNo, limit: u32) -> StoreResult<Vec<(UnitId, i64)>> {
        self.all(
            // The look-up has the key alone: with the terms of a partial index, that index would look as good as the key.
            "SELECT u.job, u.step, u.part, u.task FROM task_unit u
             CROSS JOIN LATERAL (SELECT ended_at FROM task WHERE no = u.task OFFSET 0) AS t
             WHERE u.job + 0 = $1 AND t.ended_at IS NULL ORDER BY u.step, u.part, u.task LIMIT $2",
            &[&job.0, &i64::from(limit)],
            |row| Ok((read_id(row)?, column(row, 3)?)),
        )
    }

    fn insert_task_event(&mut self, event: &TaskEventRow) -> StoreResult<()> {
        self.run(
            "INSERT INTO task_event (task, no, at, actor, event, reason, hash)
             SELECT $1, COALESCE(MAX(no), 0) + 1, $2, $3, $4, $5, $6 FROM task_event WHERE task = $1",
            &[&event.task, &event.at.0, &printable(&event.actor), &event.event, &printable(&event.reason), &event.hash],
        )?;
        Ok(())
    }

    fn put_task_pictures(&mut self, task: i64, pictures: Option<&str>) -> StoreResult<()> {
        match pictures {
            Some(pictures) => self.run(
                "INSERT INTO task_picture (task, pictures) VALUES ($1, $2)
                 ON CONFLICT (task) DO UPDATE SET pictures = excluded.pictures",
                &[&task, &printable(pictures)],
            )?,
            None => self.run("DELETE FROM task_picture WHERE task = $1", &[&task])?,
        };
        Ok(())
    }

    fn task_pictures(&mut self, task: i64) -> StoreResult<Option<String>> {
        self.one("SELECT pictures FROM task_picture WHERE task = $1", &[&task], |row| column(row, 0))
    }

    fn task_events(&mut self, task: i64) -> StoreResult<Vec<TaskEventRow>> {
        self.all(
            "SELECT task, at, actor, event, reason, hash FROM task_event WHERE task = $1 ORDER BY no",
            &[&task],
            |row| {
                Ok(TaskEventRow {
                    task: column(row, 0)?,
                    at: Timestamp(column(row, 1)?),
                    actor: column(row, 2)?,
                    event: column(row, 3)?,
                    reason: column(row, 4)?,
                    hash: column(row, 5)?,
                })
            },
        )
    }
}
