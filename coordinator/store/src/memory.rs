//! The store in memory: for the simulator and fast tests. The same primitives over ordered maps; a transaction works on
//! a copy that replaces the original when it succeeds, so a failed one leaves nothing behind.
mod deployment;
mod key;
mod listing;
mod pace;
mod schedule;
mod shown;
mod tombstone;

use super::*;
use protocol::rules::unit::transition::UnitState;
use std::collections::BTreeMap;

/// Everything a database would hold.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    pub(super) jobs: BTreeMap<JobNo, (JobRow, Workflow)>,
    pub(super) listing: BTreeMap<(JobNo, String), (u64, Asset)>,
    pub(super) submissions: BTreeMap<String, JobNo>,
    /// With the partition each would have come after, once it has been counted.
    pub(super) row_errors: BTreeMap<(JobNo, u64, String), (RowError, Option<PartNo>)>,
    pub(super) partitions: BTreeMap<(JobNo, PartNo), Partition>,
    pub(super) moved: BTreeMap<(JobNo, String), PartNo>,
    pub(super) steps: BTreeMap<(JobNo, StepNo), StepRow>,
    pub(super) units: BTreeMap<UnitId, UnitRow>,
    pub(super) failures: BTreeMap<(UnitId, String), Failure>,
    pub(super) barriers: BTreeMap<(JobNo, StepNo, String), BarrierRow>,
    catalogue: BTreeMap<String, CatalogueRow>,
    pub(super) buried: super::tombstone::Buried,
    pub(super) paces: super::pace::Paces,
    pub(super) key: Option<String>,
    pub(super) control: Controlled,
    pub(super) schedule: super::schedule::Kept,
    pub(super) rework: Reworked,
}

impl Memory {
    /// Runs `work` in one transaction: all of it or nothing.
    pub fn write<R>(&mut self, work: impl FnOnce(&mut dyn Tx) -> StoreResult<R>) -> StoreResult<R> {
        let mut copy = self.clone();
        cost::begin();
        let result = work(&mut copy)?;
        cost::end();
        *self = copy;
        Ok(result)
    }
}

fn missing(what: &str) -> StoreError {
    StoreError::Corrupt(format!("no {what}"))
}

impl JobTx for Memory {
    fn insert_job(&mut self, job: &NewJob) -> StoreResult<JobNo> {
        if self.jobs.values().any(|(row, _)| row.id == job.id) {
            return Err(StoreError::Database(format!("job id {} exists", job.id)));
        }
        let no = JobNo(self.jobs.keys().last().map_or(1, |last| last.0 + 1));
        self.submissions.extend(job.submission.clone().map(|submission| (submission, no)));
        let row = JobRow {
            no,
            id: job.id.clone(),
            name: job.workflow.name.clone(),
            digest: job.digest.clone(),
            state: JobState::Running,
            phase: Phase::Scanning,
            priority: job.workflow.priority,
            tenant: job.workflow.tenant.clone(),
            deadline: job.workflow.deadline,
            submitted_at: job.submitted_at,
            ended_at: None,
            scan: protocol::wire::unit::ScanCursor { page: 0, byte: 0, line: 0 },
            scan_after: None,
            scan_epoch: 0,
            scan_attempt: 0,
            plan_after: None,
            assets: 0,
            bytes_declared: 0,
            bytes: 0,
            judged: 0,
            decoded: 0,
            carried: super::Carried::default(),
            row_errors: 0,
            parts: 0,
            parts_planned: 0,
            message: None,
        };
        self.jobs.insert(no, (row, job.workflow.clone()));
        for (step, _) in job.workflow.numbered() {
            let row = StepRow {
                step,
                total: 0,
                succeeded: 0,
                dead: 0,
                cancelled: 0,
                live: 0,
                retrying: 0,
                cursor: 0,
                busy_us: 0,
                executions: 0,
            };
            self.steps.insert((no, step), row);
        }
        Ok(no)
    }

