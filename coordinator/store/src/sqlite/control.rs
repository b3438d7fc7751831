//! Operations, causes, losses and workers.
use super::job::{signed, unsigned};
use super::unit::{FAILURE, read_failure, read_id};
use super::{SqliteTx, failed};
use crate::{
    AssetCorrection, CauseRow, CauseTx, CorrectionTx, FailureRow, LossRow, LossTx, OperationRow, OperationState,
    OperationTx, StoreResult, WaiverRow, WorkerOrder, WorkerRow, WorkerTx,
};
use protocol::id::{JobNo, StepNo, UnitId};
use protocol::rules::review::waiver::Scope;
use protocol::time::Timestamp;
use rusqlite::types::Value;
use rusqlite::{Row, params, params_from_iter};

const OPERATION: &str = "no, at, actor, action, job, filter, reason, matched, eligible, done, state, rate, after_job, \
     after_step, after_part, paced_at, ended_at, plan, progress, message";

fn read_operation(row: &Row<'_>) -> rusqlite::Result<OperationRow> {
    let (state, rate): (String, Option<String>) = (row.get(10)?, row.get(11)?);
    let after: (Option<i64>, Option<u16>, Option<i64>) = (row.get(12)?, row.get(13)?, row.get(14)?);
    let after = match after {
        (Some(job), Some(step), Some(part)) => Some(UnitId { job: JobNo(job), step: StepNo(step), part }),
        _ => None,
    };
    let state = OperationState::parse(&state)
        .ok_or_else(|| rusqlite::Error::InvalidColumnName(format!("operation state {state}")))?;
    Ok(OperationRow {
        no: row.get(0)?,
        at: Timestamp(row.get(1)?),
        actor: row.get(2)?,
        action: row.get(3)?,
        job: row.get::<_, Option<i64>>(4)?.map(JobNo),
        filter: row.get(5)?,
        reason: row.get(6)?,
        matched: unsigned(row, 7)?,
        eligible: unsigned(row, 8)?,
        done: unsigned(row, 9)?,
        state,
        rate: rate.map(|text| text.parse().unwrap_or(f64::NAN)),
        after,
        paced_at: Timestamp(row.get(15)?),
        ended_at: row.get::<_, Option<i64>>(16)?.map(Timestamp),
        plan: row.get(17)?,
        progress: row.get(18)?,
        message: row.get(19)?,
    })
}

fn write_operation(tx: &SqliteTx<'_>, sql: &str, o: &OperationRow) -> StoreResult<()> {
    tx.run(
        sql,
        params![
            o.no,
            o.at.0,
            o.actor,
            o.action,
            o.job.map(|job| job.0),
            o.filter,
            o.reason,
            signed(o.matched),
            signed(o.eligible),
            signed(o.done),
            o.state.as_str(),
            o.rate.map(|rate| rate.to_string()),
            o.after.map(|unit| unit.job.0),
            o.after.map(|unit| unit.step.0),
            o.after.map(|unit| unit.part),
            o.paced_at.0,
            o.ended_at.map(|t| t.0),
            o.plan,
            o.progress,
            o.message
        ],
    )?;
    Ok(())
}

