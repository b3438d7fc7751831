//! Units in memory.
use super::{UnitRow, UnitTx};
use crate::cost;
use crate::error::StoreResult;
use crate::memory::{Memory, missing};
use crate::view::block::BLOCK_PARTS;
use protocol::id::{JobNo, PartNo, StepNo, UnitId};
use protocol::rules::unit::transition::UnitState;
use protocol::time::Timestamp;

impl UnitTx for Memory {
    fn units(
        &mut self,
        job: JobNo,
        step: StepNo,
        parts: &[PartNo],
    ) -> StoreResult<Vec<Option<UnitRow>>> {
        cost::rows(parts.len());
        Ok(parts
            .iter()
            .map(|part| self.unit.get(&UnitId::new(job, step, *part)).copied())
            .collect())
    }

    fn put_units(
        &mut self,
        job: JobNo,
        step: StepNo,
        units: &[(PartNo, UnitRow)],
    ) -> StoreResult<()> {
        cost::rows(units.len());
        for (part, row) in units {
            self.unit.insert(UnitId::new(job, step, *part), *row);
        }
        Ok(())
    }

    fn ready_units(
        &mut self,
        job: JobNo,
        step: StepNo,
        limit: u32,
    ) -> StoreResult<Vec<(PartNo, UnitRow)>> {
        let of_step = self
            .unit
            .iter()
            .filter(|(id, row)| id.job == job && id.step == step && row.state == UnitState::Ready);
        Ok(of_step
            .take(limit as usize)
            .map(|(id, row)| (id.part, *row))
            .collect())
    }

    fn due_units(&mut self, now: Timestamp, limit: u32) -> StoreResult<Vec<(UnitId, UnitRow)>> {
        let due = self.unit.iter().filter(|(_, row)| {
            row.state == UnitState::Retrying && row.due_at.is_some_and(|due| due <= now)
        });
        let mut due: Vec<(UnitId, UnitRow)> = due.map(|(id, row)| (*id, *row)).collect();
        due.sort_by_key(|(_, row)| row.due_at);
        due.truncate(limit as usize);
        Ok(due)
    }

    fn next_due(&mut self) -> StoreResult<Option<Timestamp>> {
        Ok(self
            .unit
            .values()
            .filter(|row| row.state == UnitState::Retrying)
            .filter_map(|row| row.due_at)
            .min())
    }

    fn units_in(
        &mut self,
        job: JobNo,
        state: UnitState,
        after: Option<(StepNo, PartNo)>,
        limit: u32,
    ) -> StoreResult<Vec<(UnitId, UnitRow)>> {
        let found = self.unit.iter().filter(|(id, row)| {
            id.job == job
                && row.state == state
                && after.is_none_or(|after| (id.step, id.part) > after)
        });
        let found: Vec<(UnitId, UnitRow)> = found
            .take(limit as usize)
            .map(|(id, row)| (*id, *row))
            .collect();
        cost::rows(found.len());
        Ok(found)
    }

    fn computed_out(
        &mut self,
        job: JobNo,
        step: StepNo,
        after: PartNo,
        limit: u32,
    ) -> StoreResult<Vec<PartNo>> {
        let cursor = self
            .step
            .get(&(job, step))
            .ok_or_else(|| missing("step"))?
            .cursor;
        let out = self
            .partition
            .partitions
            .range((job, 0)..=(job, cursor))
            .map(|(_, p)| p)
            .filter(|p| {
                p.part > after
                    && p.parent == 0
                    && !self.unit.contains_key(&UnitId::new(job, step, p.part))
            });
        Ok(out.take(limit as usize).map(|p| p.part).collect())
    }

    fn close_block(&mut self, job: JobNo, step: StepNo, block: i64) -> StoreResult<bool> {
        let parts = block * BLOCK_PARTS + 1..=(block + 1) * BLOCK_PARTS;
        Ok(parts
            .clone()
            .all(|part| self.unit.contains_key(&UnitId::new(job, step, part))))
    }
}