    fn job(&mut self, no: JobNo) -> StoreResult<Option<JobRow>> {
        Ok(self.jobs.get(&no).map(|(row, _)| row.clone()))
    }

    fn job_by_id(&mut self, id: &str) -> StoreResult<Option<JobRow>> {
        Ok(self.jobs.values().map(|(row, _)| row).find(|row| row.id == id).cloned())
    }

    fn job_of_submission(&mut self, submission: &str) -> StoreResult<Option<JobRow>> {
        let no = self.submissions.get(submission);
        Ok(no.and_then(|no| self.jobs.get(no)).map(|(row, _)| row.clone()))
    }

    fn jobs(&mut self, open: bool, limit: u32) -> StoreResult<Vec<JobRow>> {
        let rows = self.jobs.values().rev().map(|(row, _)| row).filter(|row| !open || row.ended_at.is_none());
        Ok(rows.take(limit as usize).cloned().collect())
    }

    fn update_job(&mut self, job: &JobRow) -> StoreResult<()> {
        self.jobs.get_mut(&job.no).ok_or_else(|| missing("job"))?.0 = job.clone();
        Ok(())
    }

    fn workflow(&mut self, no: JobNo) -> StoreResult<Workflow> {
        self.jobs.get(&no).map(|(_, workflow)| workflow.clone()).ok_or_else(|| missing("job"))
    }
}

impl PartitionTx for Memory {
    fn insert_partitions(&mut self, job: JobNo, partitions: &[Partition]) -> StoreResult<()> {
        cost::rows(partitions.len());
        for partition in partitions {
            let clash = self.partitions.insert((job, partition.part), partition.clone());
            if clash.is_some() {
                return Err(StoreError::Database(format!("partition {} exists", partition.part)));
            }
        }
        Ok(())
    }

    fn partitions_after(&mut self, job: JobNo, after: PartNo, limit: u32) -> StoreResult<Vec<Partition>> {
        let range = self.partitions.range((job, after + 1)..=(job, PartNo::MAX));
        Ok(range.map(|(_, p)| p).filter(|p| p.parent == 0).take(limit as usize).cloned().collect())
    }

    fn partitions(&mut self, job: JobNo, parts: &[PartNo]) -> StoreResult<Vec<Partition>> {
        cost::rows(parts.len());
        parts
            .iter()
            .map(|part| self.partitions.get(&(job, *part)).cloned().ok_or_else(|| missing("partition")))
            .collect()
    }

    fn children(&mut self, job: JobNo, first: PartNo, last: PartNo) -> StoreResult<Vec<PartNo>> {
        let of_job = self.partitions.range((job, 0)..=(job, PartNo::MAX)).map(|(_, p)| p);
        Ok(of_job.filter(|p| p.parent > 0 && (first..=last).contains(&p.parent)).map(|p| p.part).collect())
    }

    fn members(&mut self, job: JobNo, partitions: &[Partition]) -> StoreResult<Vec<Vec<Asset>>> {
        let of_job: Vec<&Asset> =
            self.listing.iter().filter(|((j, _), _)| *j == job).map(|(_, (_, asset))| asset).collect();
        let in_partition = |p: &Partition, asset: &Asset| {
            if let Some(home) = self.moved.get(&(job, asset.id.clone())) {
                return *home == p.part;
            }
            p.parent == 0 && (p.title.is_empty() || p.title == asset.title) && p.first <= asset.id && asset.id <= p.last
        };
        cost::rows(partitions.iter().map(|p| p.assets as usize).sum());
        Ok(partitions
            .iter()
            .map(|p| of_job.iter().filter(|asset| in_partition(p, asset)).map(|asset| (*asset).clone()).collect())
            .collect())
    }

    fn shrink_partition(&mut self, job: JobNo, part: PartNo, assets: u32) -> StoreResult<()> {
        let partition = self.partitions.get_mut(&(job, part)).ok_or_else(|| missing("partition"))?;
        partition.assets = partition.assets.saturating_sub(assets);
        partition.split = true;
        Ok(())
    }