impl OperationTx for SqliteTx<'_> {
    fn insert_operation(&mut self, operation: &OperationRow) -> StoreResult<i64> {
        let last: Option<Option<i64>> = self.one("SELECT MAX(no) FROM operation", [], |row| row.get(0))?;
        let no = last.flatten().unwrap_or(0) + 1;
        let sql = format!(
            "INSERT INTO operation ({OPERATION})
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20)"
        );
        write_operation(self, &sql, &OperationRow { no, ..operation.clone() })?;
        Ok(no)
    }

    fn operation(&mut self, no: i64) -> StoreResult<Option<OperationRow>> {
        self.one(&format!("SELECT {OPERATION} FROM operation WHERE no = ?1"), params![no], read_operation)
    }

    fn operations(&mut self, job: Option<JobNo>, limit: u32) -> StoreResult<Vec<OperationRow>> {
        let of_job = if job.is_some() { "WHERE job = ?1" } else { "WHERE ?1 IS NULL" };
        let sql = format!("SELECT {OPERATION} FROM operation {of_job} ORDER BY no DESC LIMIT ?2");
        self.all(&sql, params![job.map(|job| job.0), limit], read_operation)
    }

    fn running_operations(&mut self, limit: u32) -> StoreResult<Vec<OperationRow>> {
        let sql = format!("SELECT {OPERATION} FROM operation WHERE state = 'running' ORDER BY no LIMIT ?1");
        self.all(&sql, params![limit], read_operation)
    }

    fn update_operation(&mut self, operation: &OperationRow) -> StoreResult<()> {
        let sql = "UPDATE operation SET at = ?2, actor = ?3, action = ?4, job = ?5, filter = ?6, reason = ?7,
             matched = ?8, eligible = ?9, done = ?10, state = ?11, rate = ?12, after_job = ?13, after_step = ?14,
             after_part = ?15, paced_at = ?16, ended_at = ?17, plan = ?18, progress = ?19, message = ?20
             WHERE no = ?1";
        write_operation(self, sql, operation)
    }

    fn put_operation_input(&mut self, operation: i64, input: Option<&str>) -> StoreResult<()> {
        self.run("DELETE FROM operation_input WHERE operation = ?1", params![operation])?;
        if let Some(input) = input {
            self.run("INSERT INTO operation_input (operation, input) VALUES (?1, ?2)", params![operation, input])?;
        }
        Ok(())
    }

    fn operation_input(&mut self, operation: i64) -> StoreResult<Option<String>> {
        self.one("SELECT input FROM operation_input WHERE operation = ?1", params![operation], |row| row.get(0))
    }
}

