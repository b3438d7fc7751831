//! Failures in memory.
use super::{FailureRow, FailureTx};
use crate::cost;
use crate::error::StoreResult;
use crate::job::JobTx;
use crate::memory::Memory;
use protocol::failure::Failure;
use protocol::id::{JobNo, UnitId};
use protocol::rules::unit::fingerprint::fingerprint;
use protocol::rules::unit::transition::UnitState;

impl FailureTx for Memory {
    fn put_failures(&mut self, unit: UnitId, failures: &[(String, Failure)]) -> StoreResult<()> {
        cost::rows(failures.len());
        self.failure.retain(|(id, _), _| *id != unit);
        for (asset, failure) in failures {
            self.failure.insert((unit, asset.clone()), failure.clone());
        }
        Ok(())
    }

    fn failures_of(&mut self, unit: UnitId) -> StoreResult<Vec<(String, Failure)>> {
        let of_unit = self.failure.iter().filter(|((id, _), _)| *id == unit);
        Ok(of_unit
            .map(|((_, asset), failure)| (asset.clone(), failure.clone()))
            .collect())
    }

    fn failures(&mut self, job: JobNo, limit: u32) -> StoreResult<Vec<FailureRow>> {
        let of_job = self.failure.iter().filter(|((id, _), _)| id.job == job);
        Ok(of_job
            .take(limit as usize)
            .map(|((unit, asset), failure)| {
                let listed = self.listing.assets.get(&(job, asset.clone()));
                let role = listed
                    .map(|(_, a)| a.role.as_str().to_owned())
                    .unwrap_or_default();
                let listed = listed.map(|(_, a)| a.title.clone());
                let title = listed.or_else(|| {
                    self.partition
                        .partitions
                        .get(&(job, unit.part))
                        .map(|p| p.title.clone())
                });
                FailureRow {
                    unit: *unit,
                    state: self
                        .unit
                        .get(unit)
                        .map_or(UnitState::Leased, |row| row.state),
                    asset: asset.clone(),
                    title: title.unwrap_or_default(),
                    role,
                    failure: failure.clone(),
                }
            })
            .collect())
    }

    fn failures_after(
        &mut self,
        job: Option<JobNo>,
        cause: Option<&str>,
        after: Option<(UnitId, &str)>,
        limit: u32,
    ) -> StoreResult<Vec<FailureRow>> {
        let mut jobs: Vec<JobNo> = self
            .jobs(false, u32::MAX)?
            .into_iter()
            .map(|row| row.no)
            .collect();
        jobs.sort();
        let mut found = Vec::new();
        for no in jobs
            .into_iter()
            .filter(|no| job.is_none_or(|job| job == *no))
        {
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
}
