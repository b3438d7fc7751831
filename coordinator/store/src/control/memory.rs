//! The same in memory.
use super::super::cost;
use super::super::memory::Memory;
use super::super::{FailureTx, JobTx, StoreError};
use super::*;
use std::collections::{BTreeMap, BTreeSet};

/// Tables of this part.
#[derive(Debug, Clone, Default)]
pub struct Controlled {
    operations: BTreeMap<i64, OperationRow>,
    inputs: BTreeMap<i64, String>,
    causes: BTreeMap<(String, JobNo, StepNo), CauseRow>,
    waivers: BTreeMap<String, WaiverRow>,
    losses: BTreeMap<(UnitId, u32), LossRow>,
    workers: BTreeMap<String, WorkerRow>,
}

impl Controlled {
    /// Forgets what belongs to a job and to nothing else.
    pub fn forget_job(&mut self, job: JobNo) {
        self.causes.retain(|key, _| key.1 != job);
        self.losses.retain(|key, _| key.0.job != job);
    }
}

impl OperationTx for Memory {
    fn insert_operation(&mut self, operation: &OperationRow) -> StoreResult<i64> {
        let no = self.control.operations.keys().last().map_or(1, |last| last + 1);
        self.control.operations.insert(no, OperationRow { no, ..operation.clone() });
        Ok(no)
    }

    fn operation(&mut self, no: i64) -> StoreResult<Option<OperationRow>> {
        Ok(self.control.operations.get(&no).cloned())
    }

    fn operations(&mut self, job: Option<JobNo>, limit: u32) -> StoreResult<Vec<OperationRow>> {
        let newest = self.control.operations.values().rev().filter(|row| job.is_none() || row.job == job);
        Ok(newest.take(limit as usize).cloned().collect())
    }

    fn running_operations(&mut self, limit: u32) -> StoreResult<Vec<OperationRow>> {
        let running = self.control.operations.values().filter(|row| row.state == OperationState::Running);
        Ok(running.take(limit as usize).cloned().collect())
    }

    fn update_operation(&mut self, operation: &OperationRow) -> StoreResult<()> {
        let row = self.control.operations.get_mut(&operation.no);
        *row.ok_or_else(|| StoreError::Corrupt(format!("no operation {}", operation.no)))? = operation.clone();
        Ok(())
    }

    fn put_operation_input(&mut self, operation: i64, input: Option<&str>) -> StoreResult<()> {
        self.control.inputs.remove(&operation);
        self.control.inputs.extend(input.map(|input| (operation, input.to_owned())));
        Ok(())
    }

    fn operation_input(&mut self, operation: i64) -> StoreResult<Option<String>> {
        Ok(self.control.inputs.get(&operation).cloned())
    }
}

impl CauseTx for Memory {
    fn add_to_causes(&mut self, changes: &[CauseRow]) -> StoreResult<()> {
        for change in changes {
            let key = (change.cause.clone(), change.job, change.step);
            let row = self.control.causes.entry(key.clone()).or_insert_with(|| CauseRow {
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
                self.control.causes.remove(&key);
            }
        }
        Ok(())
    }

    fn causes(&mut self, job: Option<JobNo>, cause: Option<&str>, limit: u32) -> StoreResult<Vec<CauseRow>> {
        let fits = |row: &&CauseRow| job.is_none_or(|j| row.job == j) && cause.is_none_or(|c| row.cause == c);
        let mut rows: Vec<CauseRow> = self.control.causes.values().filter(fits).cloned().collect();
        rows.sort_by(|a, b| {
            let key = |row: &CauseRow| (std::cmp::Reverse(row.last_at), row.cause.clone(), row.job, row.step);
            key(a).cmp(&key(b))
        });
        rows.truncate(limit as usize);
        Ok(rows)
    }

    fn failures_after(
        &mut self,
        job: Option<JobNo>,
        cause: Option<&str>,
        after: Option<(UnitId, &str)>,
        limit: u32,
    ) -> StoreResult<Vec<FailureRow>> {
        let mut jobs: Vec<JobNo> = self.jobs(false, u32::MAX)?.into_iter().map(|row| row.no).collect();
        jobs.sort();
        let mut found = Vec::new();
        for no in jobs.into_iter().filter(|no| job.is_none_or(|job| job == *no)) {
            found.extend(self.failures(no, u32::MAX)?);
        }
        found.retain(|row| {
            after.is_none_or(|after| (row.unit, row.asset.as_str()) > after)
                && cause.is_none_or(|cause| cause == fingerprint(&row.failure))
        });
        found.truncate(limit as usize);
        cost::rows(found.len());
        Ok(found)
    }

    fn put_waiver(&mut self, waiver: &WaiverRow) -> StoreResult<()> {
        self.control.waivers.insert(waiver.scope.key(), waiver.clone());
        Ok(())
    }

    fn waivers(&mut self) -> StoreResult<Vec<WaiverRow>> {
        Ok(self.control.waivers.values().cloned().collect())
    }
}

impl LossTx for Memory {
    fn put_losses(&mut self, losses: &[LossRow]) -> StoreResult<()> {
        for loss in losses {
            self.control.losses.entry((loss.unit, loss.epoch)).or_insert_with(|| loss.clone());
        }
        Ok(())
    }

    fn losses(&mut self, units: &[UnitId]) -> StoreResult<Vec<LossRow>> {
        Ok(self.control.losses.values().filter(|loss| units.contains(&loss.unit)).cloned().collect())
    }

    fn suspects(&mut self, workers: u32, limit: u32) -> StoreResult<Vec<UnitId>> {
        let mut by_unit: BTreeMap<UnitId, BTreeSet<&str>> = BTreeMap::new();
        for loss in self.control.losses.values() {
            by_unit.entry(loss.unit).or_default().insert(&loss.worker);
        }
        let many = by_unit.into_iter().filter(|(_, lost)| lost.len() >= workers as usize);
        Ok(many.map(|(unit, _)| unit).take(limit as usize).collect())
    }

    fn forget_losses(&mut self, units: &[UnitId]) -> StoreResult<()> {
        self.control.losses.retain(|(id, _), _| !units.contains(id));
        Ok(())
    }
}

impl WorkerTx for Memory {
    fn put_workers(&mut self, workers: &[WorkerRow]) -> StoreResult<()> {
        for worker in workers {
            let order = self.control.workers.get(&worker.name).and_then(|known| known.order.clone());
            self.control.workers.insert(worker.name.clone(), WorkerRow { order, ..worker.clone() });
        }
        Ok(())
    }

    fn workers(&mut self) -> StoreResult<Vec<WorkerRow>> {
        Ok(self.control.workers.values().cloned().collect())
    }

    fn put_order(&mut self, worker: &str, order: Option<&WorkerOrder>) -> StoreResult<bool> {
        let Some(row) = self.control.workers.get_mut(worker) else { return Ok(false) };
        row.order = order.cloned();
        Ok(true)
    }

    fn forget_workers(&mut self, before: Timestamp) -> StoreResult<()> {
        self.control.workers.retain(|_, row| row.heard_at >= before);
        Ok(())
    }
}

impl CorrectionTx for Memory {
    fn correct_assets(&mut self, job: JobNo, corrections: &[AssetCorrection]) -> StoreResult<()> {
        for correction in corrections {
            let Some((_, asset)) = self.listing.get_mut(&(job, correction.asset.clone())) else { continue };
            if let Some(location) = &correction.location {
                asset.location.clone_from(location);
            }
            asset.hash = correction.hash.clone().or(asset.hash.take());
            asset.bytes = correction.bytes.or(asset.bytes);
        }
        Ok(())
    }
}
