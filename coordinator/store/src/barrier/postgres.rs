//! Barrier instances in PostgreSQL. A transaction gathers growth and changed rows, and writes each in one statement.
use super::sql::{COLUMNS, counts, read_barrier};
use super::{BarrierCounts, BarrierGrowth, BarrierRow, BarrierState, BarrierTx, span};
use crate::error::StoreResult;
use crate::postgres::tx::{BarrierKey, PostgresTx, own, signed};
use crate::sql::{Filter, Sql, values};
use protocol::id::{JobNo, StepNo};

/// The key columns of rows that wait.
fn keys<'k>(
    rows: impl Iterator<Item = &'k BarrierKey> + Clone,
) -> (Vec<i64>, Vec<i64>, Vec<String>) {
    (
        rows.clone().map(|(job, ..)| job.0).collect(),
        rows.clone().map(|(_, step, _)| step.0.into()).collect(),
        rows.map(|(.., key)| key.clone()).collect(),
    )
}

impl PostgresTx<'_> {
    /// Writes the instances that wait. Growth and rows never wait both, so their order is kept.
    pub(crate) fn flush_barriers(&mut self) -> StoreResult<()> {
        self.flush_growth()?;
        self.flush_rows()
    }

    fn flush_growth(&mut self) -> StoreResult<()> {
        if self.waiting.growth.is_empty() {
            return Ok(());
        }
        let growth = std::mem::take(&mut self.waiting.growth);
        let (jobs, steps, names) = keys(growth.keys());
        let of =
            |field: fn(&BarrierGrowth) -> i64| growth.values().map(field).collect::<Vec<i64>>();
        self.later(
            "INSERT INTO barrier (job, step, key, first_part, last_part, total, succeeded, failed, state, spread)
             SELECT g.job, g.step, g.key, g.first, g.last, g.total, 0, g.failed, 'waiting', 0
             FROM unnest(?1::BIGINT[], ?2::BIGINT[], ?3::TEXT[], ?4::BIGINT[], ?5::BIGINT[], ?6::BIGINT[],
               ?7::BIGINT[]) AS g (job, step, key, first, last, total, failed)
             ON CONFLICT (job, step, key) DO UPDATE SET total = barrier.total + excluded.total,
               failed = barrier.failed + excluded.failed,
               first_part = CASE WHEN excluded.last_part < excluded.first_part THEN barrier.first_part
                 WHEN barrier.last_part < barrier.first_part THEN excluded.first_part
                 ELSE LEAST(barrier.first_part, excluded.first_part) END,
               last_part = CASE WHEN excluded.last_part < excluded.first_part THEN barrier.last_part
                 WHEN barrier.last_part < barrier.first_part THEN excluded.last_part
                 ELSE GREATEST(barrier.last_part, excluded.last_part) END",
            own![
                jobs,
                steps,
                names,
                of(|g| g.first),
                of(|g| g.last),
                of(|g| signed(g.members)),
                of(|g| signed(g.failed)),
            ],
        )
    }

    fn flush_rows(&mut self) -> StoreResult<()> {
        if self.waiting.barriers.is_empty() {
            return Ok(());
        }
        let rows = std::mem::take(&mut self.waiting.barriers);
        let (jobs, steps, names) = keys(rows.keys());
        let of = |field: fn(&BarrierRow) -> i64| rows.values().map(field).collect::<Vec<i64>>();
        let states: Vec<&'static str> = rows.values().map(|row| row.state.as_str()).collect();
        let released: Vec<Option<i64>> = rows
            .values()
            .map(|row| row.released_at.map(|t| t.0))
            .collect();
        self.later(
            "UPDATE barrier SET first_part = b.first_part, last_part = b.last_part, total = b.total,
               succeeded = b.succeeded, failed = b.failed, state = b.state, spread = b.spread,
               released_at = b.released_at
             FROM (SELECT b.*, found.at
                   FROM unnest(?1::BIGINT[], ?2::BIGINT[], ?3::TEXT[], ?4::BIGINT[], ?5::BIGINT[], ?6::BIGINT[],
                     ?7::BIGINT[], ?8::BIGINT[], ?9::TEXT[], ?10::BIGINT[], ?11::BIGINT[])
                     AS b (job, step, key, first_part, last_part, total, succeeded, failed, state, spread, released_at)
                   CROSS JOIN LATERAL (SELECT ctid AS at FROM barrier
                     WHERE job = b.job AND step = b.step AND key = b.key OFFSET 0) AS found) AS b
             WHERE barrier.ctid = b.at",
            own![
                jobs,
                steps,
                names,
                of(|b| b.first),
                of(|b| b.last),
                of(|b| signed(b.total)),
                of(|b| signed(b.succeeded)),
                of(|b| signed(b.failed)),
                states,
                of(|b| b.spread),
                released,
            ],
        )
    }
}