    fn move_assets(&mut self, job: JobNo, to: PartNo, assets: &[String]) -> StoreResult<()> {
        cost::rows(assets.len());
        for asset in assets {
            self.moved.insert((job, asset.clone()), to);
        }
        Ok(())
    }

    fn moved_away(&mut self, job: JobNo, part: PartNo, assets: &[String]) -> StoreResult<Vec<String>> {
        let gone = |asset: &&String| self.moved.get(&(job, (*asset).clone())).is_some_and(|home| *home != part);
        Ok(assets.iter().filter(gone).cloned().collect())
    }
}

impl StepTx for Memory {
    fn steps(&mut self, job: JobNo) -> StoreResult<Vec<StepRow>> {
        Ok(self.steps.iter().filter(|((j, _), _)| *j == job).map(|(_, row)| *row).collect())
    }

    fn add_to_step(&mut self, job: JobNo, step: StepNo, delta: StepDelta) -> StoreResult<()> {
        let row = self.steps.get_mut(&(job, step)).ok_or_else(|| missing("step"))?;
        row.add(delta);
        Ok(())
    }

    fn set_cursor(&mut self, job: JobNo, step: StepNo, part: PartNo) -> StoreResult<()> {
        self.steps.get_mut(&(job, step)).ok_or_else(|| missing("step"))?.cursor = part;
        Ok(())
    }
}

impl UnitTx for Memory {
    fn units(&mut self, job: JobNo, step: StepNo, parts: &[PartNo]) -> StoreResult<Vec<Option<UnitRow>>> {
        cost::rows(parts.len());
        Ok(parts.iter().map(|part| self.units.get(&UnitId { job, step, part: *part }).copied()).collect())
    }

    fn put_units(&mut self, job: JobNo, step: StepNo, units: &[(PartNo, UnitRow)]) -> StoreResult<()> {
        cost::rows(units.len());
        for (part, row) in units {
            self.units.insert(UnitId { job, step, part: *part }, *row);
        }
        Ok(())
    }

    fn ready_units(&mut self, job: JobNo, step: StepNo, limit: u32) -> StoreResult<Vec<(PartNo, UnitRow)>> {
        let of_step =
            self.units.iter().filter(|(id, row)| id.job == job && id.step == step && row.state == UnitState::Ready);
        Ok(of_step.take(limit as usize).map(|(id, row)| (id.part, *row)).collect())
    }

    fn due_units(&mut self, now: Timestamp, limit: u32) -> StoreResult<Vec<(UnitId, UnitRow)>> {
        let due = self
            .units
            .iter()
            .filter(|(_, row)| row.state == UnitState::Retrying && row.due_at.is_some_and(|due| due <= now));
        let mut due: Vec<(UnitId, UnitRow)> = due.map(|(id, row)| (*id, *row)).collect();
        due.sort_by_key(|(_, row)| row.due_at);
        due.truncate(limit as usize);
        Ok(due)
    }

    fn next_due(&mut self) -> StoreResult<Option<Timestamp>> {
        Ok(self.units.values().filter(|row| row.state == UnitState::Retrying).filter_map(|row| row.due_at).min())
    }

    fn units_in(
        &mut self,
        job: JobNo,
        state: UnitState,
        after: Option<(StepNo, PartNo)>,
        limit: u32,
    ) -> StoreResult<Vec<(UnitId, UnitRow)>> {
        let found = self.units.iter().filter(|(id, row)| {
            id.job == job && row.state == state && after.is_none_or(|after| (id.step, id.part) > after)
        });
        let found: Vec<(UnitId, UnitRow)> = found.take(limit as usize).map(|(id, row)| (*id, *row)).collect();
        cost::rows(found.len());
        Ok(found)
    }

    fn computed_out(&mut self, job: JobNo, step: StepNo, limit: u32) -> StoreResult<Vec<PartNo>> {
        let cursor = self.steps.get(&(job, step)).ok_or_else(|| missing("step"))?.cursor;
        let out = self
            .partitions
            .range((job, 0)..=(job, cursor))
            .map(|(_, p)| p)
            .filter(|p| p.parent == 0 && !self.units.contains_key(&UnitId { job, step, part: p.part }));
        Ok(out.take(limit as usize).map(|p| p.part).collect())
    }
}

