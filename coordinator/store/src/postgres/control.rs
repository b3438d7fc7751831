//! Operations, causes, losses and workers.
use super::failure::{failures_where, read_failure};
use super::tx::{PostgresTx, column, count, printable, signed, word};
use super::unit::read_id;
use crate::{
    AssetCorrection, CauseRow, CauseTx, CorrectionTx, FailureRow, LossRow, LossTx, OperationRow, OperationState,
    OperationTx, StoreResult, WaiverRow, WorkerOrder, WorkerRow, WorkerTx,
};
use protocol::id::{JobNo, StepNo, UnitId};
use protocol::rules::review::waiver::Scope;
use protocol::time::Timestamp;
use std::collections::BTreeMap;
use tokio_postgres::Row;

const OPERATION: &str = "no, at, actor, action, job, filter, reason, matched, eligible, done, state, rate, after_job, \
     after_step, after_part, paced_at, ended_at, plan, progress, message";

fn read_operation(row: &Row) -> StoreResult<OperationRow> {
    let rate: Option<&str> = column(row, 11)?;
    let after: (Option<i64>, Option<i64>, Option<i64>) = (column(row, 12)?, column(row, 13)?, column(row, 14)?);
    let after = match after {
        (Some(job), Some(_), Some(part)) => Some(UnitId { job: JobNo(job), step: StepNo(count(row, 13)?), part }),
        _ => None,
    };
    Ok(OperationRow {
        no: column(row, 0)?,
        at: Timestamp(column(row, 1)?),
        actor: column(row, 2)?,
        action: column(row, 3)?,
        job: column::<Option<i64>>(row, 4)?.map(JobNo),
        filter: column(row, 5)?,
        reason: column(row, 6)?,
        matched: count(row, 7)?,
        eligible: count(row, 8)?,
        done: count(row, 9)?,
        state: word(row, 10, OperationState::parse)?,
        rate: rate.map(|text| text.parse().unwrap_or(f64::NAN)),
        after,
        paced_at: Timestamp(column(row, 15)?),
        ended_at: column::<Option<i64>>(row, 16)?.map(Timestamp),
        plan: column(row, 17)?,
        progress: column(row, 18)?,
        message: column(row, 19)?,
    })
}

impl PostgresTx<'_> {
    fn write_operation(&mut self, sql: &str, o: &OperationRow) -> StoreResult<()> {
        self.run(
            sql,
            &[
                &o.no,
                &o.at.0,
                &printable(&o.actor),
                &o.action,
                &o.job.map(|job| job.0),
                &printable(&o.filter),
                &printable(&o.reason),
                &signed(o.matched),
                &signed(o.eligible),
                &signed(o.done),
                &o.state.as_str(),
                &o.rate.map(|rate| rate.to_string()),
                &o.after.map(|unit| unit.job.0),
                &o.after.map(|unit| i64::from(unit.step.0)),
                &o.after.map(|unit| unit.part),
                &o.paced_at.0,
                &o.ended_at.map(|t| t.0),
                &o.plan,
                &o.progress,
                &o.message.as_deref().map(printable),
            ],
        )?;
        Ok(())
    }
}

