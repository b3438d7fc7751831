//! Units in PostgreSQL. A transaction remembers the units it has seen and gathers those it writes.
use super::run::{self, SuccessRun};
use super::sql::{due_units, next_due, read_unit, read_with_id};
use super::{UnitRow, UnitTx};
use crate::error::StoreResult;
use crate::postgres::copy::CopyRows;
use crate::postgres::tx::{Before, PostgresTx, column, own, signed};
use crate::sql::{Row, Sql, values};
use crate::step::StepTx as _;
use crate::view::block::{close_block, parts_without_history};
use protocol::id::{JobNo, PartNo, StepNo, UnitId};
use protocol::rules::unit::transition::UnitState;
use protocol::time::Timestamp;
use std::collections::BTreeMap;

/// Fewer new rows than this are not worth a COPY of their own.
const COPY_MIN: usize = 32;

/// The terms for a state, whose word is at `place`, in job `?1`. What the partial index is over is part of the text, so that it
/// applies and no other looks as good. The state is not: with its word, the index of retries that are due would apply as well.
pub(crate) fn in_state(state: UnitState, place: usize) -> String {
    match state {
        UnitState::Succeeded => format!("state = ?{place} AND job = ?1"),
        _ => format!("state = ?{place} AND state <> 'succeeded' AND job + 0 = ?1"),
    }
}

/// Columns of a unit that a transaction remembers.
const UNIT_COLUMNS: &str = "part, state, epoch, attempt, due_at, duration_us";

/// The row of a unit, or the first row of a run with the last partition of the run.
type RowOrRun = (PartNo, UnitRow, Option<PartNo>);

fn read_row_or_run(row: &tokio_postgres::Row) -> StoreResult<RowOrRun> {
    Ok((
        column::<PartNo>(row, 0)?,
        read_unit(Row::new(row), 1)?,
        column::<Option<PartNo>>(row, 6)?,
    ))
}

