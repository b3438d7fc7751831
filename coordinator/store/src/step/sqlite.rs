//! Counters of steps in SQLite.
use super::sql::select;
use super::{StepDelta, StepRow, StepTx};
use crate::error::StoreResult;
use crate::sql::{Sql, values};
use crate::sqlite::SqliteTx;
use protocol::id::{JobNo, PartNo, StepNo};

impl StepTx for SqliteTx<'_> {
    fn steps(&mut self, job: JobNo) -> StoreResult<Vec<StepRow>> {
        select(self, job)
    }

    fn add_to_step(&mut self, job: JobNo, step: StepNo, delta: StepDelta) -> StoreResult<()> {
        if delta.is_less() {
            let rows = self.steps(job)?;
            if let Some(mut row) = rows.into_iter().find(|row| row.step == step) {
                // Reports a counter that would go below zero.
                row.add(delta);
            }
        }
        self.execute(
            "UPDATE step SET total = MAX(total + ?3, 0), succeeded = MAX(succeeded + ?4, 0), dead = MAX(dead + ?5, 0),
               cancelled = MAX(cancelled + ?6, 0), live = MAX(live + ?7, 0), retrying = MAX(retrying + ?8, 0),
               busy_us = MAX(busy_us + ?9, 0), executions = MAX(executions + ?10, 0)
             WHERE job = ?1 AND step = ?2",
            &values![
                job,
                step,
                delta.total,
                delta.succeeded,
                delta.dead,
                delta.cancelled,
                delta.live,
                delta.retrying,
                delta.busy_us,
                delta.executions
            ],
        )?;
        Ok(())
    }

    fn set_cursor(&mut self, job: JobNo, step: StepNo, part: PartNo) -> StoreResult<()> {
        self.execute(
            "UPDATE step SET cursor = ?3 WHERE job = ?1 AND step = ?2",
            &values![job, step, part],
        )?;
        Ok(())
    }
}
