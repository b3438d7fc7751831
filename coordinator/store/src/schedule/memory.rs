//! The tables of the scheduler in memory.
use super::{CostRow, MultipartRow, ScheduleTx, SliceRow, Speculation, WithheldRow};
use crate::error::StoreResult;
use crate::memory::Memory;
use protocol::id::{JobNo, UnitId};

impl ScheduleTx for Memory {
    fn costs(&mut self) -> StoreResult<Vec<CostRow>> {
        let rows = self.schedule.costs.iter();
        Ok(rows
            .map(|((kind, size), sketch)| CostRow {
                kind: *kind,
                size: *size,
                sketch: sketch.clone(),
            })
            .collect())
    }

    fn put_costs(&mut self, rows: &[CostRow]) -> StoreResult<()> {
        self.schedule.costs.extend(
            rows.iter()
                .map(|row| ((row.kind, row.size), row.sketch.clone())),
        );
        Ok(())
    }

    fn withheld(&mut self, job: JobNo) -> StoreResult<Vec<WithheldRow>> {
        Ok(self
            .schedule
            .withheld
            .iter()
            .filter(|((j, _), _)| *j == job)
            .map(|(_, row)| *row)
            .collect())
    }

    fn put_withheld(&mut self, job: JobNo, rows: &[WithheldRow]) -> StoreResult<()> {
        self.schedule.withheld.retain(|(j, _), _| *j != job);
        self.schedule
            .withheld
            .extend(rows.iter().map(|row| ((job, row.step), *row)));
        Ok(())
    }

    fn speculation(&mut self, unit: UnitId) -> StoreResult<Option<Speculation>> {
        Ok(self.schedule.speculations.get(&unit).copied())
    }

    fn speculations(&mut self, job: JobNo) -> StoreResult<Vec<(UnitId, Speculation)>> {
        let of_job = self
            .schedule
            .speculations
            .iter()
            .filter(|(unit, _)| unit.job == job);
        Ok(of_job.map(|(unit, row)| (*unit, *row)).collect())
    }

    fn put_speculation(&mut self, unit: UnitId, row: Option<Speculation>) -> StoreResult<()> {
        match row {
            Some(row) => self.schedule.speculations.insert(unit, row),
            None => self.schedule.speculations.remove(&unit),
        };
        Ok(())
    }

    fn slices(&mut self, unit: UnitId) -> StoreResult<Vec<SliceRow>> {
        let of_unit = self
            .schedule
            .slices
            .range(unit..)
            .take_while(|(slice, _)| slice.whole() == unit);
        Ok(of_unit.map(|(_, row)| row.clone()).collect())
    }

    fn put_slices(&mut self, unit: UnitId, rows: &[SliceRow]) -> StoreResult<()> {
        self.schedule.slices.extend(
            rows.iter()
                .map(|row| (unit.with_slice(row.slice.number), row.clone())),
        );
        Ok(())
    }

    fn multipart_units(&mut self) -> StoreResult<Vec<UnitId>> {
        Ok(self.schedule.multiparts.keys().copied().collect())
    }

    fn multipart(&mut self, unit: UnitId) -> StoreResult<Option<MultipartRow>> {
        Ok(self.schedule.multiparts.get(&unit).cloned())
    }

    fn put_multipart(&mut self, row: &MultipartRow) -> StoreResult<()> {
        self.schedule.multiparts.insert(row.unit, row.clone());
        Ok(())
    }

    fn forget_multipart(&mut self, unit: UnitId) -> StoreResult<()> {
        self.schedule.multiparts.remove(&unit);
        self.schedule
            .slices
            .retain(|slice, _| slice.whole() != unit);
        Ok(())
    }
}
