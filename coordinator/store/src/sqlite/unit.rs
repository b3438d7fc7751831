//! Units with a history, and why assets failed.
use super::job::{signed, unsigned};
use super::{SqliteTx, failed};
use crate::cost;
use crate::streak::{self, Streak};
use crate::view::Candidates as _;
use crate::{FailureRow, FailureTx, StoreResult, UnitRow, UnitTx};
use protocol::failure::{ErrorClass, Failure};
use protocol::id::{JobNo, PartNo, StepNo, UnitId};
use protocol::rules::unit::fingerprint::fingerprint;
use protocol::rules::unit::transition::UnitState;
use protocol::time::Timestamp;
use rusqlite::{Row, params};

fn read_unit(row: &Row<'_>, at: usize) -> rusqlite::Result<UnitRow> {
    let state: String = row.get(at)?;
    Ok(UnitRow {
        state: UnitState::parse(&state)
            .ok_or_else(|| rusqlite::Error::InvalidColumnName(format!("unit state {state}")))?,
        epoch: row.get(at + 1)?,
        attempt: row.get(at + 2)?,
        due_at: row.get::<_, Option<i64>>(at + 3)?.map(Timestamp),
        duration_us: unsigned(row, at + 4)?,
    })
}

/// The term for a state. It is part of the text, and says what a partial index holds, so that the index applies.
pub(super) fn in_state(state: UnitState) -> String {
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
pub(super) fn by_state(state: UnitState) -> &'static str {
    match state {
        UnitState::Ready => "INDEXED BY unit_ready",
        UnitState::Leased => "INDEXED BY unit_leased",
        UnitState::Planned | UnitState::Retrying | UnitState::Dead | UnitState::Cancelled => "INDEXED BY unit_rare",
        UnitState::Succeeded => "",
    }
}

pub(super) fn read_id(row: &Row<'_>) -> rusqlite::Result<UnitId> {
    Ok(UnitId { job: JobNo(row.get(0)?), step: StepNo(row.get(1)?), part: row.get(2)? })
}

impl SqliteTx<'_> {
    fn look_up(&self, job: JobNo, step: StepNo, parts: &[PartNo]) -> StoreResult<Vec<Option<UnitRow>>> {
        let (Some(first), Some(last)) = (parts.iter().min(), parts.iter().max()) else { return Ok(Vec::new()) };
        // Batches are mostly runs of neighbours: one walk over the run instead of one look-up a unit.
        if last - first < parts.len() as i64 * 4 {
            let rows = self.all(
                "SELECT part, state, epoch, attempt, due_at, duration_us FROM unit
                 WHERE job = ?1 AND step = ?2 AND part BETWEEN ?3 AND ?4",
                params![job.0, step.0, first, last],
                |row| Ok((row.get::<_, PartNo>(0)?, read_unit(row, 1)?)),
            )?;
            let streaks = self.streaks(job, step, *first, *last)?;
            let find = |part: &PartNo| rows.binary_search_by_key(part, |(p, _)| *p).ok().map(|at| rows[at].1);
            return Ok(parts.iter().map(|part| find(part).or_else(|| streak::within(&streaks, *part))).collect());
        }
        let one =
            "SELECT state, epoch, attempt, due_at, duration_us FROM unit WHERE job = ?1 AND step = ?2 AND part = ?3";
        let find = |part: &PartNo| match self.one(one, params![job.0, step.0, part], |row| read_unit(row, 0))? {
            Some(row) => Ok(Some(row)),
            None => Ok(streak::within(&self.streaks(job, step, *part, *part)?, *part)),
        };
        parts.iter().map(find).collect()
    }

    /// Runs that cover any of these partitions, in ascending order.
    fn streaks(&self, job: JobNo, step: StepNo, first: PartNo, last: PartNo) -> StoreResult<Vec<Streak>> {
        self.all(
            "SELECT first, last, busy_us FROM streak
             WHERE job = ?1 AND step = ?2 AND first <= ?4 AND last >= ?3 AND first >=
               COALESCE((SELECT MAX(s.first) FROM streak s WHERE s.job = ?1 AND s.step = ?2 AND s.first <= ?3), ?3)
             ORDER BY first",
            params![job.0, step.0, first, last],
            |row| Ok(Streak { first: row.get(0)?, last: row.get(1)?, busy_us: unsigned(row, 2)? }),
        )
    }

    fn put_rows(&mut self, job: JobNo, step: StepNo, units: &[(PartNo, UnitRow)]) -> StoreResult<()> {
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
            upsert
                .execute(params![
                    job.0,
                    step.0,
                    part,
                    row.state.as_str(),
                    row.epoch,
                    row.attempt,
                    row.due_at.map(|t| t.0),
                    signed(row.duration_us)
                ])
                .map_err(failed)?;
        }
        Ok(())
    }
}