impl CauseTx for SqliteTx<'_> {
    fn add_to_causes(&mut self, changes: &[CauseRow]) -> StoreResult<()> {
        let mut upsert = self
            .db
            .prepare_cached(
                "INSERT INTO cause (cause, job, step, reason, class, example, units, assets, first_at, last_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
                 ON CONFLICT (cause, job, step) DO UPDATE SET units = cause.units + excluded.units,
                   assets = cause.assets + excluded.assets,
                   last_at = CASE WHEN excluded.units > 0 AND excluded.last_at > cause.last_at
                     THEN excluded.last_at ELSE cause.last_at END",
            )
            .map_err(failed)?;
        for c in changes {
            let key = params![
                c.cause,
                c.job.0,
                c.step.0,
                c.reason,
                c.class,
                c.example,
                c.units,
                c.assets,
                c.first_at.0,
                c.last_at.0
            ];
            upsert.execute(key).map_err(failed)?;
        }
        for c in changes.iter().filter(|c| c.units < 0) {
            self.run(
                "DELETE FROM cause WHERE cause = ?1 AND job = ?2 AND step = ?3 AND units <= 0",
                params![c.cause, c.job.0, c.step.0],
            )?;
        }
        Ok(())
    }

    fn causes(&mut self, job: Option<JobNo>, cause: Option<&str>, limit: u32) -> StoreResult<Vec<CauseRow>> {
        let mut wanted: Vec<&str> = Vec::new();
        let mut values: Vec<Value> = vec![i64::from(limit).into()];
        if let Some(job) = job {
            values.push(job.0.into());
            wanted.push("job = ?");
        }
        if let Some(cause) = cause {
            values.push(cause.to_owned().into());
            wanted.push("cause = ?");
        }
        let terms: Vec<String> = wanted.iter().enumerate().map(|(i, term)| format!("{term}{}", i + 2)).collect();
        let filter = if terms.is_empty() { String::new() } else { format!("WHERE {}", terms.join(" AND ")) };
        let sql = format!(
            "SELECT cause, job, step, reason, class, example, units, assets, first_at, last_at FROM cause {filter}
             ORDER BY last_at DESC, cause, job, step LIMIT ?1"
        );
        self.all(&sql, params_from_iter(values), |row| {
            Ok(CauseRow {
                cause: row.get(0)?,
                job: JobNo(row.get(1)?),
                step: StepNo(row.get(2)?),
                reason: row.get(3)?,
                class: row.get(4)?,
                example: row.get(5)?,
                units: row.get(6)?,
                assets: row.get(7)?,
                first_at: Timestamp(row.get(8)?),
                last_at: Timestamp(row.get(9)?),
            })
        })
    }

    fn failures_after(
        &mut self,
        job: Option<JobNo>,
        cause: Option<&str>,
        after: Option<(UnitId, &str)>,
        limit: u32,
    ) -> StoreResult<Vec<FailureRow>> {
        let (unit, asset) = after.unwrap_or((UnitId { job: JobNo(-1), step: StepNo(0), part: -1 }, ""));
        // What is not asked for is not in the text, so that the indexes apply.
        // Within a job its number is no part of the order, or the order would not be that of the index.
        let (of_job, behind, order) = match job {
            Some(_) => ("f.job = ?1", "?3 IS NOT NULL AND (f.step, f.part, f.asset) > (?4, ?5, ?6)", ""),
            None => ("?1 IS NULL", "(f.job, f.step, f.part, f.asset) > (?3, ?4, ?5, ?6)", "f.job, "),
        };
        let of_cause = cause.map_or("?2 IS NULL", |_| "f.cause = ?2 AND f.cause <> ''");
        // The key of the table looks as good, and walks all failures of the job.
        let found_by = cause.map_or("failure f", |_| "failure f INDEXED BY failure_cause");
        let found = FAILURE.replacen("failure f", found_by, 1);
        let sql = format!(
            "{found} WHERE {of_job} AND {of_cause} AND {behind}
             ORDER BY {order}f.step, f.part, f.asset LIMIT ?7"
        );
        let values = params![job.map(|job| job.0), cause, unit.job.0, unit.step.0, unit.part, asset, limit];
        self.all(&sql, values, read_failure)
    }

    fn put_waiver(&mut self, waiver: &WaiverRow) -> StoreResult<()> {
        self.run(
            "INSERT INTO waiver (cause, at, actor, reason, until) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (cause) DO UPDATE SET at = excluded.at, actor = excluded.actor, reason = excluded.reason,
               until = excluded.until",
            params![waiver.scope.key(), waiver.at.0, waiver.actor, waiver.reason, waiver.until.map(|t| t.0)],
        )?;
        Ok(())
    }

    fn waivers(&mut self) -> StoreResult<Vec<WaiverRow>> {
        self.all("SELECT cause, at, actor, reason, until FROM waiver ORDER BY cause", [], |row| {
            Ok(WaiverRow {
                scope: Scope::parse(&row.get::<_, String>(0)?),
                at: Timestamp(row.get(1)?),
                actor: row.get(2)?,
                reason: row.get(3)?,
                until: row.get::<_, Option<i64>>(4)?.map(Timestamp),
            })
        })
    }
}