impl OperationTx for PostgresTx<'_> {
    fn insert_operation(&mut self, operation: &OperationRow) -> StoreResult<i64> {
        // Writers take turns, so nobody else takes this number.
        let sql = "SELECT no FROM operation ORDER BY no DESC LIMIT 1";
        let last: Option<i64> = self.one(sql, &[], |row| column(row, 0))?;
        let no = last.unwrap_or(0) + 1;
        let sql = format!(
            "INSERT INTO operation ({OPERATION})
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)"
        );
        self.write_operation(&sql, &OperationRow { no, ..operation.clone() })?;
        Ok(no)
    }

    fn operation(&mut self, no: i64) -> StoreResult<Option<OperationRow>> {
        self.one(&format!("SELECT {OPERATION} FROM operation WHERE no = $1"), &[&no], read_operation)
    }

    fn operations(&mut self, job: Option<JobNo>, limit: u32) -> StoreResult<Vec<OperationRow>> {
        let of_job = if job.is_some() { "job = $1" } else { "$1::BIGINT IS NULL" };
        let sql = format!("SELECT {OPERATION} FROM operation WHERE {of_job} ORDER BY no DESC LIMIT $2");
        self.all(&sql, &[&job.map(|job| job.0), &i64::from(limit)], read_operation)
    }

    fn running_operations(&mut self, limit: u32) -> StoreResult<Vec<OperationRow>> {
        let sql = format!("SELECT {OPERATION} FROM operation WHERE state = 'running' ORDER BY no LIMIT $1");
        self.all(&sql, &[&i64::from(limit)], read_operation)
    }

    fn update_operation(&mut self, operation: &OperationRow) -> StoreResult<()> {
        let sql = "UPDATE operation SET at = $2, actor = $3, action = $4, job = $5, filter = $6, reason = $7,
             matched = $8, eligible = $9, done = $10, state = $11, rate = $12, after_job = $13, after_step = $14,
             after_part = $15, paced_at = $16, ended_at = $17, plan = $18, progress = $19, message = $20
             WHERE no = $1";
        self.write_operation(sql, operation)
    }

    fn put_operation_input(&mut self, operation: i64, input: Option<&str>) -> StoreResult<()> {
        self.run("DELETE FROM operation_input WHERE operation = $1", &[&operation])?;
        if let Some(input) = input {
            let sql = "INSERT INTO operation_input (operation, input) VALUES ($1, $2)";
            self.run(sql, &[&operation, &printable(input)])?;
        }
        Ok(())
    }

    fn operation_input(&mut self, operation: i64) -> StoreResult<Option<String>> {
        let sql = "SELECT input FROM operation_input WHERE operation = $1";
        self.one(sql, &[&operation], |row| column(row, 0))
    }
}

