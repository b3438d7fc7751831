//! Counters of steps in memory.
use super::{StepDelta, StepRow, StepTx};
use crate::error::StoreResult;
use crate::memory::{Memory, missing};
use protocol::id::{JobNo, PartNo, StepNo};

impl StepTx for Memory {
    fn steps(&mut self, job: JobNo) -> StoreResult<Vec<StepRow>> {
        Ok(self
            .step
            .iter()
            .filter(|((j, _), _)| *j == job)
            .map(|(_, row)| *row)
            .collect())
    }

    fn add_to_step(&mut self, job: JobNo, step: StepNo, delta: StepDelta) -> StoreResult<()> {
        let row = self
            .step
            .get_mut(&(job, step))
            .ok_or_else(|| missing("step"))?;
        row.add(delta);
        Ok(())
    }

    fn set_cursor(&mut self, job: JobNo, step: StepNo, part: PartNo) -> StoreResult<()> {
        self.step
            .get_mut(&(job, step))
            .ok_or_else(|| missing("step"))?
            .cursor = part;
        Ok(())
    }
}
