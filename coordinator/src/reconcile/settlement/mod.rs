//! Takes what workers report: pages of listings and ends of units, a batch in one transaction.
mod carried;
mod scan;
mod settled;
mod sliced;

pub use crate::reconcile::settlement::settled::{Ends, Settled};

use crate::graph::{Change, Graph, causes};
use crate::reconcile::attribution::{Standing, standing};
use crate::reconcile::splitter;
use crate::review::approvals;
use crate::review::tasks::{Recorder, Settled as SettledAsset};
use crate::review::verdicts::{self, Judged};
use crate::review::waivers::Waivers;
use crate::rows::{job_row, unit_row};
use crate::store::{Carried, CauseRow, JobRow, JobState, Phase, StoreError, StoreResult, Tx, UnitRow};
use crate::workflows::Workflows;
use foldhash::HashMap as IdMap;
use protocol::failure::Failure;
use protocol::id::{JobNo, Kind, PartNo, StepNo, UnitId};
use protocol::media::asset::AssetFact;
use protocol::rules::review::waiver::JudgedContent;
use protocol::rules::unit::settle::{
    DispatchScope, Reported, Settlement, UnitFacts, accountable_us, decide, is_possible,
};
use protocol::rules::unit::transition::UnitState;
use protocol::time::Timestamp;
use protocol::wire::report::{Outcome, ScanPage, UnitResult};
use protocol::wire::unit::TaskSpec;
use protocol::workflow::file::OnFailure;
use protocol::workflow::{Action, Step, Workflow};
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// What a unit that waits for an archive is noted with while it pauses.
pub(crate) const RESTORING: &str = "restoring";

/// What became of a page of a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageTaken {
    /// It is stored.
    Stored,
    /// It was stored before, or comes from a scan that has been taken back or cannot be read.
    Ignored,
    /// Pages before it are missing. Its worker sends pages in order, so they are lost: this scan cannot be completed.
    Gap,
}

/// Takes a page of a listing. Only the next one of the current scan is stored.
/// `up_to` is the last key of a page of a bucket.
pub fn page(tx: &mut dyn Tx, workflows: &Workflows, page: &ScanPage, up_to: Option<&str>) -> StoreResult<PageTaken> {
    let mut row = match tx.job(page.unit.job) {
        Ok(Some(row)) => row,
        Ok(None) | Err(StoreError::Corrupt(_)) => return Ok(PageTaken::Ignored),
        Err(error) => return Err(error),
    };
    let current = row.phase == Phase::Scanning && row.scan_epoch == page.epoch && !row.state.has_ended();
    if !current || page.page < row.scan.page {
        return Ok(PageTaken::Ignored);
    }
    if page.page > row.scan.page {
        return Ok(PageTaken::Gap);
    }
    let workflow = match workflows.of(tx, row.no) {
        Ok(workflow) => workflow,
        Err(StoreError::Corrupt(_)) => return Ok(PageTaken::Ignored),
        Err(error) => return Err(error),
    };
    let appended = tx.append_listing(row.no, workflow.partition.by_title, &page.assets)?;
    row.assets += appended.assets;
    row.bytes_declared = row.bytes_declared.saturating_add(appended.bytes);
    row.row_errors += tx.append_row_errors(row.no, &page.errors)?;
    row.row_errors += tx.append_row_errors(row.no, &appended.errors)?;
    row.scan.page += 1;
    if let Some(next) = page.next {
        (row.scan.byte, row.scan.line) = (next.byte, next.line);
    }
    if let Some(up_to) = up_to {
        row.scan_after = Some(up_to.to_owned());
    }
    tx.update_job(&row)?;
    Ok(PageTaken::Stored)
}