impl CauseTx for PostgresTx<'_> {
    fn add_to_causes(&mut self, changes: &[CauseRow]) -> StoreResult<()> {
        // One statement cannot touch a row twice.
        let mut merged: BTreeMap<(&str, JobNo, StepNo), CauseRow> = BTreeMap::new();
        for change in changes {
            match merged.get_mut(&(change.cause.as_str(), change.job, change.step)) {
                Some(known) => {
                    known.units += change.units;
                    known.assets += change.assets;
                    known.last_at = known.last_at.max(change.last_at);
                }
                None => drop(merged.insert((change.cause.as_str(), change.job, change.step), change.clone())),
            }
        }
        let rows: Vec<CauseRow> = merged.into_values().collect();
        if rows.is_empty() {
            return Ok(());
        }
        let int = |field: fn(&CauseRow) -> i64| rows.iter().map(field).collect::<Vec<i64>>();
        let text = |field: fn(&CauseRow) -> &str| rows.iter().map(|r| printable(field(r))).collect::<Vec<String>>();
        self.run(
            "INSERT INTO cause (cause, job, step, reason, class, example, units, assets, first_at, last_at)
             SELECT * FROM unnest($1::TEXT[], $2::BIGINT[], $3::BIGINT[], $4::TEXT[], $5::TEXT[], $6::TEXT[],
               $7::BIGINT[], $8::BIGINT[], $9::BIGINT[], $10::BIGINT[])
             ON CONFLICT (cause, job, step) DO UPDATE SET units = cause.units + excluded.units,
               assets = cause.assets + excluded.assets,
               last_at = CASE WHEN excluded.units > 0 THEN GREATEST(excluded.last_at, cause.last_at)
                 ELSE cause.last_at END",
            &[
                &text(|r| &r.cause),
                &int(|r| r.job.0),
                &int(|r| r.step.0.into()),
                &text(|r| &r.reason),
                &text(|r| &r.class),
                &text(|r| &r.example),
                &int(|r| r.units),
                &int(|r| r.assets),
                &int(|r| r.first_at.0),
                &int(|r| r.last_at.0),
            ],
        )?;
        self.run(
            "DELETE FROM cause WHERE ctid = ANY(ARRAY(
               SELECT found.ctid FROM unnest($1::TEXT[], $2::BIGINT[], $3::BIGINT[]) AS c (cause, job, step)
               CROSS JOIN LATERAL (SELECT ctid FROM cause
                 WHERE cause = c.cause AND job = c.job AND step = c.step AND units <= 0 OFFSET 0) AS found))",
            &[&text(|r| &r.cause), &int(|r| r.job.0), &int(|r| r.step.0.into())],
        )?;
        Ok(())
    }

    fn causes(&mut self, job: Option<JobNo>, cause: Option<&str>, limit: u32) -> StoreResult<Vec<CauseRow>> {
        // What is not asked for is not in the text, so that the indexes apply.
        let of_job = if job.is_some() { "job = $1" } else { "$1::BIGINT IS NULL" };
        let of_cause = if cause.is_some() { "cause = $2" } else { "$2::TEXT IS NULL" };
        let sql = format!(
            "SELECT cause, job, step, reason, class, example, units, assets, first_at, last_at FROM cause
             WHERE {of_job} AND {of_cause} ORDER BY last_at DESC, cause, job, step LIMIT $3"
        );
        self.all(&sql, &[&job.map(|job| job.0), &cause, &i64::from(limit)], |row| {
            Ok(CauseRow {
                cause: column(row, 0)?,
                job: JobNo(column(row, 1)?),
                step: StepNo(count(row, 2)?),
                reason: column(row, 3)?,
                class: column(row, 4)?,
                example: column(row, 5)?,
                units: column(row, 6)?,
                assets: column(row, 7)?,
                first_at: Timestamp(column(row, 8)?),
                last_at: Timestamp(column(row, 9)?),
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
        self.flush_failures()?;
        self.flush_units()?;
        let (unit, asset) = after.unwrap_or((UnitId { job: JobNo(-1), step: StepNo(0), part: -1 }, ""));
        // Within a job its number is no part of the order, or the order would not be that of the index.
        let (of_job, behind, order) = match job {
            Some(_) => ("f.job = $1", "$3::BIGINT IS NOT NULL AND (f.step, f.part, f.asset) > ($4, $5, $6)", ""),
            None => ("$1::BIGINT IS NULL", "(f.job, f.step, f.part, f.asset) > ($3, $4, $5, $6)", "f.job, "),
        };
        let of_cause = if cause.is_some() { "f.cause = $2 AND f.cause <> ''" } else { "$2::TEXT IS NULL" };
        let sql = failures_where(&format!(
            "{of_job} AND {of_cause} AND {behind} ORDER BY {order}f.step, f.part, f.asset LIMIT $7"
        ));
        let step = i64::from(unit.step.0);
        let job = job.map(|job| job.0);
        self.all(&sql, &[&job, &cause, &unit.job.0, &step, &unit.part, &asset, &i64::from(limit)], read_failure)
    }

    fn put_waiver(&mut self, waiver: &WaiverRow) -> StoreResult<()> {
        self.run(
            "INSERT INTO waiver (cause, at, actor, reason, until) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (cause) DO UPDATE SET at = excluded.at, actor = excluded.actor, reason = excluded.reason,
               until = excluded.until",
            &[
                &printable(&waiver.scope.key()),
                &waiver.at.0,
                &printable(&waiver.actor),
                &printable(&waiver.reason),
                &waiver.until.map(|t| t.0),
            ],
        )?;
        Ok(())
    }

    fn waivers(&mut self) -> StoreResult<Vec<WaiverRow>> {
        self.all("SELECT cause, at, actor, reason, until FROM waiver ORDER BY cause", &[], |row| {
            Ok(WaiverRow {
                scope: Scope::parse(column(row, 0)?),
                at: Timestamp(column(row, 1)?),
                actor: column(row, 2)?,
                reason: column(row, 3)?,
                until: column::<Option<i64>>(row, 4)?.map(Timestamp),
            })
        })
    }
}

/// Jobs, steps and partitions of units, for a statement over arrays.
fn keys(units: &[UnitId]) -> [Vec<i64>; 3] {
    [
        units.iter().map(|id| id.job.0).collect(),
        units.iter().map(|id| id.step.0.into()).collect(),
        units.iter().map(|id| id.part).collect(),
    ]
}

impl LossTx for PostgresTx<'_> {
    fn put_losses(&mut self, losses: &[LossRow]) -> StoreResult<()> {
        if losses.is_empty() {
            return Ok(());
        }
        let [jobs, steps, parts] = keys(&losses.iter().map(|loss| loss.unit).collect::<Vec<_>>());
        let int = |field: fn(&LossRow) -> i64| losses.iter().map(field).collect::<Vec<i64>>();
        let workers: Vec<String> = losses.iter().map(|loss| printable(&loss.worker)).collect();
        self.run(
            "INSERT INTO loss (job, step, part, epoch, worker, alone, at)
             SELECT * FROM unnest($1::BIGINT[], $2::BIGINT[], $3::BIGINT[], $4::BIGINT[], $5::TEXT[], $6::BIGINT[],
               $7::BIGINT[])
             ON CONFLICT DO NOTHING",
            &[&jobs, &steps, &parts, &int(|l| l.epoch.into()), &workers, &int(|l| l.alone.into()), &int(|l| l.at.0)],
        )?;
        Ok(())
    }

    fn losses(&mut self, units: &[UnitId]) -> StoreResult<Vec<LossRow>> {
        let [jobs, steps, parts] = keys(units);
        self.all(
            "SELECT DISTINCT l.job, l.step, l.part, l.epoch, l.worker, l.alone, l.at
             FROM unnest($1::BIGINT[], $2::BIGINT[], $3::BIGINT[]) AS u (job, step, part)
             CROSS JOIN LATERAL (SELECT * FROM loss WHERE job = u.job AND step = u.step AND part = u.part OFFSET 0) AS l
             ORDER BY l.job, l.step, l.part, l.epoch",
            &[&jobs, &steps, &parts],
            |row| {
                Ok(LossRow {
                    unit: read_id(row)?,
                    epoch: count(row, 3)?,
                    worker: column(row, 4)?,
                    alone: column::<i64>(row, 5)? != 0,
                    at: Timestamp(column(row, 6)?),
                })
            },
        )
    }

    fn suspects(&mut self, workers: u32, limit: u32) -> StoreResult<Vec<UnitId>> {
        self.all(
            "SELECT job, step, part FROM loss GROUP BY job, step, part HAVING COUNT(DISTINCT worker) >= $1
             ORDER BY job, step, part LIMIT $2",
            &[&i64::from(workers), &i64::from(limit)],
            read_id,
        )
    }

    fn forget_losses(&mut self, units: &[UnitId]) -> StoreResult<()> {
        if units.is_empty() {
            return Ok(());
        }
        let [jobs, steps, parts] = keys(units);
        self.run(
            "DELETE FROM loss WHERE ctid = ANY(ARRAY(
               SELECT found.ctid FROM unnest($1::BIGINT[], $2::BIGINT[], $3::BIGINT[]) AS u (job, step, part)
               CROSS JOIN LATERAL (SELECT ctid FROM loss
                 WHERE job = u.job AND step = u.step AND part = u.part OFFSET 0) AS found))",
            &[&jobs, &steps, &parts],
        )?;
        Ok(())
    }
}

