//! Lists of jobs and units in memory.
use super::{UnitFilter, UnitView, ViewTx};
use crate::error::StoreResult;
use crate::job::{JobRow, JobState};
use crate::memory::Memory;
use protocol::id::{JobNo, PartNo, UnitId};
use protocol::rules::unit::transition::UnitState;

impl ViewTx for Memory {
    fn job_views(
        &mut self,
        state: Option<JobState>,
        before: Option<JobNo>,
        limit: u32,
    ) -> StoreResult<Vec<JobRow>> {
        let rows = self.job.jobs.values().rev().map(|(row, _)| row);
        let rows = rows.filter(|row| {
            before.is_none_or(|no| row.no < no) && state.is_none_or(|s| row.state == s)
        });
        Ok(rows.take(limit as usize).cloned().collect())
    }

    fn job_ids(&mut self, prefix: &str, limit: u32) -> StoreResult<Vec<String>> {
        let rows = self.job.jobs.values().map(|(row, _)| &row.id);
        let mut ids: Vec<String> = rows.filter(|id| id.starts_with(prefix)).cloned().collect();
        ids.sort_unstable();
        ids.truncate(limit as usize);
        Ok(ids)
    }

    fn unit_views(&mut self, job: &str, filter: &UnitFilter) -> StoreResult<Vec<UnitView>> {
        let Some((row, workflow)) = self.job.jobs.values().find(|(row, _)| row.id == job) else {
            return Ok(Vec::new());
        };
        let of_job = self
            .partition
            .partitions
            .range((row.no, PartNo::MIN)..=(row.no, PartNo::MAX));
        let pairs = of_job.flat_map(|((_, part), p)| {
            workflow
                .numbered()
                .map(move |(no, step)| (*part, p, no, step))
        });
        let shown =
            pairs
                .filter(|(_, _, _, step)| step.has_units())
                .map(|(part, partition, no, step)| {
                    let unit = self.unit.get(&UnitId::new(row.no, no, part));
                    let out = step.needs.is_empty()
                        && self
                            .step
                            .get(&(row.no, no))
                            .is_some_and(|c| part <= c.cursor);
                    let state = match unit {
                        Some(unit) => unit.state,
                        None if out => UnitState::Leased,
                        None if row.ended_at.is_some() => UnitState::Cancelled,
                        None if step.needs.is_empty() => UnitState::Ready,
                        None => UnitState::Planned,
                    };
                    let view = UnitView {
                        unit: format!("{job}/{}/{part}", step.id),
                        step: step.id.clone(),
                        kind: step.kind_word().to_owned(),
                        part,
                        title: partition.title.clone(),
                        first_asset: partition.first.clone(),
                        assets: u64::from(partition.assets),
                        state: state.as_str().to_owned(),
                        epoch: unit.map_or(u32::from(out), |u| u.epoch),
                        attempt: unit.map_or(0, |u| u.attempt),
                        duration_us: unit.map(|u| u.duration_us),
                    };
                    (no, view)
                });
        let chosen = shown.filter(|(no, v)| {
            filter.state.as_ref().is_none_or(|state| *state == v.state)
                && filter.step.as_ref().is_none_or(|step| *step == v.step)
                && filter.part.is_none_or(|part| part == v.part)
                && filter.after.is_none_or(|after| (v.part, *no) > after)
        });
        Ok(chosen
            .map(|(_, view)| view)
            .take(filter.limit as usize)
            .collect())
    }
}
