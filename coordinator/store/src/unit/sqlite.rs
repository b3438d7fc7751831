//! Units in SQLite.
use super::run::{self, SuccessRun};
use super::sql::{due_units, next_due, read_unit, read_with_id};
use super::{UnitRow, UnitTx};
use crate::cost;
use crate::error::StoreResult;
use crate::sql::{Sql, values};
use crate::sqlite::{SqliteTx, failed};
use crate::view::block::{close_block, parts_without_history};
use protocol::id::{JobNo, PartNo, StepNo, UnitId};
use protocol::rules::unit::transition::UnitState;
use protocol::time::Timestamp;
use rusqlite::params_from_iter;

/// The term for a state. It is part of the text, and says what a partial index holds, so that the index applies.
pub(crate) fn in_state(state: UnitState) -> String {
    let rare = match state {
        UnitState::Planned | UnitState::Retrying | UnitState::Dead | UnitState::Cancelled => {
            " AND state IN ('planned', 'retrying', 'dead', 'cancelled')"
        }
        UnitState::Ready | UnitState::Leased | UnitState::Succeeded => "",
    };
    format!("state = '{}'{rare}", state.as_str())
}

/// Names the index that holds the units in a state. Without statistics the key of the table looks as good, and walks all
/// units of the job.
pub(crate) fn by_state(state: UnitState) -> &'static str {
    match state {
        UnitState::Ready => "INDEXED BY unit_ready",
        UnitState::Leased => "INDEXED BY unit_leased",
        UnitState::Planned | UnitState::Retrying | UnitState::Dead | UnitState::Cancelled => {
            "INDEXED BY unit_rare"
        }
        UnitState::Succeeded => "",
    }
}

impl SqliteTx<'_> {
    fn look_up(
        &mut self,
        job: JobNo,
        step: StepNo,
        parts: &[PartNo],
    ) -> StoreResult<Vec<Option<UnitRow>>> {
        let (Some(first), Some(last)) = (parts.iter().min(), parts.iter().max()) else {
            return Ok(Vec::new());
        };
        // Batches are mostly runs of neighbours: one walk over the run instead of one look-up a unit.
        if last - first < parts.len() as i64 * 4 {
            let rows = self.query(
                "SELECT part, state, epoch, attempt, due_at, duration_us FROM unit
                 WHERE job = ?1 AND step = ?2 AND part BETWEEN ?3 AND ?4",
                &values![job, step, *first, *last],
                |row| Ok((row.get::<PartNo>(0)?, read_unit(row, 1)?)),
            )?;
            let runs = self.runs(job, step, *first, *last)?;
            let find = |part: &PartNo| {
                rows.binary_search_by_key(part, |(p, _)| *p)
                    .ok()
                    .map(|at| rows[at].1)
            };
            return Ok(parts
                .iter()
                .map(|part| find(part).or_else(|| run::within(&runs, *part)))
                .collect());
        }
        let one = "SELECT state, epoch, attempt, due_at, duration_us FROM unit WHERE job = ?1 AND step = ?2 AND part = ?3";
        let mut find =
            |part: &PartNo| match self
                .query_one(one, &values![job, step, *part], |row| read_unit(row, 0))?
            {
                Some(row) => Ok(Some(row)),
                None => Ok(run::within(&self.runs(job, step, *part, *part)?, *part)),
            };
        parts.iter().map(&mut find).collect()
    }

    /// Runs that cover any of these partitions, in ascending order.
    fn runs(
        &mut self,
        job: JobNo,
        step: StepNo,
        first: PartNo,
        last: PartNo,
    ) -> StoreResult<Vec<SuccessRun>> {
        self.query(
            "SELECT first, last, busy_us FROM streak
             WHERE job = ?1 AND step = ?2 AND first <= ?4 AND last >= ?3 AND first >=
               COALESCE((SELECT MAX(s.first) FROM streak s WHERE s.job = ?1 AND s.step = ?2 AND s.first <= ?3), ?3)
             ORDER BY first",
            &values![job, step, first, last],
            |row| Ok(SuccessRun { first: row.get(0)?, last: row.get(1)?, busy_us: row.get(2)? }),
        )
    }

    fn put_rows(
        &mut self,
        job: JobNo,
        step: StepNo,
        units: &[(PartNo, UnitRow)],
    ) -> StoreResult<()> {
        cost::rows(units.len());
        let mut upsert = self
            .db
            .prepare_cached(
                "INSERT INTO unit (job, step, part, state, epoch, attempt, due_at, duration_us)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
                 ON CONFLICT (job, step, part) DO UPDATE SET state = excluded.state, epoch = excluded.epoch,
                   attempt = excluded.attempt, due_at = excluded.due_at, duration_us = excluded.duration_us",
            )
            .map_err(failed)?;
        for (part, row) in units {
            let values = values![
                job,
                step,
                *part,
                row.state.as_str(),
                row.epoch,
                row.attempt,
                row.due_at,
                row.duration_us
            ];
            upsert.execute(params_from_iter(values)).map_err(failed)?;
        }
        self.count(&upsert);
        Ok(())
    }
}