/// Takes a batch of ends. `jitter` gives a fresh random number in 0..1 at each call.
pub fn settle(
    tx: &mut dyn Tx,
    workflows: &Workflows,
    outcomes: Vec<Outcome>,
    now: Timestamp,
    jitter: &mut dyn FnMut() -> f64,
) -> StoreResult<Settled> {
    let mut done = Settled::default();
    let mut groups: BTreeMap<(JobNo, StepNo), Vec<Outcome>> = BTreeMap::new();
    for outcome in outcomes {
        groups.entry((outcome.unit.job, outcome.unit.step)).or_default().push(outcome);
    }
    for ((job, step), group) in groups {
        let row = match tx.job(job) {
            Ok(Some(row)) => row,
            // Gone, or set aside because this version cannot read it.
            Ok(None) | Err(StoreError::Corrupt(_)) => {
                done.rejected += group.len() as u64;
                continue;
            }
            Err(error) => return Err(error),
        };
        let before = done.ends();
        if step == StepNo::SCAN {
            for outcome in group {
                scan::settle(tx, job, outcome, now, jitter(), &mut done)?;
            }
            done.count(Kind::Scan, before);
            continue;
        }
        let workflow = match workflows.of(tx, job) {
            Ok(workflow) => workflow,
            // A job that this version cannot read is set aside; it must not hold up the reports of all others.
            Err(StoreError::Corrupt(_)) => {
                done.rejected += group.len() as u64;
                continue;
            }
            Err(error) => return Err(error),
        };
        let (possible, foreign) = sorted(&workflow, &row, step, group);
        done.rejected += foreign;
        let mut group_settling = Group {
            tx,
            job: row,
            workflow: &workflow,
            step,
            now,
            done: &mut done,
            causes: Vec::new(),
            verdicts: Verdicts::default(),
        };
        group_settling.settle(possible, jitter)?;
        group_settling.record(workflows)?;
        if let Some(kind) = workflow.step(step).and_then(|step| step.kind()) {
            done.count(kind, before);
        }
    }
    Ok(done)
}

/// The ends that can be of units of this step, and how many are of none.
fn sorted(workflow: &Workflow, job: &JobRow, step: StepNo, outcomes: Vec<Outcome>) -> (Vec<Outcome>, u64) {
    let hands_out = match workflow.step(step).map(|step| &step.action) {
        Some(Action::Units { .. }) => DispatchScope::Partitions,
        Some(Action::Seal { .. }) => DispatchScope::Once,
        Some(Action::Barrier { .. } | Action::Approval { .. }) | None => DispatchScope::Nothing,
    };
    let (possible, foreign): (Vec<Outcome>, Vec<Outcome>) =
        outcomes.into_iter().partition(|outcome| is_possible(hands_out, outcome.unit, job.parts));
    (possible, foreign.len() as u64)
}

struct Group<'a, 'b> {
    tx: &'a mut dyn Tx,
    job: JobRow,
    workflow: &'a Workflow,
    step: StepNo,
    now: Timestamp,
    done: &'b mut Settled,
    /// What died, by cause: written once for the group.
    causes: Vec<CauseRow>,
    verdicts: Verdicts,
}

/// What was judged in a group of units.
#[derive(Default)]
struct Verdicts {
    /// Judged assets with the partition they were in, and whether a waiver lets them go on.
    assets: Vec<(PartNo, Judged, bool)>,
    /// Where an asset died.
    dead: HashMap<String, PartNo>,
    waivers: Waivers,
}

/// What a unit reported, ready to be settled.
struct Told {
    reported: Reported,
    learned: Vec<AssetFact>,
    judged: Vec<(PartNo, Judged, bool)>,
}