impl PostgresTx<'_> {
    /// Writes the units that wait: new rows by COPY, others by one upsert in key order.
    pub(crate) fn flush_units(&mut self) -> StoreResult<()> {
        if self.waiting.units.is_empty() {
            return Ok(());
        }
        let mut units = std::mem::take(&mut self.waiting.units);
        self.waiting.retries = false;
        self.flush_runs(&mut units)?;
        let new = units
            .values()
            .filter(|(_, before)| *before == Before::None)
            .count();
        let copied = |before: Before| new >= COPY_MIN && before == Before::None;
        if new >= COPY_MIN {
            let mut rows = CopyRows::new(8, new);
            for (id, (unit, _)) in units.iter().filter(|(_, (_, before))| copied(*before)) {
                let row = rows
                    .row()
                    .int(id.job.0)
                    .int(id.step.0.into())
                    .int(id.packed_part())
                    .text(unit.state.as_str());
                row.int(unit.epoch.into())
                    .int(unit.attempt.into())
                    .int_or_null(unit.due_at.map(|t| t.0));
                row.int(signed(unit.duration_us));
            }
            self.copy(
                "COPY unit (job, step, part, state, epoch, attempt, due_at, duration_us) FROM STDIN (FORMAT binary)",
                rows,
            )?;
        }
        let rest: Vec<(&UnitId, &UnitRow)> = units
            .iter()
            .filter(|(_, (_, before))| !copied(*before))
            .map(|(id, (unit, _))| (id, unit))
            .collect();
        if rest.is_empty() {
            return Ok(());
        }
        let of = |field: fn(&UnitId, &UnitRow) -> i64| -> Vec<i64> {
            rest.iter().map(|(id, unit)| field(id, unit)).collect()
        };
        let states: Vec<&'static str> = rest.iter().map(|(_, unit)| unit.state.as_str()).collect();
        let due: Vec<Option<i64>> = rest
            .iter()
            .map(|(_, unit)| unit.due_at.map(|t| t.0))
            .collect();
        self.later(
            "INSERT INTO unit (job, step, part, state, epoch, attempt, due_at, duration_us)
             SELECT * FROM unnest(?1::BIGINT[], ?2::BIGINT[], ?3::BIGINT[], ?4::TEXT[], ?5::BIGINT[], ?6::BIGINT[],
               ?7::BIGINT[], ?8::BIGINT[])
             ON CONFLICT (job, step, part) DO UPDATE SET state = excluded.state, epoch = excluded.epoch,
               attempt = excluded.attempt, due_at = excluded.due_at, duration_us = excluded.duration_us",
            own![
                of(|id, _| id.job.0),
                of(|id, _| id.step.0.into()),
                of(|id, _| id.packed_part()),
                states,
                of(|_, unit| unit.epoch.into()),
                of(|_, unit| unit.attempt.into()),
                due,
                of(|_, unit| signed(unit.duration_us)),
            ],
        )
    }

    /// Moves runs out of the units that wait, and writes them.
    fn flush_runs(&mut self, units: &mut BTreeMap<UnitId, (UnitRow, Before)>) -> StoreResult<()> {
        let mut by_step: BTreeMap<(JobNo, StepNo), Vec<(PartNo, UnitRow)>> = BTreeMap::new();
        for (id, (row, before)) in units.iter() {
            if *before == Before::None && run::is_plain_success(row) {
                by_step
                    .entry((id.job, id.step))
                    .or_default()
                    .push((id.part, *row));
            }
        }
        let mut found = 0;
        let mut rows = CopyRows::new(5, 64);
        for ((job, step), plain) in by_step {
            for run in run::encode_runs(&plain).0 {
                found += 1;
                let row = rows
                    .row()
                    .int(job.0)
                    .int(step.0.into())
                    .int(run.first)
                    .int(run.last);
                row.int(signed(run.busy_us));
                for part in run.first..=run.last {
                    units.remove(&UnitId::new(job, step, part));
                }
            }
        }
        if found == 0 {
            return Ok(());
        }
        self.copy(
            "COPY streak (job, step, first, last, busy_us) FROM STDIN (FORMAT binary)",
            rows,
        )
    }

    /// Rows and runs of a range of partitions.
    fn units_between(
        &mut self,
        job: JobNo,
        step: StepNo,
        first: PartNo,
        last: PartNo,
    ) -> StoreResult<Vec<RowOrRun>> {
        let sql = format!(
            "SELECT {UNIT_COLUMNS}, NULL::BIGINT FROM unit WHERE job = ?1 AND step = ?2 AND part BETWEEN ?3 AND ?4
                 UNION ALL SELECT first, 'succeeded', 1, 0, NULL, busy_us, last FROM streak
                 WHERE job = ?1 AND step = ?2 AND first <= ?4 AND last >= ?3 AND first >=
                   COALESCE((SELECT s.first FROM streak s WHERE s.job = ?1 AND s.step = ?2 AND s.first <= ?3
                             ORDER BY s.first DESC LIMIT 1), ?3)"
        );
        let step = i64::from(step.0);
        self.all(&sql, &[&job.0, &step, &first, &last], read_row_or_run)
    }

    /// Rows and runs of single partitions. Each look-up is by a whole key, also in a table without statistics (OFFSET 0).
    fn units_of(
        &mut self,
        job: JobNo,
        step: StepNo,
        parts: &[PartNo],
    ) -> StoreResult<Vec<RowOrRun>> {
        let sql = format!(
            "SELECT u.*, NULL::BIGINT FROM unnest(?3::BIGINT[]) AS wanted (part) CROSS JOIN LATERAL
                   (SELECT {UNIT_COLUMNS} FROM unit WHERE job = ?1 AND step = ?2 AND part = wanted.part OFFSET 0) AS u
                 UNION ALL SELECT DISTINCT s.first, 'succeeded', 1, 0, NULL::BIGINT, s.busy_us, s.last
                 FROM unnest(?3::BIGINT[]) AS wanted (part) CROSS JOIN LATERAL
                   (SELECT first, last, busy_us FROM streak WHERE job = ?1 AND step = ?2 AND first <= wanted.part
                    ORDER BY first DESC LIMIT 1) AS s WHERE s.last >= wanted.part"
        );
        let step = i64::from(step.0);
        self.all(&sql, &[&job.0, &step, &parts], read_row_or_run)
    }

    /// Reads units that this transaction has not seen.
    pub(crate) fn look_up_units(
        &mut self,
        job: JobNo,
        step: StepNo,
        parts: &[PartNo],
    ) -> StoreResult<()> {
        let id = |part: PartNo| UnitId::new(job, step, part);
        let unseen: Vec<PartNo> = parts
            .iter()
            .copied()
            .filter(|part| !self.seen.units.contains_key(&id(*part)))
            .collect();
        let (Some(&first), Some(&last)) = (unseen.iter().min(), unseen.iter().max()) else {
            return Ok(());
        };
        // Batches are mostly runs of neighbours: one walk over the run instead of one look-up a unit.
        let ahead = if parts.len() == 1 {
            self.seen.walks.units.ahead(first)
        } else {
            1
        };
        let until = last + ahead - 1;
        let dense = until - first < unseen.len() as i64 * 4 || ahead > 1;
        let rows = match dense {
            true => self.units_between(job, step, first, until)?,
            false => self.units_of(job, step, &unseen)?,
        };
        let mut runs = Vec::new();
        for (part, row, last) in rows {
            match last {
                // A row that this transaction wrote is newer than the row it reads here.
                None => drop(self.seen.units.entry(id(part)).or_insert(Some(row))),
                Some(last) => runs.push(SuccessRun {
                    first: part,
                    last,
                    busy_us: row.duration_us,
                }),
            }
        }
        runs.sort_unstable_by_key(|run| run.first);
        // The row of a unit is newer than the run it was in, so a run counts only for units whose rows were read.
        let covered: Vec<PartNo> = if dense {
            (first..=until).collect()
        } else {
            unseen.clone()
        };
        for part in covered {
            if let Some(row) = run::within(&runs, part) {
                self.seen.units.entry(id(part)).or_insert(Some(row));
            }
        }
        let absent = if ahead > 1 {
            (first..=until).collect()
        } else {
            unseen
        };
        for part in absent {
            self.seen.units.entry(id(part)).or_insert(None);
        }
        Ok(())
    }
}

