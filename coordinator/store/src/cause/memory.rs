//! Causes and waivers in memory.
use super::{CauseRow, CauseTx, WaiverRow};
use crate::error::StoreResult;
use crate::memory::Memory;
use protocol::id::JobNo;
use std::collections::BTreeSet;

impl CauseTx for Memory {
    fn add_to_causes(&mut self, changes: &[CauseRow]) -> StoreResult<()> {
        for change in changes {
            let key = (change.cause.clone(), change.job, change.step);
            let row = self
                .cause
                .causes
                .entry(key.clone())
                .or_insert_with(|| CauseRow {
                    units: 0,
                    assets: 0,
                    ..change.clone()
                });
            row.units += change.units;
            row.assets += change.assets;
            if change.units > 0 {
                row.last_at = row.last_at.max(change.last_at);
            }
            if row.units <= 0 {
                self.cause.causes.remove(&key);
            }
        }
        Ok(())
    }

    fn causes(
        &mut self,
        job: Option<JobNo>,
        cause: Option<&str>,
        limit: u32,
    ) -> StoreResult<Vec<CauseRow>> {
        let fits = |row: &&CauseRow| {
            job.is_none_or(|j| row.job == j) && cause.is_none_or(|c| row.cause == c)
        };
        let mut rows: Vec<CauseRow> = self.cause.causes.values().filter(fits).cloned().collect();
        rows.sort_by(|a, b| {
            let key = |row: &CauseRow| {
                (
                    std::cmp::Reverse(row.last_at),
                    row.cause.clone(),
                    row.job,
                    row.step,
                )
            };
            key(a).cmp(&key(b))
        });
        rows.truncate(limit as usize);
        Ok(rows)
    }

    fn put_waiver(&mut self, waiver: &WaiverRow) -> StoreResult<()> {
        self.cause
            .waivers
            .insert(waiver.scope.key(), waiver.clone());
        Ok(())
    }

    fn waivers(&mut self, limit: u32) -> StoreResult<Vec<WaiverRow>> {
        Ok(self
            .cause
            .waivers
            .values()
            .take(limit as usize)
            .cloned()
            .collect())
    }

    fn waivers_of(&mut self, keys: &[String]) -> StoreResult<Vec<WaiverRow>> {
        let keys: BTreeSet<&String> = keys.iter().collect();
        Ok(keys
            .into_iter()
            .filter_map(|key| self.cause.waivers.get(key))
            .cloned()
            .collect())
    }
}