impl BarrierTx for PostgresTx<'_> {
    fn add_to_barrier(
        &mut self,
        job: JobNo,
        step: StepNo,
        grow: &BarrierGrowth,
    ) -> StoreResult<()> {
        self.flush_rows()?;
        let key = (job, step, grow.key.clone());
        self.seen.barriers.remove(&key);
        let add = |waiting: &mut BarrierGrowth| {
            waiting.members += grow.members;
            waiting.failed += grow.failed;
            (waiting.first, waiting.last) =
                span((waiting.first, waiting.last), (grow.first, grow.last));
        };
        self.waiting
            .growth
            .entry(key)
            .and_modify(add)
            .or_insert_with(|| grow.clone());
        Ok(())
    }

    fn barrier(&mut self, job: JobNo, step: StepNo, key: &str) -> StoreResult<Option<BarrierRow>> {
        self.flush_growth()?;
        let id = (job, step, key.to_owned());
        if let Some(seen) = self.seen.barriers.get(&id) {
            return Ok(seen.clone());
        }
        let sql = format!(
            "SELECT {COLUMNS} FROM barrier WHERE job = ?1 AND step = ?2 AND key >= ?3 ORDER BY key LIMIT ?4"
        );
        let ahead = self.seen.walks.barriers();
        for row in self.query(&sql, &values![job, step, key, ahead], read_barrier)? {
            // A row that this transaction wrote is newer than the row it reads here.
            self.seen
                .barriers
                .entry((job, step, row.key.clone()))
                .or_insert(Some(row));
        }
        Ok(self.seen.barriers.entry(id).or_insert(None).clone())
    }

    fn barriers(
        &mut self,
        job: JobNo,
        step: StepNo,
        state: Option<BarrierState>,
        after: Option<&str>,
        limit: u32,
    ) -> StoreResult<Vec<BarrierRow>> {
        self.flush_barriers()?;
        // The state is part of the text so that the partial index applies, and `job + 0` so that no other index does.
        let mut filter = Filter::default();
        match state {
            Some(state @ (BarrierState::Waiting | BarrierState::Held)) => {
                filter.compare("job + 0 =", Some(job));
                filter.term(&format!("state = '{}'", state.as_str()));
            }
            Some(BarrierState::Released) => {
                filter.compare("job =", Some(job));
                filter.term("state = 'released'");
            }
            None => filter.compare("job =", Some(job)),
        }
        filter.compare("step =", Some(step));
        filter.compare("key >", after);
        let limit = filter.place(limit);
        let sql = format!(
            "SELECT {COLUMNS} FROM barrier {} ORDER BY key LIMIT {limit}",
            filter.clause()
        );
        self.query(&sql, filter.values(), read_barrier)
    }

    fn barrier_counts(&mut self, job: JobNo, step: StepNo) -> StoreResult<BarrierCounts> {
        self.flush_barriers()?;
        counts(self, job, step)
    }

    fn barriers_spreading(
        &mut self,
        job: JobNo,
        step: StepNo,
        limit: u32,
    ) -> StoreResult<Vec<BarrierRow>> {
        self.flush_barriers()?;
        let sql = format!(
            "SELECT {COLUMNS} FROM barrier
             WHERE job + 0 = ?1 AND step = ?2 AND state = 'released' AND spread < last_part ORDER BY key LIMIT ?3"
        );
        self.query(&sql, &values![job, step, limit], read_barrier)
    }

    fn put_barrier(&mut self, job: JobNo, row: &BarrierRow) -> StoreResult<()> {
        self.flush_growth()?;
        let key = (job, row.step, row.key.clone());
        self.seen.barriers.insert(key.clone(), Some(row.clone()));
        self.waiting.barriers.insert(key, row.clone());
        Ok(())
    }
}
