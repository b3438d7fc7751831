//! Learned costs, withheld steps and speculative copies.
use super::job::{signed, unsigned};
use super::{SqliteTx, corrupt};
use crate::{CostRow, CutRow, CutState, ScheduleTx, SliceRow, Speculation, SpeculationState, StoreResult, WithheldRow};
use protocol::id::{JobNo, Kind, StepNo, UnitId};
use protocol::rules::schedule::cost::Sketch;
use protocol::rules::schedule::wait_reason::WaitReason;
use protocol::rules::storage::multipart::Slice;
use protocol::rules::unit::transition::UnitState;
use protocol::time::Timestamp;
use rusqlite::{Row, params};

fn unknown(word: &str) -> rusqlite::Error {
    rusqlite::Error::InvalidColumnName(format!("unknown word {word}"))
}

fn read_speculation(row: &Row<'_>, at: usize) -> rusqlite::Result<Speculation> {
    let state: String = row.get(at + 2)?;
    Ok(Speculation {
        older: row.get(at)?,
        newer: row.get(at + 1)?,
        state: SpeculationState::parse(&state).ok_or_else(|| unknown(&state))?,
    })
}

impl ScheduleTx for SqliteTx<'_> {
    fn costs(&mut self) -> StoreResult<Vec<CostRow>> {
        let rows = self.all("SELECT kind, size, measures, total_us, places FROM cost", [], |row| {
            let kind: String = row.get(0)?;
            let kind = Kind::parse(&kind).ok_or_else(|| unknown(&kind))?;
            let counts: (u64, u64) = (unsigned(row, 2)?, unsigned(row, 3)?);
            Ok((kind, row.get::<_, u8>(1)?, counts, row.get::<_, String>(4)?))
        })?;
        let mut costs = Vec::with_capacity(rows.len());
        for (kind, size, (count, total_us), places) in rows {
            let places = serde_json::from_str(&places).map_err(|e| corrupt("cost", e))?;
            costs.push(CostRow { kind, size, sketch: Sketch { count, total_us, places } });
        }
        costs.sort_by_key(|row| (row.kind, row.size));
        Ok(costs)
    }

    fn put_costs(&mut self, rows: &[CostRow]) -> StoreResult<()> {
        for row in rows {
            let places = serde_json::to_string(&row.sketch.places).map_err(|e| corrupt("cost", e))?;
            self.run(
                "INSERT INTO cost (kind, size, measures, total_us, places) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (kind, size) DO UPDATE SET measures = excluded.measures, total_us = excluded.total_us,
                   places = excluded.places",
                params![row.kind.as_str(), row.size, signed(row.sketch.count), signed(row.sketch.total_us), places],
            )?;
        }
        Ok(())
    }

    fn withheld(&mut self, job: JobNo) -> StoreResult<Vec<WithheldRow>> {
        self.all(
            "SELECT step, reason, since, until FROM withheld WHERE job = ?1 ORDER BY step",
            params![job.0],
            |row| {
                let reason: String = row.get(1)?;
                Ok(WithheldRow {
                    step: StepNo(row.get(0)?),
                    reason: WaitReason::parse(&reason).ok_or_else(|| unknown(&reason))?,
                    since: Timestamp(row.get(2)?),
                    until: row.get::<_, Option<i64>>(3)?.map(Timestamp),
                })
            },
        )
    }

    fn put_withheld(&mut self, job: JobNo, rows: &[WithheldRow]) -> StoreResult<()> {
        self.run("DELETE FROM withheld WHERE job = ?1", params![job.0])?;
        for row in rows {
            self.run(
                "INSERT INTO withheld (job, step, reason, since, until) VALUES (?1, ?2, ?3, ?4, ?5)",
                params![job.0, row.step.0, row.reason.as_str(), row.since.0, row.until.map(|t| t.0)],
            )?;
        }
        Ok(())
    }

    fn speculation(&mut self, unit: UnitId) -> StoreResult<Option<Speculation>> {
        self.one(
            "SELECT older, newer, state FROM speculation WHERE job = ?1 AND step = ?2 AND part = ?3",
            params![unit.job.0, unit.step.0, unit.part],
            |row| read_speculation(row, 0),
        )
    }

    fn speculations(&mut self, job: JobNo) -> StoreResult<Vec<(UnitId, Speculation)>> {
        self.all(
            "SELECT step, part, older, newer, state FROM speculation WHERE job = ?1 ORDER BY step, part",
            params![job.0],
            |row| Ok((UnitId { job, step: StepNo(row.get(0)?), part: row.get(1)? }, read_speculation(row, 2)?)),
        )
    }

    fn put_speculation(&mut self, unit: UnitId, row: Option<Speculation>) -> StoreResult<()> {
        let key = (unit.job.0, unit.step.0, unit.part);
        match row {
            None => self.run(
                "DELETE FROM speculation WHERE job = ?1 AND step = ?2 AND part = ?3",
                params![key.0, key.1, key.2],
            ),
            Some(row) => self.run(
                "INSERT INTO speculation (job, step, part, older, newer, state) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT (job, step, part) DO UPDATE SET older = excluded.older, newer = excluded.newer,
                   state = excluded.state",
                params![key.0, key.1, key.2, row.older, row.newer, row.state.as_str()],
            ),
        }?;
        Ok(())
    }

    fn slices(&mut self, unit: UnitId) -> StoreResult<Vec<SliceRow>> {
        self.all(
            "SELECT number, first, bytes, state, epoch, attempt, due_at, receipt FROM slice
             WHERE job = ?1 AND step = ?2 AND part = ?3 ORDER BY number",
            params![unit.job.0, unit.step.0, unit.part],
            |row| {
                let state: String = row.get(3)?;
                Ok(SliceRow {
                    slice: Slice { number: row.get(0)?, first: unsigned(row, 1)?, bytes: unsigned(row, 2)? },
                    state: UnitState::parse(&state).ok_or_else(|| unknown(&state))?,
                    epoch: row.get(4)?,
                    attempt: row.get(5)?,
                    due_at: row.get::<_, Option<i64>>(6)?.map(Timestamp),
                    receipt: row.get(7)?,
                })
            },
        )
    }

    fn put_slices(&mut self, unit: UnitId, rows: &[SliceRow]) -> StoreResult<()> {
        for row in rows {
            self.run(
                "INSERT INTO slice (job, step, part, number, first, bytes, state, epoch, attempt, due_at, receipt)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
                 ON CONFLICT (job, step, part, number) DO UPDATE SET state = excluded.state, epoch = excluded.epoch,
                   attempt = excluded.attempt, due_at = excluded.due_at, receipt = excluded.receipt",
                params![
                    unit.job.0,
                    unit.step.0,
                    unit.part,
                    row.slice.number,
                    signed(row.slice.first),
                    signed(row.slice.bytes),
                    row.state.as_str(),
                    row.epoch,
                    row.attempt,
                    row.due_at.map(|t| t.0),
                    row.receipt
                ],
            )?;
        }
        Ok(())
    }
    fn cuts(&mut self) -> StoreResult<Vec<CutRow>> {
        let rows = self.all("SELECT job, step, part, state, drafts FROM cut ORDER BY job, step, part", [], |row| {
            let (state, drafts): (String, String) = (row.get(3)?, row.get(4)?);
            let unit = UnitId { job: JobNo(row.get(0)?), step: StepNo(row.get(1)?), part: row.get(2)? };
            Ok((unit, CutState::parse(&state).ok_or_else(|| unknown(&state))?, drafts))
        })?;
        let read = |(unit, state, drafts): (UnitId, CutState, String)| {
            Ok(CutRow { unit, state, drafts: serde_json::from_str(&drafts).map_err(|e| corrupt("cut", e))? })
        };
        rows.into_iter().map(read).collect()
    }

    fn put_cut(&mut self, row: &CutRow) -> StoreResult<()> {
        let drafts = serde_json::to_string(&row.drafts).map_err(|e| corrupt("cut", e))?;
        self.run(
            "INSERT INTO cut (job, step, part, state, drafts) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (job, step, part) DO UPDATE SET state = excluded.state, drafts = excluded.drafts",
            params![row.unit.job.0, row.unit.step.0, row.unit.part, row.state.as_str(), drafts],
        )?;
        Ok(())
    }

    fn forget_cut(&mut self, unit: UnitId) -> StoreResult<()> {
        let key = params![unit.job.0, unit.step.0, unit.part];
        self.run("DELETE FROM cut WHERE job = ?1 AND step = ?2 AND part = ?3", key)?;
        self.run("DELETE FROM slice WHERE job = ?1 AND step = ?2 AND part = ?3", key)?;
        Ok(())
    }
}