impl FailureTx for Memory {
    fn put_failures(&mut self, unit: UnitId, failures: &[(String, Failure)]) -> StoreResult<()> {
        cost::rows(failures.len());
        self.failures.retain(|(id, _), _| *id != unit);
        for (asset, failure) in failures {
            self.failures.insert((unit, asset.clone()), failure.clone());
        }
        Ok(())
    }

    fn failures_of(&mut self, unit: UnitId) -> StoreResult<Vec<(String, Failure)>> {
        let of_unit = self.failures.iter().filter(|((id, _), _)| *id == unit);
        Ok(of_unit.map(|((_, asset), failure)| (asset.clone(), failure.clone())).collect())
    }

    fn failures(&mut self, job: JobNo, limit: u32) -> StoreResult<Vec<FailureRow>> {
        let of_job = self.failures.iter().filter(|((id, _), _)| id.job == job);
        Ok(of_job
            .take(limit as usize)
            .map(|((unit, asset), failure)| {
                let listed = self.listing.get(&(job, asset.clone()));
                let role = listed.map(|(_, a)| a.role.as_str().to_owned()).unwrap_or_default();
                let listed = listed.map(|(_, a)| a.title.clone());
                let title = listed.or_else(|| self.partitions.get(&(job, unit.part)).map(|p| p.title.clone()));
                FailureRow {
                    unit: *unit,
                    state: self.units.get(unit).map_or(UnitState::Leased, |row| row.state),
                    asset: asset.clone(),
                    title: title.unwrap_or_default(),
                    role,
                    failure: failure.clone(),
                }
            })
            .collect())
    }
}