impl UnitTx for SqliteTx<'_> {
    fn units(&mut self, job: JobNo, step: StepNo, parts: &[PartNo]) -> StoreResult<Vec<Option<UnitRow>>> {
        let found = self.look_up(job, step, parts)?;
        let absent = parts.iter().zip(&found).filter(|(_, row)| row.is_none());
        self.absent.extend(absent.map(|(part, _)| UnitId { job, step, part: *part }));
        Ok(found)
    }

    fn put_units(&mut self, job: JobNo, step: StepNo, units: &[(PartNo, UnitRow)]) -> StoreResult<()> {
        let (mut fitting, mut own) = (Vec::new(), Vec::new());
        for (part, row) in units {
            let new = self.absent.remove(&UnitId { job, step, part: *part });
            let list = if new && streak::fits(row) { &mut fitting } else { &mut own };
            list.push((*part, *row));
        }
        fitting.sort_unstable_by_key(|(part, _)| *part);
        let (streaks, single) = streak::gather(&fitting);
        for streak in streaks {
            self.run(
                "INSERT INTO streak (job, step, first, last, busy_us) VALUES (?1, ?2, ?3, ?4, ?5)",
                params![job.0, step.0, streak.first, streak.last, signed(streak.busy_us)],
            )?;
        }
        own.extend(single);
        self.put_rows(job, step, &own)
    }

    fn ready_units(&mut self, job: JobNo, step: StepNo, limit: u32) -> StoreResult<Vec<(PartNo, UnitRow)>> {
        self.all(
            "SELECT part, state, epoch, attempt, due_at, duration_us FROM unit INDEXED BY unit_ready
             WHERE state = 'ready' AND job = ?1 AND step = ?2 ORDER BY part LIMIT ?3",
            params![job.0, step.0, limit],
            |row| Ok((row.get(0)?, read_unit(row, 1)?)),
        )
    }

    fn due_units(&mut self, now: Timestamp, limit: u32) -> StoreResult<Vec<(UnitId, UnitRow)>> {
        self.all(
            "SELECT job, step, part, state, epoch, attempt, due_at, duration_us FROM unit
             WHERE state = 'retrying' AND due_at <= ?1 ORDER BY due_at LIMIT ?2",
            params![now.0, limit],
            |row| Ok((read_id(row)?, read_unit(row, 3)?)),
        )
    }

    fn next_due(&mut self) -> StoreResult<Option<Timestamp>> {
        let due: Option<Option<i64>> =
            self.one("SELECT MIN(due_at) FROM unit WHERE state = 'retrying'", [], |row| row.get(0))?;
        Ok(due.flatten().map(Timestamp))
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
        self.all(&sql, params![job.0, step, part, limit], |row| Ok((read_id(row)?, read_unit(row, 3)?)))
    }

    fn computed_out(&mut self, job: JobNo, step: StepNo, limit: u32) -> StoreResult<Vec<PartNo>> {
        let cursor: Option<PartNo> =
            self.one("SELECT cursor FROM step WHERE job = ?1 AND step = ?2", params![job.0, step.0], |row| row.get(0))?;
        self.parts_without_history(job, step, 1, cursor.unwrap_or(0), limit)
    }
}