impl UnitTx for PostgresTx<'_> {
    fn units(
        &mut self,
        job: JobNo,
        step: StepNo,
        parts: &[PartNo],
    ) -> StoreResult<Vec<Option<UnitRow>>> {
        self.look_up_units(job, step, parts)?;
        let seen = |part: &PartNo| {
            self.seen
                .units
                .get(&UnitId::new(job, step, *part))
                .copied()
                .flatten()
        };
        Ok(parts.iter().map(seen).collect())
    }

    fn put_units(
        &mut self,
        job: JobNo,
        step: StepNo,
        units: &[(PartNo, UnitRow)],
    ) -> StoreResult<()> {
        for (part, row) in units {
            let id = UnitId::new(job, step, *part);
            let before = self.seen.units.insert(id, Some(*row));
            let retried = |row: &UnitRow| row.state == UnitState::Retrying;
            if retried(row) || before.is_none_or(|row| row.is_some_and(|row| retried(&row))) {
                self.waiting.retries = true;
                self.seen.due = None;
            }
            let before = if before == Some(None) {
                Before::None
            } else {
                Before::Perhaps
            };
            self.waiting
                .units
                .entry(id)
                .and_modify(|(waiting, _)| *waiting = *row)
                .or_insert((*row, before));
        }
        self.flush_when_many()
    }

    /// What waits to be written is laid over what is there: most of what becomes ready goes out in the same transaction,
    /// and is written once.
    fn ready_units(
        &mut self,
        job: JobNo,
        step: StepNo,
        limit: u32,
    ) -> StoreResult<Vec<(PartNo, UnitRow)>> {
        let id = |part: PartNo| UnitId::new(job, step, part);
        let here = || id(PartNo::MIN)..=id(PartNo::MAX);
        let hidden = self
            .waiting
            .units
            .range(here())
            .filter(|(_, (_, before))| *before == Before::Perhaps)
            .count();
        let wanted = i64::from(limit) + hidden as i64;
        let stored = self.all(
            "SELECT part, state, epoch, attempt, due_at, duration_us FROM unit
             WHERE state = 'ready' AND job + 0 = ?1 AND step = ?2 ORDER BY part LIMIT ?3",
            &[&job.0, &i64::from(step.0), &wanted],
            |row| Ok((column(row, 0)?, read_unit(Row::new(row), 1)?)),
        )?;
        let waiting = self.waiting.units.range(here());
        let ready = waiting
            .filter(|(_, (row, _))| row.state == UnitState::Ready)
            .map(|(id, (row, _))| (id.part, *row));
        let untouched = stored
            .into_iter()
            .filter(|(part, _)| !self.waiting.units.contains_key(&id(*part)));
        let mut found: Vec<(PartNo, UnitRow)> = untouched.chain(ready).collect();
        found.sort_unstable_by_key(|(part, _)| *part);
        found.truncate(limit as usize);
        Ok(found)
    }

    fn due_units(&mut self, now: Timestamp, limit: u32) -> StoreResult<Vec<(UnitId, UnitRow)>> {
        self.flush_units()?;
        due_units(self, now, limit)
    }

    fn next_due(&mut self) -> StoreResult<Option<Timestamp>> {
        if let Some(seen) = self.seen.due {
            return Ok(seen);
        }
        if self.waiting.retries {
            self.flush_units()?;
        }
        let due = next_due(self)?;
        self.seen.due = Some(due);
        Ok(due)
    }

    fn units_in(
        &mut self,
        job: JobNo,
        state: UnitState,
        after: Option<(StepNo, PartNo)>,
        limit: u32,
    ) -> StoreResult<Vec<(UnitId, UnitRow)>> {
        self.flush_units()?;
        let (step, part) = after.map_or((-1, -1), |(step, part)| (i64::from(step.0), part));
        let sql = format!(
            "SELECT job, step, part, state, epoch, attempt, due_at, duration_us FROM unit
             WHERE {} AND (step, part) > (?2, ?3) ORDER BY step, part LIMIT ?4",
            in_state(state, 5)
        );
        self.query(
            &sql,
            &values![job, step, part, limit, state.as_str()],
            read_with_id,
        )
    }

    fn computed_out(
        &mut self,
        job: JobNo,
        step: StepNo,
        after: PartNo,
        limit: u32,
    ) -> StoreResult<Vec<PartNo>> {
        self.flush_units()?;
        let cursor = self
            .steps(job)?
            .iter()
            .find(|row| row.step == step)
            .map_or(0, |row| row.cursor);
        parts_without_history(self, job, step, (after + 1, cursor), limit)
    }

    fn close_block(&mut self, job: JobNo, step: StepNo, block: i64) -> StoreResult<bool> {
        close_block(self, job, step, block)
    }
}