impl WorkerTx for PostgresTx<'_> {
    fn put_workers(&mut self, workers: &[WorkerRow]) -> StoreResult<()> {
        let by_name: BTreeMap<&str, &WorkerRow> = workers.iter().map(|w| (w.name.as_str(), w)).collect();
        if by_name.is_empty() {
            return Ok(());
        }
        let int = |field: fn(&WorkerRow) -> i64| by_name.values().map(|w| field(w)).collect::<Vec<i64>>();
        let text = |field: fn(&WorkerRow) -> &str| by_name.values().map(|w| printable(field(w))).collect::<Vec<_>>();
        self.run(
            "INSERT INTO worker (name, slots, held, heard_at, state)
             SELECT * FROM unnest($1::TEXT[], $2::TEXT[], $3::BIGINT[], $4::BIGINT[], $5::TEXT[])
             ON CONFLICT (name) DO UPDATE SET slots = excluded.slots, held = excluded.held,
               heard_at = excluded.heard_at, state = excluded.state",
            &[
                &text(|w| &w.name),
                &text(|w| &w.slots),
                &int(|w| signed(w.held)),
                &int(|w| w.heard_at.0),
                &text(|w| &w.state),
            ],
        )?;
        Ok(())
    }

    fn workers(&mut self) -> StoreResult<Vec<WorkerRow>> {
        self.all(
            "SELECT name, slots, held, heard_at, state, told, told_by, told_why, told_at FROM worker
             ORDER BY name",
            &[],
            |row| {
                let order = match column::<Option<String>>(row, 5)? {
                    Some(what) => Some(WorkerOrder {
                        what,
                        actor: column::<Option<String>>(row, 6)?.unwrap_or_default(),
                        reason: column::<Option<String>>(row, 7)?.unwrap_or_default(),
                        at: Timestamp(column::<Option<i64>>(row, 8)?.unwrap_or(0)),
                    }),
                    None => None,
                };
                Ok(WorkerRow {
                    name: column(row, 0)?,
                    slots: column(row, 1)?,
                    held: count(row, 2)?,
                    heard_at: Timestamp(column(row, 3)?),
                    state: column(row, 4)?,
                    order,
                })
            },
        )
    }

    fn put_order(&mut self, worker: &str, order: Option<&WorkerOrder>) -> StoreResult<bool> {
        let written = self.run(
            "UPDATE worker SET told = $2, told_by = $3, told_why = $4, told_at = $5 WHERE name = $1",
            &[
                &worker,
                &order.map(|o| o.what.as_str()),
                &order.map(|o| printable(&o.actor)),
                &order.map(|o| printable(&o.reason)),
                &order.map(|o| o.at.0),
            ],
        )?;
        Ok(written > 0)
    }

    fn forget_workers(&mut self, before: Timestamp) -> StoreResult<()> {
        self.run("DELETE FROM worker WHERE heard_at < $1", &[&before.0])?;
        Ok(())
    }
}