impl Group<'_, '_> {
    fn settle(&mut self, outcomes: Vec<Outcome>, jitter: &mut dyn FnMut() -> f64) -> StoreResult<()> {
        let Some(policy) = self.workflow.step(self.step).map(|s| s.retry) else { return Ok(()) };
        let outcomes = self.settle_slices(outcomes, &policy, jitter)?;
        let parts: Vec<PartNo> = outcomes.iter().map(|o| o.unit.part).collect();
        let rows = self.tx.units(self.job.no, self.step, &parts)?;
        let mut known: IdMap<PartNo, Option<UnitRow>> = parts.iter().copied().zip(rows).collect();
        let cursor = self.tx.steps(self.job.no)?.iter().find(|s| s.step == self.step).map_or(0, |s| s.cursor);
        let mut changes = Vec::new();
        let (mut facts, mut carried) = (Vec::new(), Carried::default());
        for outcome in outcomes {
            let part = outcome.unit.part;
            let row = known.get(&part).copied().flatten();
            let unit = self.unit_facts(row, part, cursor);
            let epoch = match self.standing(row, &outcome)? {
                Standing::Current => unit.epoch,
                Standing::Stale => {
                    self.done.rejected += 1;
                    continue;
                }
                Standing::Withdrawn => {
                    self.done.withdrawn += 1;
                    continue;
                }
            };
            if let UnitResult::Cut(drafts) = &outcome.result {
                let cut = self.cut(outcome.unit, row.map(|r| r.state), unit, drafts)?;
                known.extend(cut.map(|change| (part, Some(change.to))));
                changes.extend(cut);
                continue;
            }
            let Told { reported, learned, judged } = self.reported(outcome.result, part)?;
            let needs_size = matches!(&reported, Reported::Finished(failures) if !failures.is_empty());
            let assets = if needs_size { self.partition_size(part)? } else { 1 };
            let settlement = decide(UnitFacts { assets, ..unit }, epoch, reported, &policy, self.now, jitter());
            if let Settlement::Reject(_) = settlement {
                self.done.rejected += 1;
                continue;
            }
            self.done.accepted += 1;
            carried = carried + carried::of(&learned, &settlement);
            facts.extend(learned);
            self.verdicts.assets.extend(judged);
            let change =
                self.carry_out(part, row.map(|r| r.state), unit, settlement, accountable_us(outcome.duration_us))?;
            known.insert(part, Some(change.to));
            changes.push(change);
        }
        self.learn(&facts, carried)?;
        let causes = std::mem::take(&mut self.causes);
        self.tx.add_to_causes(&causes)?;
        let step = self.step;
        approvals::apply(&mut self.graph(), step, &changes)
    }