impl BarrierTx for Memory {
    fn add_to_barrier(&mut self, job: JobNo, step: StepNo, grow: &BarrierGrowth) -> StoreResult<()> {
        let row = self.barriers.entry((job, step, grow.key.clone())).or_insert_with(|| BarrierRow {
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
        Ok(self.barriers.get(&(job, step, key.to_owned())).cloned())
    }

    fn barriers(
        &mut self,
        job: JobNo,
        step: StepNo,
        state: Option<BarrierState>,
        after: Option<&str>,
        limit: u32,
    ) -> StoreResult<Vec<BarrierRow>> {
        let found = self.barriers.iter().filter(|((j, s, key), row)| {
            *j == job
                && *s == step
                && state.is_none_or(|state| row.state == state)
                && after.is_none_or(|after| key.as_str() > after)
        });
        Ok(found.take(limit as usize).map(|(_, row)| row.clone()).collect())
    }

    fn barrier_counts(&mut self, job: JobNo, step: StepNo) -> StoreResult<BarrierCounts> {
        let mut counts = BarrierCounts::default();
        for (_, row) in self.barriers.iter().filter(|((j, s, _), _)| *j == job && *s == step) {
            counts.total += 1;
            counts.released += u64::from(row.state == BarrierState::Released);
            counts.held += u64::from(row.state == BarrierState::Held);
            counts.spreading += u64::from(row.state == BarrierState::Released && row.spread < row.last);
        }
        Ok(counts)
    }

    fn barriers_spreading(&mut self, job: JobNo, step: StepNo, limit: u32) -> StoreResult<Vec<BarrierRow>> {
        let of_step = self.barriers.iter().filter(|((j, s, _), row)| {
            *j == job && *s == step && row.state == BarrierState::Released && row.spread < row.last
        });
        Ok(of_step.take(limit as usize).map(|(_, row)| row.clone()).collect())
    }

    fn put_barrier(&mut self, job: JobNo, row: &BarrierRow) -> StoreResult<()> {
        self.barriers.insert((job, row.step, row.key.clone()), row.clone());
        Ok(())
    }
}

impl CatalogueTx for Memory {
    fn put_facts(&mut self, job: JobNo, facts: &[AssetFact], now: Timestamp) -> StoreResult<()> {
        for fact in facts {
            let Some((_, asset)) = self.listing.get(&(job, fact.asset.clone())) else { continue };
            let old = self.catalogue.get(&fact.asset);
            let hash =
                fact.hash.clone().or_else(|| old.and_then(|o| o.asset.hash.clone())).or_else(|| asset.hash.clone());
            let stale = old.is_some_and(|o| fact.hash.is_some() && o.asset.hash != fact.hash);
            let kept = old.filter(|_| !stale);
            let bytes = fact.bytes.or_else(|| old.and_then(|o| o.asset.bytes)).or(asset.bytes);
            let entry = AssetFact {
                asset: fact.asset.clone(),
                location: fact.location.clone().or_else(|| old.and_then(|o| o.fact.location.clone())),
                hash: hash.clone(),
                bytes,
                verdict: fact.verdict.clone().or_else(|| kept.and_then(|o| o.fact.verdict.clone())),
                report: fact.report.clone().or_else(|| kept.and_then(|o| o.fact.report.clone())),
                skipped: false,
            };
            let asset = Asset { hash, bytes, ..asset.clone() };
            self.catalogue.insert(fact.asset.clone(), CatalogueRow { asset, fact: entry, updated_at: now });
        }
        Ok(())
    }

    fn catalogue(&mut self, title: Option<&str>, after: Option<&str>, limit: u32) -> StoreResult<Vec<CatalogueRow>> {
        let found = self.catalogue.iter().filter(|(id, row)| {
            title.is_none_or(|title| row.asset.title == title) && after.is_none_or(|after| id.as_str() > after)
        });
        Ok(found.take(limit as usize).map(|(_, row)| row.clone()).collect())
    }

    fn catalogue_entry(&mut self, asset: &str) -> StoreResult<Option<CatalogueRow>> {
        Ok(self.catalogue.get(asset).cloned())
    }

    fn import_assets(&mut self, assets: &[Asset], now: Timestamp) -> StoreResult<()> {
        for asset in assets {
            let old = self.catalogue.get(&asset.id);
            let stale = old.is_some_and(|o| asset.hash.is_some() && o.asset.hash != asset.hash);
            let mut fact = old.filter(|_| !stale).map(|o| o.fact.clone()).unwrap_or_default();
            let hash = asset.hash.clone().or_else(|| old.and_then(|o| o.asset.hash.clone()));
            let bytes = asset.bytes.or_else(|| old.and_then(|o| o.asset.bytes));
            fact.asset.clone_from(&asset.id);
            (fact.hash, fact.bytes) = (hash.clone(), bytes);
            let asset = Asset { hash, bytes, ..asset.clone() };
            self.catalogue.insert(asset.id.clone(), CatalogueRow { asset, fact, updated_at: now });
        }
        Ok(())
    }

    fn find_asset(&mut self, job: JobNo, asset: &str) -> StoreResult<Option<PartNo>> {
        let Some((_, found)) = self.listing.get(&(job, asset.to_owned())).cloned() else { return Ok(None) };
        if let Some(part) = self.moved.get(&(job, found.id.clone())) {
            return Ok(Some(*part));
        }
        let of_job = self.partitions.range((job, 0)..=(job, PartNo::MAX)).map(|(_, p)| p);
        let mut homes = of_job.filter(|p| {
            p.parent == 0 && (p.title.is_empty() || p.title == found.title) && p.first <= found.id && found.id <= p.last
        });
        Ok(homes.next().map(|p| p.part))
    }
}

/// Bytes of an asset's row.
fn row_bytes(asset: &Asset) -> u64 {
    let declared = asset.declared.as_ref().and_then(|declared| serde_json::to_string(declared).ok());
    let texts = [&asset.id, &asset.title, &asset.location, &asset.path].into_iter();
    texts.chain(&asset.hash).chain(&declared).map(|text| text.len() as u64).sum()
}