impl UnitTx for SqliteTx<'_> {
    fn units(
        &mut self,
        job: JobNo,
        step: StepNo,
        parts: &[PartNo],
    ) -> StoreResult<Vec<Option<UnitRow>>> {
        let found = self.look_up(job, step, parts)?;
        let absent = parts.iter().zip(&found).filter(|(_, row)| row.is_none());
        self.absent
            .extend(absent.map(|(part, _)| UnitId::new(job, step, *part)));
        Ok(found)
    }

    fn put_units(
        &mut self,
        job: JobNo,
        step: StepNo,
        units: &[(PartNo, UnitRow)],
    ) -> StoreResult<()> {
        let (mut plain, mut own) = (Vec::new(), Vec::new());
        for (part, row) in units {
            let new = self.absent.remove(&UnitId::new(job, step, *part));
            let list = if new && run::is_plain_success(row) {
                &mut plain
            } else {
                &mut own
            };
            list.push((*part, *row));
        }
        plain.sort_unstable_by_key(|(part, _)| *part);
        let (runs, single) = run::encode_runs(&plain);
        for run in runs {
            self.execute(
                "INSERT INTO streak (job, step, first, last, busy_us) VALUES (?1, ?2, ?3, ?4, ?5)",
                &values![job, step, run.first, run.last, run.busy_us],
            )?;
        }
        own.extend(single);
        self.put_rows(job, step, &own)
    }

    fn ready_units(
        &mut self,
        job: JobNo,
        step: StepNo,
        limit: u32,
    ) -> StoreResult<Vec<(PartNo, UnitRow)>> {
        self.query(
            "SELECT part, state, epoch, attempt, due_at, duration_us FROM unit INDEXED BY unit_ready
             WHERE state = 'ready' AND job = ?1 AND step = ?2 ORDER BY part LIMIT ?3",
            &values![job, step, limit],
            |row| Ok((row.get(0)?, read_unit(row, 1)?)),
        )
    }

    fn due_units(&mut self, now: Timestamp, limit: u32) -> StoreResult<Vec<(UnitId, UnitRow)>> {
        due_units(self, now, limit)
    }

    fn next_due(&mut self) -> StoreResult<Option<Timestamp>> {
        next_due(self)
    }

    fn units_in(
        &mut self,
        job: JobNo,
        state: UnitState,
        after: Option<(StepNo, PartNo)>,
        limit: u32,
    ) -> StoreResult<Vec<(UnitId, UnitRow)>> {
        let (step, part) = after.map_or((-1, -1), |(step, part)| (i64::from(step.0), part));
        let sql = format!(
            "SELECT job, step, part, state, epoch, attempt, due_at, duration_us FROM unit {}
             WHERE {} AND job = ?1 AND (step, part) > (?2, ?3) ORDER BY step, part LIMIT ?4",
            by_state(state),
            in_state(state)
        );
        self.query(&sql, &values![job, step, part, limit], read_with_id)
    }

    fn computed_out(
        &mut self,
        job: JobNo,
        step: StepNo,
        after: PartNo,
        limit: u32,
    ) -> StoreResult<Vec<PartNo>> {
        let sql = "SELECT cursor FROM step WHERE job = ?1 AND step = ?2";
        let cursor: Option<PartNo> = self.query_one(sql, &values![job, step], |row| row.get(0))?;
        parts_without_history(self, job, step, (after + 1, cursor.unwrap_or(0)), limit)
    }

    fn close_block(&mut self, job: JobNo, step: StepNo, block: i64) -> StoreResult<bool> {
        close_block(self, job, step, block)
    }
}