impl LossTx for SqliteTx<'_> {
    fn put_losses(&mut self, losses: &[LossRow]) -> StoreResult<()> {
        for loss in losses {
            self.run(
                "INSERT INTO loss (job, step, part, epoch, worker, alone, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                 ON CONFLICT DO NOTHING",
                params![
                    loss.unit.job.0,
                    loss.unit.step.0,
                    loss.unit.part,
                    loss.epoch,
                    loss.worker,
                    i64::from(loss.alone),
                    loss.at.0
                ],
            )?;
        }
        Ok(())
    }

    fn losses(&mut self, units: &[UnitId]) -> StoreResult<Vec<LossRow>> {
        let mut found = Vec::new();
        let mut units = units.to_vec();
        units.sort_unstable();
        units.dedup();
        for unit in units {
            found.extend(self.all(
                "SELECT job, step, part, epoch, worker, alone, at FROM loss WHERE job = ?1 AND step = ?2 AND part = ?3
                 ORDER BY epoch",
                params![unit.job.0, unit.step.0, unit.part],
                |row| {
                    Ok(LossRow {
                        unit: read_id(row)?,
                        epoch: row.get(3)?,
                        worker: row.get(4)?,
                        alone: row.get::<_, i64>(5)? != 0,
                        at: Timestamp(row.get(6)?),
                    })
                },
            )?);
        }
        Ok(found)
    }

    fn suspects(&mut self, workers: u32, limit: u32) -> StoreResult<Vec<UnitId>> {
        self.all(
            "SELECT job, step, part FROM loss GROUP BY job, step, part HAVING COUNT(DISTINCT worker) >= ?1
             ORDER BY job, step, part LIMIT ?2",
            params![workers, limit],
            read_id,
        )
    }

    fn forget_losses(&mut self, units: &[UnitId]) -> StoreResult<()> {
        for unit in units {
            self.run(
                "DELETE FROM loss WHERE job = ?1 AND step = ?2 AND part = ?3",
                params![unit.job.0, unit.step.0, unit.part],
            )?;
        }
        Ok(())
    }
}

impl WorkerTx for SqliteTx<'_> {
    fn put_workers(&mut self, workers: &[WorkerRow]) -> StoreResult<()> {
        for worker in workers {
            self.run(
                "INSERT INTO worker (name, slots, held, heard_at, state) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (name) DO UPDATE SET slots = excluded.slots, held = excluded.held,
                   heard_at = excluded.heard_at, state = excluded.state",
                params![worker.name, worker.slots, signed(worker.held), worker.heard_at.0, worker.state],
            )?;
        }
        Ok(())
    }

    fn workers(&mut self) -> StoreResult<Vec<WorkerRow>> {
        self.all(
            "SELECT name, slots, held, heard_at, state, told, told_by, told_why, told_at FROM worker ORDER BY name",
            [],
            |row| {
                let told: Option<String> = row.get(5)?;
                let order = match told {
                    Some(what) => Some(WorkerOrder {
                        what,
                        actor: row.get::<_, Option<String>>(6)?.unwrap_or_default(),
                        reason: row.get::<_, Option<String>>(7)?.unwrap_or_default(),
                        at: Timestamp(row.get::<_, Option<i64>>(8)?.unwrap_or(0)),
                    }),
                    None => None,
                };
                Ok(WorkerRow {
                    name: row.get(0)?,
                    slots: row.get(1)?,
                    held: unsigned(row, 2)?,
                    heard_at: Timestamp(row.get(3)?),
                    state: row.get(4)?,
                    order,
                })
            },
        )
    }

    fn put_order(&mut self, worker: &str, order: Option<&WorkerOrder>) -> StoreResult<bool> {
        let written = self.run(
            "UPDATE worker SET told = ?2, told_by = ?3, told_why = ?4, told_at = ?5 WHERE name = ?1",
            params![
                worker,
                order.map(|o| &o.what),
                order.map(|o| &o.actor),
                order.map(|o| &o.reason),
                order.map(|o| o.at.0)
            ],
        )?;
        Ok(written > 0)
    }

    fn forget_workers(&mut self, before: Timestamp) -> StoreResult<()> {
        self.run("DELETE FROM worker WHERE heard_at < ?1", params![before.0])?;
        Ok(())
    }
}

impl CorrectionTx for SqliteTx<'_> {
    fn correct_assets(&mut self, job: JobNo, corrections: &[AssetCorrection]) -> StoreResult<()> {
        for c in corrections {
            self.run(
                "UPDATE listing SET location = COALESCE(?3, location), hash = COALESCE(?4, hash),
                   bytes = COALESCE(?5, bytes) WHERE job = ?1 AND asset = ?2",
                params![job.0, c.asset, c.location, c.hash, c.bytes.map(signed)],
            )?;
        }
        Ok(())
    }
}