    fn graph(&mut self) -> Graph<'_> {
        Graph::new(self.tx, self.job.no, self.workflow, self.job.phase == Phase::Sealed, self.now)
    }

    /// What a report speaks for. The usual one, a success under the epoch of the row, needs no look at copies.
    fn standing(&mut self, row: Option<UnitRow>, outcome: &Outcome) -> StoreResult<Standing> {
        let usual = |epoch| if outcome.epoch == epoch { Standing::Current } else { Standing::Stale };
        let Some(row) = row else { return Ok(usual(1)) };
        let ends = matches!(outcome.result, UnitResult::Finished { .. } | UnitResult::Cut(_));
        if row.state != UnitState::Leased || (ends && outcome.epoch == row.epoch && clean(&outcome.result)) {
            return Ok(usual(row.epoch));
        }
        standing(self.tx, outcome.unit, &row, outcome.epoch, ends)
    }

    /// A unit without a row is out under epoch 1 exactly when the cursor has passed it.
    fn unit_facts(&self, row: Option<UnitRow>, part: PartNo, cursor: PartNo) -> UnitFacts {
        match row {
            Some(row) => UnitFacts { state: row.state, epoch: row.epoch, attempt: row.attempt, assets: 1 },
            None => {
                let state = if (1..=cursor).contains(&part) { UnitState::Leased } else { UnitState::Planned };
                UnitFacts { state, epoch: 1, attempt: 0, assets: 1 }
            }
        }
    }

    fn partition_size(&mut self, part: PartNo) -> StoreResult<u32> {
        if part == 0 {
            return Ok(1);
        }
        Ok(self.tx.partitions(self.job.no, &[part])?.first().map_or(1, |p| p.assets))
    }

    /// Failures of assets that a split has moved elsewhere meanwhile are somebody else's.
    fn reported(&mut self, result: UnitResult, part: PartNo) -> StoreResult<Told> {
        let without_facts = |reported| Told { reported, learned: Vec::new(), judged: Vec::new() };
        Ok(match result {
            UnitResult::Finished { mut facts, mut failures } => {
                if !failures.is_empty() && part > 0 {
                    let ids: Vec<String> = failures.iter().map(|(asset, _)| asset.clone()).collect();
                    let gone = self.tx.moved_away(self.job.no, part, &ids)?;
                    failures.retain(|(asset, _)| !gone.contains(asset));
                }
                let judges = self.workflow.step(self.step).is_some_and(|step| step.qc().is_some());
                let judged = if judges { verdicts::read(&mut facts, &failures) } else { Vec::new() };
                let judged = self.waive(part, judged, &mut failures)?;
                Told { reported: Reported::Finished(failures), learned: facts, judged }
            }
            UnitResult::Failed(failure) => without_facts(Reported::Failed(failure)),
            UnitResult::Waiting { look_again_us, message } => {
                without_facts(Reported::Waiting(Duration::from_micros(look_again_us), message))
            }
            // A cut was taken before, and no unit is a slice.
            UnitResult::Returned
            | UnitResult::Cancelled
            | UnitResult::Listed { .. }
            | UnitResult::Cut(_)
            | UnitResult::Sliced(_) => without_facts(Reported::Returned),
        })
    }

    /// Failures whose checks a person has let stand, all of them, hold nothing up.
    fn waive(
        &mut self,
        part: PartNo,
        judged: Vec<Judged>,
        failures: &mut Vec<(String, Failure)>,
    ) -> StoreResult<Vec<(PartNo, Judged, bool)>> {
        let mut told = Vec::with_capacity(judged.len());
        let mut titles: Option<HashMap<String, String>> = None;
        for one in judged {
            let mut waived = false;
            if one.failure.is_some() {
                let titles = match &mut titles {
                    Some(known) => known,
                    none => {
                        let partitions = self.tx.partitions(self.job.no, &[part])?;
                        let members = self.tx.members(self.job.no, &partitions)?;
                        none.insert(members.into_iter().flatten().map(|asset| (asset.id, asset.title)).collect())
                    }
                };
                let title = titles.get(&one.asset).map_or("", String::as_str);
                let delivery = JudgedContent { asset: &one.asset, title, policy: &one.policy, hash: &one.hash };
                waived = self.verdicts.waivers.cover(self.tx, one.checks(), &delivery, self.now)?;
            }
            if waived {
                failures.retain(|(asset, _)| *asset != one.asset);
            }
            told.push((part, one, waived));
        }
        Ok(told)
    }

    /// Keeps what was judged, and what is waived with the unit that goes on because of it.
    fn record(&mut self, workflows: &Workflows) -> StoreResult<()> {
        let Verdicts { assets, dead, .. } = std::mem::take(&mut self.verdicts);
        let Some(step) = self.workflow.step(self.step).filter(|_| !assets.is_empty()) else { return Ok(()) };
        let mut let_stand: BTreeMap<PartNo, Vec<(String, Failure)>> = BTreeMap::new();
        for (part, judged, _) in assets.iter().filter(|(_, _, waived)| *waived) {
            let_stand.entry(*part).or_default().extend(judged.failure.clone().map(|f| (judged.asset.clone(), f)));
        }
        for (part, failures) in let_stand {
            let unit = UnitId { job: self.job.no, step: self.step, part };
            let row = unit_row(self.tx, UnitId { job: self.job.no, step: self.step, part })?;
            if row.is_some_and(|row| row.state == UnitState::Succeeded) {
                self.tx.put_failures(unit, &failures)?;
            }
        }
        let mut row = job_row(self.tx, self.job.no)?;
        let decoded = assets.iter().filter(|(_, judged, _)| judged.decoded).count() as u64;
        row.judged += assets.len() as u64;
        row.decoded += decoded;
        self.done.judged += assets.len() as u64;
        self.done.decoded += decoded;
        self.tx.update_job(&row)?;
        self.job = row;
        let settled: Vec<SettledAsset> = assets
            .into_iter()
            .map(|(part, judged, waived)| SettledAsset { dead: dead.get(&judged.asset).copied(), judged, part, waived })
            .collect();
        let (job, no, now) = (self.job.clone(), self.step, self.now);
        Recorder { tx: self.tx, workflows, job: &job, no, step, now }.record(&settled)
    }

    fn carry_out(
        &mut self,
        part: PartNo,
        from: Option<UnitState>,
        unit: UnitFacts,
        settlement: Settlement,
        duration_us: u64,
    ) -> StoreResult<Change> {
        let id = UnitId { job: self.job.no, step: self.step, part };
        let row = |state, attempt, due_at| UnitRow { state, epoch: unit.epoch, attempt, due_at, duration_us };
        let to = match settlement {
            Settlement::Succeed => {
                if unit.attempt > 0 || self.may_wait() {
                    self.tx.put_failures(id, &[])?;
                }
                self.done.succeeded += 1;
                row(UnitState::Succeeded, unit.attempt, None)
            }
            Settlement::Retry(at, failure) => {
                self.tx.put_failures(id, &[(String::new(), failure)])?;
                self.done.retried += 1;
                row(UnitState::Retrying, unit.attempt + 1, Some(at))
            }
            Settlement::Die(failures) => {
                self.die(id, &failures)?;
                row(UnitState::Dead, unit.attempt + 1, None)
            }
            Settlement::Split { dead, retry } => {
                self.split(part, &dead)?;
                match retry {
                    None => {
                        self.tx.put_failures(id, &[])?;
                        self.done.succeeded += 1;
                        row(UnitState::Succeeded, unit.attempt, None)
                    }
                    Some((at, failure)) => {
                        self.tx.put_failures(id, &[(String::new(), failure)])?;
                        self.done.retried += 1;
                        row(UnitState::Retrying, unit.attempt + 1, Some(at))
                    }
                }
            }
            Settlement::Wait(at, what) => {
                let note = Failure::transient(RESTORING, what);
                self.tx.put_failures(id, &[(String::new(), note)])?;
                self.done.waiting += 1;
                row(UnitState::Retrying, unit.attempt, Some(at))
            }
            Settlement::Release | Settlement::Reject(_) => row(UnitState::Ready, unit.attempt, None),
        };
        let executed_us = (to.state != UnitState::Ready).then_some(duration_us);
        Ok(Change { part, from, to, executed_us })
    }

    /// Whether units of the step may wait for something outside without having failed.
    fn may_wait(&self) -> bool {
        let action = self.workflow.step(self.step).map(|step| &step.action);
        matches!(action, Some(Action::Units { task, .. }) if matches!(task.as_ref(), TaskSpec::Restore(_)))
    }

    fn die(&mut self, id: UnitId, failures: &[(String, Failure)]) -> StoreResult<()> {
        self.tx.put_failures(id, failures)?;
        self.verdicts.dead.extend(failures.iter().map(|(asset, _)| (asset.clone(), id.part)));
        self.causes.extend(causes::changes(id, failures, 1, self.now));
        self.done.dead += 1;
        let aborts = self.workflow.step(self.step).is_some_and(|s| s.on_failure == OnFailure::Abort);
        if aborts && matches!(self.job.state, JobState::Running | JobState::Paused) {
            self.job.state = JobState::Cancelling;
            let reason = failures.first().map_or("", |(_, f)| f.message.as_str());
            self.job.message = Some(format!("a unit failed and its step says abort: {reason}"));
            self.tx.update_job(&self.job)?;
        }
        Ok(())
    }

    fn split(&mut self, part: PartNo, dead: &[(String, Failure)]) -> StoreResult<()> {
        let ids: Vec<String> = dead.iter().map(|(asset, _)| asset.clone()).collect();
        let step = self.step;
        let child = splitter::split(&mut self.graph(), part, step, &ids)?;
        self.job = job_row(self.tx, self.job.no)?;
        self.die(UnitId { job: self.job.no, step: self.step, part: child }, dead)
    }

    fn learn(&mut self, facts: &[AssetFact], carried: Carried) -> StoreResult<()> {
        if facts.is_empty() {
            return Ok(());
        }
        self.tx.put_facts(self.job.no, facts, self.now)?;
        let step = self.workflow.step(self.step);
        let first_step = step.is_some_and(|s| s.needs.is_empty());
        let carries = step.is_some_and(Step::carries);
        if first_step || carries {
            let mut row = job_row(self.tx, self.job.no)?;
            // Later steps look at the same bytes again; they are counted once.
            if first_step {
                row.bytes = facts.iter().filter_map(|f| f.bytes).fold(row.bytes, u64::saturating_add);
            }
            if carries {
                row.carried = row.carried + carried;
            }
            self.tx.update_job(&row)?;
            self.job = row;
        }
        Ok(())
    }
}

fn clean(result: &UnitResult) -> bool {
    matches!(result, UnitResult::Finished { failures, .. } if failures.is_empty())
}
