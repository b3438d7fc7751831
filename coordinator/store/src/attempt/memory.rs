//! Executions in memory.
use super::{AttemptRow, AttemptTx};
use crate::error::StoreResult;
use crate::memory::Memory;
use protocol::id::UnitId;

impl AttemptTx for Memory {
    fn put_attempts(&mut self, attempts: &[AttemptRow]) -> StoreResult<()> {
        for attempt in attempts {
            self.attempt
                .entry((attempt.unit, attempt.epoch))
                .or_insert_with(|| attempt.clone());
        }
        Ok(())
    }

    fn attempts(
        &mut self,
        unit: UnitId,
        after: Option<u32>,
        limit: u32,
    ) -> StoreResult<Vec<AttemptRow>> {
        let of_unit = self.attempt.range((unit, 0)..=(unit, u32::MAX));
        let of_unit = of_unit.filter(|((_, epoch), _)| after.is_none_or(|after| *epoch > after));
        Ok(of_unit
            .map(|(_, attempt)| attempt.clone())
            .take(limit as usize)
            .collect())
    }
}
