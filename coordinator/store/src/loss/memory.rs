//! Losses in memory.
use super::{LossRow, LossTx};
use crate::error::StoreResult;
use crate::memory::Memory;
use protocol::id::UnitId;
use std::collections::{BTreeMap, BTreeSet};

impl LossTx for Memory {
    fn put_losses(&mut self, losses: &[LossRow]) -> StoreResult<()> {
        for loss in losses {
            self.loss
                .entry((loss.unit, loss.epoch))
                .or_insert_with(|| loss.clone());
        }
        Ok(())
    }

    fn losses(&mut self, units: &[UnitId]) -> StoreResult<Vec<LossRow>> {
        Ok(self
            .loss
            .values()
            .filter(|loss| units.contains(&loss.unit))
            .cloned()
            .collect())
    }

    fn suspects(&mut self, workers: u32, limit: u32) -> StoreResult<Vec<UnitId>> {
        let mut by_unit: BTreeMap<UnitId, BTreeSet<&str>> = BTreeMap::new();
        for loss in self.loss.values() {
            by_unit.entry(loss.unit).or_default().insert(&loss.worker);
        }
        let many = by_unit
            .into_iter()
            .filter(|(_, lost)| lost.len() >= workers as usize);
        Ok(many.map(|(unit, _)| unit).take(limit as usize).collect())
    }

    fn forget_losses(&mut self, units: &[UnitId]) -> StoreResult<()> {
        self.loss.retain(|(unit, _), _| !units.contains(unit));
        Ok(())
    }
}