impl CorrectionTx for PostgresTx<'_> {
    fn correct_assets(&mut self, job: JobNo, corrections: &[AssetCorrection]) -> StoreResult<()> {
        if corrections.is_empty() {
            return Ok(());
        }
        // Members that were read before say what was true before.
        self.seen.members.clear();
        if let Some(ahead) = &mut self.ahead {
            ahead.forget(job);
        }
        let text = |field: fn(&AssetCorrection) -> Option<&str>| -> Vec<Option<String>> {
            corrections.iter().map(|c| field(c).map(printable)).collect()
        };
        let bytes: Vec<Option<i64>> = corrections.iter().map(|c| c.bytes.map(signed)).collect();
        self.run(
            "UPDATE listing SET location = COALESCE(c.location, listing.location),
               hash = COALESCE(c.hash, listing.hash), bytes = COALESCE(c.bytes, listing.bytes)
             FROM (SELECT c.*, found.at FROM unnest($2::TEXT[], $3::TEXT[], $4::TEXT[], $5::BIGINT[])
                     AS c (asset, location, hash, bytes)
                   CROSS JOIN LATERAL (SELECT ctid AS at FROM listing WHERE job = $1 AND asset = c.asset OFFSET 0) AS found
                  ) AS c
             WHERE listing.ctid = c.at",
            &[
                &job.0,
                &text(|c| Some(&c.asset)),
                &text(|c| c.location.as_deref()),
                &text(|c| c.hash.as_deref()),
                &bytes,
            ],
        )?;
        Ok(())
    }
}
