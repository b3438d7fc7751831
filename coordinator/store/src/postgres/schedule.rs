//! Learned costs, withheld steps and speculative copies: each written in one statement over arrays.
use super::error::corrupt;
use super::tx::{PostgresTx, column, count, signed, word};
use crate::{CostRow, CutRow, CutState, ScheduleTx, SliceRow, Speculation, SpeculationState, StoreResult, WithheldRow};
use protocol::id::{JobNo, Kind, StepNo, UnitId};
use protocol::rules::schedule::cost::Sketch;
use protocol::rules::schedule::wait_reason::WaitReason;
use protocol::rules::storage::multipart::Slice;
use protocol::rules::unit::transition::UnitState;
use protocol::time::Timestamp;
use tokio_postgres::Row;

fn read_speculation(row: &Row, at: usize) -> StoreResult<Speculation> {
    Ok(Speculation {
        older: count(row, at)?,
        newer: count(row, at + 1)?,
        state: word(row, at + 2, SpeculationState::parse)?,
    })
}

impl ScheduleTx for PostgresTx<'_> {
    fn costs(&mut self) -> StoreResult<Vec<CostRow>> {
        let mut costs = self.all("SELECT kind, size, measures, total_us, places FROM cost", &[], |row| {
            let places = serde_json::from_str(column(row, 4)?).map_err(|e| corrupt("cost", e))?;
            Ok(CostRow {
                kind: word(row, 0, Kind::parse)?,
                size: count(row, 1)?,
                sketch: Sketch { count: count(row, 2)?, total_us: count(row, 3)?, places },
            })
        })?;
        costs.sort_by_key(|row| (row.kind, row.size));
        Ok(costs)
    }

    fn put_costs(&mut self, rows: &[CostRow]) -> StoreResult<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let kinds: Vec<&str> = rows.iter().map(|row| row.kind.as_str()).collect();
        let sizes: Vec<i64> = rows.iter().map(|row| row.size.into()).collect();
        let measures: Vec<i64> = rows.iter().map(|row| signed(row.sketch.count)).collect();
        let totals: Vec<i64> = rows.iter().map(|row| signed(row.sketch.total_us)).collect();
        let places: Result<Vec<String>, _> = rows.iter().map(|row| serde_json::to_string(&row.sketch.places)).collect();
        let places = places.map_err(|e| corrupt("cost", e))?;
        self.run(
            "INSERT INTO cost (kind, size, measures, total_us, places)
             SELECT * FROM unnest($1::TEXT[], $2::BIGINT[], $3::BIGINT[], $4::BIGINT[], $5::TEXT[])
             ON CONFLICT (kind, size) DO UPDATE SET measures = excluded.measures, total_us = excluded.total_us,
               places = excluded.places",
            &[&kinds, &sizes, &measures, &totals, &places],
        )?;
        Ok(())
    }

    fn withheld(&mut self, job: JobNo) -> StoreResult<Vec<WithheldRow>> {
        let sql = "SELECT step, reason, since, until FROM withheld WHERE job = $1 ORDER BY step";
        self.all(sql, &[&job.0], |row| {
            Ok(WithheldRow {
                step: StepNo(count(row, 0)?),
                reason: word(row, 1, WaitReason::parse)?,
                since: Timestamp(column(row, 2)?),
                until: column::<Option<i64>>(row, 3)?.map(Timestamp),
            })
        })
    }

    fn put_withheld(&mut self, job: JobNo, rows: &[WithheldRow]) -> StoreResult<()> {
        self.run("DELETE FROM withheld WHERE job = $1", &[&job.0])?;
        if rows.is_empty() {
            return Ok(());
        }
        let steps: Vec<i64> = rows.iter().map(|row| row.step.0.into()).collect();
        let reasons: Vec<&str> = rows.iter().map(|row| row.reason.as_str()).collect();
        let since: Vec<i64> = rows.iter().map(|row| row.since.0).collect();
        let until: Vec<Option<i64>> = rows.iter().map(|row| row.until.map(|t| t.0)).collect();
        self.run(
            "INSERT INTO withheld (job, step, reason, since, until)
             SELECT $1, w.* FROM unnest($2::BIGINT[], $3::TEXT[], $4::BIGINT[], $5::BIGINT[]) AS w",
            &[&job.0, &steps, &reasons, &since, &until],
        )?;
        Ok(())
    }

    fn speculation(&mut self, unit: UnitId) -> StoreResult<Option<Speculation>> {
        self.one(
            "SELECT older, newer, state FROM speculation WHERE job = $1 AND step = $2 AND part = $3",
            &[&unit.job.0, &i64::from(unit.step.0), &unit.part],
            |row| read_speculation(row, 0),
        )
    }

    fn speculations(&mut self, job: JobNo) -> StoreResult<Vec<(UnitId, Speculation)>> {
        self.all(
            "SELECT step, part, older, newer, state FROM speculation WHERE job = $1 ORDER BY step, part",
            &[&job.0],
            |row| {
                let unit = UnitId { job, step: StepNo(count(row, 0)?), part: column(row, 1)? };
                Ok((unit, read_speculation(row, 2)?))
            },
        )
    }

    fn put_speculation(&mut self, unit: UnitId, row: Option<Speculation>) -> StoreResult<()> {
        let step = i64::from(unit.step.0);
        match row {
            None => self.run(
                "DELETE FROM speculation WHERE job = $1 AND step = $2 AND part = $3",
                &[&unit.job.0, &step, &unit.part],
            ),
            Some(row) => self.run(
                "INSERT INTO speculation (job, step, part, older, newer, state) VALUES ($1, $2, $3, $4, $5, $6)
                 ON CONFLICT (job, step, part) DO UPDATE SET older = excluded.older, newer = excluded.newer,
                   state = excluded.state",
                &[&unit.job.0, &step, &unit.part, &i64::from(row.older), &i64::from(row.newer), &row.state.as_str()],
            ),
        }?;
        Ok(())
    }

    fn slices(&mut self, unit: UnitId) -> StoreResult<Vec<SliceRow>> {
        self.all(
            "SELECT number, first, bytes, state, epoch, attempt, due_at, receipt FROM slice
             WHERE job = $1 AND step = $2 AND part = $3 ORDER BY number",
            &[&unit.job.0, &i64::from(unit.step.0), &unit.part],
            |row| {
                Ok(SliceRow {
                    slice: Slice { number: count(row, 0)?, first: count(row, 1)?, bytes: count(row, 2)? },
                    state: word(row, 3, UnitState::parse)?,
                    epoch: count(row, 4)?,
                    attempt: count(row, 5)?,
                    due_at: column::<Option<i64>>(row, 6)?.map(Timestamp),
                    receipt: column(row, 7)?,
                })
            },
        )
    }

    fn put_slices(&mut self, unit: UnitId, rows: &[SliceRow]) -> StoreResult<()> {
        let whole = |of: fn(&SliceRow) -> i64| rows.iter().map(of).collect::<Vec<i64>>();
        let states: Vec<&str> = rows.iter().map(|row| row.state.as_str()).collect();
        let due: Vec<Option<i64>> = rows.iter().map(|row| row.due_at.map(|t| t.0)).collect();
        let receipts: Vec<Option<&str>> = rows.iter().map(|row| row.receipt.as_deref()).collect();
        self.run(
            "INSERT INTO slice (job, step, part, number, first, bytes, state, epoch, attempt, due_at, receipt)
             SELECT $1, $2, $3, s.* FROM unnest($4::BIGINT[], $5::BIGINT[], $6::BIGINT[], $7::TEXT[], $8::BIGINT[],
               $9::BIGINT[], $10::BIGINT[], $11::TEXT[]) AS s
             ON CONFLICT (job, step, part, number) DO UPDATE SET state = excluded.state, epoch = excluded.epoch,
               attempt = excluded.attempt, due_at = excluded.due_at, receipt = excluded.receipt",
            &[
                &unit.job.0,
                &i64::from(unit.step.0),
                &unit.part,
                &whole(|row| row.slice.number.into()),
                &whole(|row| signed(row.slice.first)),
                &whole(|row| signed(row.slice.bytes)),
                &states,
                &whole(|row| row.epoch.into()),
                &whole(|row| row.attempt.into()),
                &due,
                &receipts,
            ],
        )?;
        Ok(())
    }
    fn cuts(&mut self) -> StoreResult<Vec<CutRow>> {
        self.all("SELECT job, step, part, state, drafts FROM cut ORDER BY job, step, part", &[], |row| {
            let drafts = serde_json::from_str(column(row, 4)?).map_err(|e| corrupt("cut", e))?;
            let unit = UnitId { job: JobNo(column(row, 0)?), step: StepNo(count(row, 1)?), part: column(row, 2)? };
            Ok(CutRow { unit, state: word(row, 3, CutState::parse)?, drafts })
        })
    }

    fn put_cut(&mut self, row: &CutRow) -> StoreResult<()> {
        let drafts = serde_json::to_string(&row.drafts).map_err(|e| corrupt("cut", e))?;
        let step = i64::from(row.unit.step.0);
        self.run(
            "INSERT INTO cut (job, step, part, state, drafts) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (job, step, part) DO UPDATE SET state = excluded.state, drafts = excluded.drafts",
            &[&row.unit.job.0, &step, &row.unit.part, &row.state.as_str(), &drafts],
        )?;
        Ok(())
    }

    fn forget_cut(&mut self, unit: UnitId) -> StoreResult<()> {
        let (job, step, part) = (unit.job.0, i64::from(unit.step.0), unit.part);
        self.run("DELETE FROM cut WHERE job = $1 AND step = $2 AND part = $3", &[&job, &step, &part])?;
        self.run("DELETE FROM slice WHERE job = $1 AND step = $2 AND part = $3", &[&job, &step, &part])?;
        Ok(())
    }
}
