//! Counters of steps in PostgreSQL. A transaction adds changes up and writes them at its end.
use super::sql::select;
use super::{StepDelta, StepRow, StepTx};
use crate::error::StoreResult;
use crate::postgres::tx::{PostgresTx, own};
use protocol::id::{JobNo, PartNo, StepNo};
use std::collections::BTreeSet;

impl PostgresTx<'_> {
    /// Writes what counters gained and where cursors are.
    pub(crate) fn flush_steps(&mut self) -> StoreResult<()> {
        let deltas = std::mem::take(&mut self.waiting.steps);
        let cursors = std::mem::take(&mut self.waiting.cursors);
        let keys: BTreeSet<(JobNo, StepNo)> =
            deltas.keys().chain(cursors.keys()).copied().collect();
        if keys.is_empty() {
            return Ok(());
        }
        let of = |field: fn(&StepDelta) -> i64| -> Vec<i64> {
            keys.iter()
                .map(|key| deltas.get(key).map_or(0, field))
                .collect()
        };
        let jobs: Vec<i64> = keys.iter().map(|(job, _)| job.0).collect();
        let steps: Vec<i64> = keys.iter().map(|(_, step)| step.0.into()).collect();
        let cursors: Vec<Option<PartNo>> =
            keys.iter().map(|key| cursors.get(key).copied()).collect();
        self.later(
            "UPDATE step SET total = GREATEST(step.total + d.total, 0),
               succeeded = GREATEST(step.succeeded + d.succeeded, 0), dead = GREATEST(step.dead + d.dead, 0),
               cancelled = GREATEST(step.cancelled + d.cancelled, 0), live = GREATEST(step.live + d.live, 0),
               retrying = GREATEST(step.retrying + d.retrying, 0), busy_us = GREATEST(step.busy_us + d.busy_us, 0),
               executions = GREATEST(step.executions + d.executions, 0), cursor = COALESCE(d.cursor, step.cursor)
             FROM (SELECT d.*, found.at
                   FROM unnest(?1::BIGINT[], ?2::BIGINT[], ?3::BIGINT[], ?4::BIGINT[], ?5::BIGINT[], ?6::BIGINT[],
                     ?7::BIGINT[], ?8::BIGINT[], ?9::BIGINT[], ?10::BIGINT[], ?11::BIGINT[])
                     AS d (job, step, total, succeeded, dead, cancelled, live, retrying, busy_us, executions, cursor)
                   CROSS JOIN LATERAL (SELECT ctid AS at FROM step WHERE job = d.job AND step = d.step OFFSET 0) AS found
                  ) AS d
             WHERE step.ctid = d.at",
            own![
                jobs,
                steps,
                of(|d| d.total),
                of(|d| d.succeeded),
                of(|d| d.dead),
                of(|d| d.cancelled),
                of(|d| d.live),
                of(|d| d.retrying),
                of(|d| d.busy_us),
                of(|d| d.executions),
                cursors,
            ],
        )
    }

    /// The counters of a step as this transaction has seen them.
    fn seen_step(&mut self, job: JobNo, step: StepNo) -> Option<&mut StepRow> {
        self.seen
            .steps
            .get_mut(&job)?
            .iter_mut()
            .find(|row| row.step == step)
    }
}

impl StepTx for PostgresTx<'_> {
    fn steps(&mut self, job: JobNo) -> StoreResult<Vec<StepRow>> {
        if let Some(seen) = self.seen.steps.get(&job) {
            return Ok(seen.clone());
        }
        self.flush_steps()?;
        let found = select(self, job)?;
        self.seen.steps.insert(job, found.clone());
        Ok(found)
    }

    fn add_to_step(&mut self, job: JobNo, step: StepNo, delta: StepDelta) -> StoreResult<()> {
        self.waiting
            .steps
            .entry((job, step))
            .or_default()
            .add(delta);
        if let Some(seen) = self.seen_step(job, step) {
            seen.add(delta);
        }
        Ok(())
    }

    fn set_cursor(&mut self, job: JobNo, step: StepNo, part: PartNo) -> StoreResult<()> {
        self.waiting.cursors.insert((job, step), part);
        if let Some(seen) = self.seen_step(job, step) {
            seen.cursor = part;
        }
        Ok(())
    }
}