impl FailureTx for SqliteTx<'_> {
    fn put_failures(&mut self, unit: UnitId, failures: &[(String, Failure)]) -> StoreResult<()> {
        self.run(
            "DELETE FROM failure WHERE job = ?1 AND step = ?2 AND part = ?3",
            params![unit.job.0, unit.step.0, unit.part],
        )?;
        for (asset, failure) in failures {
            self.run(
                "INSERT INTO failure (job, step, part, asset, class, reason, message, checks, findings, cause)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
                 ON CONFLICT (job, step, part, asset) DO UPDATE SET message = excluded.message,
                   cause = excluded.cause",
                params![
                    unit.job.0,
                    unit.step.0,
                    unit.part,
                    asset,
                    failure.class.as_str(),
                    failure.reason,
                    failure.message,
                    failure.checks.join(","),
                    failure.findings,
                    fingerprint(failure)
                ],
            )?;
        }
        Ok(())
    }

    fn failures_of(&mut self, unit: UnitId) -> StoreResult<Vec<(String, Failure)>> {
        self.all(
            "SELECT asset, class, reason, message, checks, findings FROM failure
             WHERE job = ?1 AND step = ?2 AND part = ?3 ORDER BY asset",
            params![unit.job.0, unit.step.0, unit.part],
            |row| {
                let (class, checks): (String, String) = (row.get(1)?, row.get(4)?);
                let failure = Failure {
                    class: ErrorClass::parse(&class),
                    reason: row.get(2)?,
                    message: row.get(3)?,
                    checks: checks.split(',').filter(|c| !c.is_empty()).map(str::to_owned).collect(),
                    findings: row.get(5)?,
                };
                Ok((row.get(0)?, failure))
            },
        )
    }

    fn failures(&mut self, job: JobNo, limit: u32) -> StoreResult<Vec<FailureRow>> {
        let sql = format!("{FAILURE} WHERE f.job = ?1 ORDER BY f.step, f.part, f.asset LIMIT ?2");
        self.all(&sql, params![job.0, limit], read_failure)
    }
}

/// A failure with what is known of its asset and its unit.
pub(super) const FAILURE: &str = "SELECT f.job, f.step, f.part, f.asset, COALESCE(l.title, p.title, ''), f.class, \
     f.reason, f.message, f.checks, f.findings, COALESCE(u.state, \
     CASE WHEN f.part <= (SELECT s.last FROM streak s WHERE s.job = f.job AND s.step = f.step AND s.first <= f.part \
     ORDER BY s.first DESC LIMIT 1) THEN 'succeeded' END, 'leased'), COALESCE(l.role, '')
     FROM failure f
     LEFT JOIN listing l ON l.job = f.job AND l.asset = f.asset
     LEFT JOIN partition p ON p.job = f.job AND p.part = f.part
     LEFT JOIN unit u ON u.job = f.job AND u.step = f.step AND u.part = f.part";

/// Reads what [`FAILURE`] selects.
pub(super) fn read_failure(row: &Row<'_>) -> rusqlite::Result<FailureRow> {
    let checks: String = row.get(8)?;
    let (class, state): (String, String) = (row.get(5)?, row.get(10)?);
    Ok(FailureRow {
        unit: read_id(row)?,
        state: UnitState::parse(&state).unwrap_or(UnitState::Dead),
        asset: row.get(3)?,
        title: row.get(4)?,
        role: row.get(11)?,
        failure: Failure {
            class: ErrorClass::parse(&class),
            reason: row.get(6)?,
            message: row.get(7)?,
            checks: checks.split(',').filter(|c| !c.is_empty()).map(str::to_owned).collect(),
            findings: row.get(9)?,
        },
    })
}
