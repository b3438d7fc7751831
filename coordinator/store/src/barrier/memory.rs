//! Barrier instances in memory.
use super::{BarrierCounts, BarrierGrowth, BarrierRow, BarrierState, BarrierTx, span};
use crate::error::StoreResult;
use crate::memory::Memory;
use protocol::id::{JobNo, StepNo};

impl BarrierTx for Memory {
    fn add_to_barrier(
        &mut self,
        job: JobNo,
        step: StepNo,
        grow: &BarrierGrowth,
    ) -> StoreResult<()> {
        let row = self
            .barrier
            .entry((job, step, grow.key.clone()))
            .or_insert_with(|| BarrierRow {
                step,
                key: grow.key.clone(),
                first: grow.first,
                last: grow.last,
                total: 0,
                succeeded: 0,
                failed: 0,
                state: BarrierState::Waiting,
                spread: 0,
                released_at: None,
            });
        row.total += grow.members;
        row.failed += grow.failed;
        (row.first, row.last) = span((row.first, row.last), (grow.first, grow.last));
        Ok(())
    }

    fn barrier(&mut self, job: JobNo, step: StepNo, key: &str) -> StoreResult<Option<BarrierRow>> {
        Ok(self.barrier.get(&(job, step, key.to_owned())).cloned())
    }

    fn barriers(
        &mut self,
        job: JobNo,
        step: StepNo,
        state: Option<BarrierState>,
        after: Option<&str>,
        limit: u32,
    ) -> StoreResult<Vec<BarrierRow>> {
        let found = self.barrier.iter().filter(|((j, s, key), row)| {
            *j == job
                && *s == step
                && state.is_none_or(|state| row.state == state)
                && after.is_none_or(|after| key.as_str() > after)
        });
        Ok(found
            .take(limit as usize)
            .map(|(_, row)| row.clone())
            .collect())
    }

    fn barrier_counts(&mut self, job: JobNo, step: StepNo) -> StoreResult<BarrierCounts> {
        let mut counts = BarrierCounts::default();
        for (_, row) in self
            .barrier
            .iter()
            .filter(|((j, s, _), _)| *j == job && *s == step)
        {
            counts.total += 1;
            counts.released += u64::from(row.state == BarrierState::Released);
            counts.held += u64::from(row.state == BarrierState::Held);
            counts.spreading +=
                u64::from(row.state == BarrierState::Released && row.spread < row.last);
        }
        Ok(counts)
    }

    fn barriers_spreading(
        &mut self,
        job: JobNo,
        step: StepNo,
        limit: u32,
    ) -> StoreResult<Vec<BarrierRow>> {
        let of_step = self.barrier.iter().filter(|((j, s, _), row)| {
            *j == job && *s == step && row.state == BarrierState::Released && row.spread < row.last
        });
        Ok(of_step
            .take(limit as usize)
            .map(|(_, row)| row.clone())
            .collect())
    }

    fn put_barrier(&mut self, job: JobNo, row: &BarrierRow) -> StoreResult<()> {
        self.barrier
            .insert((job, row.step, row.key.clone()), row.clone());
        Ok(())
    }
}
