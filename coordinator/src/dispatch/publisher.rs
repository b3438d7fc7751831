//! Claims ready units, later steps before earlier ones, so that titles that were begun end before others begin. Pause and
//! cancel take effect here, at the last moment.
use crate::dispatch::claim_room::ClaimRoom;
use crate::dispatch::endpoints::{EndpointBook, of_unit};
use crate::dispatch::origin::Origin;
use crate::review::cached_facts;
use crate::store::{
    JobRow, JobState, Partition, Phase, StepDelta, StepRow, StoreResult, Tx, UnitRow,
};
use crate::workflows::Workflows;
use protocol::id::{JobNo, Kind, PartNo, StepNo, UnitId};
use protocol::media::asset::Asset;
use protocol::media::template;
use protocol::model::location::Scheme;
use protocol::rules::unit::transition::UnitState;
use protocol::wire::step::scan::{ScanSource, ScanTask};
use protocol::wire::unit::Unit;
use protocol::workflow::{Action, Step, Workflow};
use std::sync::Arc;

/// Candidates looked at for one claim where endpoints are limited.
const LOOK_AHEAD: u32 = 512;
/// Units of a step that may have been passed over before no further are looked at.
const PASSED_OVER_MAX: u64 = 4_096;

/// A claim of units of one step. It is durable before anything is published.
#[derive(Clone, Copy)]
pub struct Claim<'a> {
    /// The job, which runs.
    pub job: &'a JobRow,
    /// Workflow of the job.
    pub workflow: &'a Workflow,
    /// The step whose units are claimed.
    pub step: StepNo,
    /// Units at most.
    pub room: u32,
}

/// Predicate applied to each claim candidate.
pub struct Gate<'a> {
    /// Limits of endpoints.
    pub book: &'a mut EndpointBook,
    /// Ready units up to this partition were looked at last time: so the tail is reached however many are passed over.
    pub after: &'a mut PartNo,
}

/// Rows of units of one step, by partition.
type UnitRows = Vec<(PartNo, UnitRow)>;

impl Claim<'_> {
    fn declared(&self) -> Option<&Step> {
        self.workflow.step(self.step)
    }

    /// Whether units without a row are left to hand out behind this cursor.
    fn has_fresh(&self, cursor: PartNo) -> bool {
        let computed = self
            .declared()
            .is_some_and(|step| step.needs.is_empty() && step.has_units());
        computed && cursor < self.job.parts_planned
    }

    /// How many units without a row are left behind this cursor, `most` at most. More would be looked for in vain, behind
    /// the partitions that splits made.
    fn fresh(&self, cursor: PartNo, most: u32) -> u32 {
        u32::try_from(self.job.parts_planned.saturating_sub(cursor))
            .unwrap_or(u32::MAX)
            .min(most)
    }

    fn units(&self, tx: &mut dyn Tx, rows: &[(PartNo, UnitRow)]) -> StoreResult<Vec<Unit>> {
        let Some(step) = self.declared() else {
            return Ok(Vec::new());
        };
        let partitions = self.partitions(tx, step, rows)?;
        self.with_members(tx, step, &partitions, rows)
    }

    /// The partitions of units. What a step does once for the whole job has none.
    fn partitions(
        &self,
        tx: &mut dyn Tx,
        step: &Step,
        rows: &[(PartNo, UnitRow)],
    ) -> StoreResult<Vec<Partition>> {
        if matches!(step.action, Action::Seal { .. }) {
            return Ok(Vec::new());
        }
        let parts: Vec<PartNo> = rows.iter().map(|(part, _)| *part).collect();
        tx.partitions(self.job.no, &parts)
    }

    /// The first of these units, as many as the turn has room for, with their partitions.
    fn fitting(
        &self,
        tx: &mut dyn Tx,
        step: &Step,
        mut rows: UnitRows,
        room: &ClaimRoom,
    ) -> StoreResult<(Vec<Partition>, UnitRows)> {
        let mut partitions = self.partitions(tx, step, &rows)?;
        if !partitions.is_empty() {
            partitions.truncate(room.fitting(&partitions));
            rows.truncate(partitions.len());
        }
        Ok((partitions, rows))
    }

    fn with_members(
        &self,
        tx: &mut dyn Tx,
        step: &Step,
        partitions: &[Partition],
        rows: &[(PartNo, UnitRow)],
    ) -> StoreResult<Vec<Unit>> {
        if matches!(step.action, Action::Seal { .. }) {
            let origin = Origin::default();
            let bare = |(part, row): &(PartNo, UnitRow)| {
                unit(self, step, &origin, (*part, row), Vec::new())
            };
            return Ok(rows.iter().map(bare).collect());
        }
        let members = tx.members(self.job.no, partitions)?;
        let with_assets = rows.iter().zip(members);
        let origin = Origin::of(self.workflow, step);
        Ok(with_assets
            .map(|((part, row), assets)| unit(self, step, &origin, (*part, row), assets))
            .collect())
    }
}

fn leased(row: &UnitRow) -> UnitRow {
    UnitRow {
        state: UnitState::Leased,
        epoch: row.epoch + 1,
        ..*row
    }
}

/// The row a unit without one would have when it is handed out.
pub(super) const FIRST: UnitRow = UnitRow {
    state: UnitState::Leased,
    epoch: 1,
    attempt: 0,
    due_at: None,
    duration_us: 0,
};

/// Claims ready units of a step, then such that have no row yet, as many as the turn has room for.
pub fn claim_step(
    tx: &mut dyn Tx,
    claim: &Claim<'_>,
    counter: &StepRow,
    room: &mut ClaimRoom,
) -> StoreResult<Vec<Unit>> {
    let Some(step) = claim.declared() else {
        return Ok(Vec::new());
    };
    let mut units: Vec<Unit> = Vec::new();
    let left = |units: &[Unit], room: &ClaimRoom| {
        let wanted = claim.room.saturating_sub(units.len() as u32);
        wanted.min(room.units(claim.job.no, claim.step))
    };
    while counter.live > 0 && left(&units, room) > 0 {
        let wanted = left(&units, room);
        let ready = tx.ready_units(claim.job.no, claim.step, wanted)?;
        let rows: Vec<(PartNo, UnitRow)> = ready
            .iter()
            .map(|(part, row)| (*part, leased(row)))
            .collect();
        let (partitions, rows) = claim.fitting(tx, step, rows, room)?;
        tx.put_units(claim.job.no, claim.step, &rows)?;
        let mut claimed = claim.with_members(tx, step, &partitions, &rows)?;
        cached_facts::attach(tx, &mut claimed)?;
        let last = claimed.len() < wanted as usize;
        room.take(&claimed);
        units.extend(claimed);
        if last {
            break;
        }
    }
    let mut cursor = counter.cursor;
    while claim.has_fresh(cursor) && left(&units, room) > 0 {
        let mut fresh = tx.partitions_after(
            claim.job.no,
            cursor,
            claim.fresh(cursor, left(&units, room)),
        )?;
        fresh.truncate(room.fitting(&fresh));
        let Some(last) = fresh.last() else { break };
        cursor = last.part;
        tx.set_cursor(claim.job.no, claim.step, cursor)?;
        let rows: Vec<(PartNo, UnitRow)> = fresh
            .iter()
            .map(|partition| (partition.part, FIRST))
            .collect();
        let mut claimed = claim.with_members(tx, step, &fresh, &rows)?;
        cached_facts::attach(tx, &mut claimed)?;
        room.take(&claimed);
        units.extend(claimed);
    }
    Ok(units)
}

/// Claims what the endpoints admit; what they do not is passed over, not waited for. Returns whether anything was.
pub fn claim_admitted(
    tx: &mut dyn Tx,
    claim: &Claim<'_>,
    counter: &StepRow,
    gate: &mut Gate<'_>,
    room: &mut ClaimRoom,
) -> StoreResult<(Vec<Unit>, bool)> {
    let (mut units, mut passed_over) = (Vec::new(), 0);
    if counter.live > 0 && !room.is_taken() {
        passed_over += claim_ready(tx, claim, gate, room, &mut units)?;
    }
    cached_facts::attach(tx, &mut units)?;
    room.take(&units);
    let left = claim.room.saturating_sub(units.len() as u32);
    if left > 0 && claim.has_fresh(counter.cursor) && !room.is_taken() {
        let ready = units.len();
        passed_over += claim_fresh(tx, claim, counter, (gate, room), left, &mut units)?;
        cached_facts::attach(tx, &mut units[ready..])?;
        room.take(&units[ready..]);
    }
    Ok((units, passed_over > 0))
}

fn claim_ready(
    tx: &mut dyn Tx,
    claim: &Claim<'_>,
    gate: &mut Gate<'_>,
    room: &ClaimRoom,
    units: &mut Vec<Unit>,
) -> StoreResult<usize> {
    let (job, step) = (claim.job.no, claim.step);
    let Some(declared) = claim.declared() else {
        return Ok(0);
    };
    let look_ahead = LOOK_AHEAD.min(room.units(job, step));
    let page = tx.units_in(job, UnitState::Ready, Some((step, *gate.after)), look_ahead)?;
    let page: Vec<(PartNo, UnitRow)> = page
        .into_iter()
        .take_while(|(id, _)| id.step == step)
        .map(|(id, row)| (id.part, leased(&row)))
        .collect();
    let read = page.len();
    let (partitions, page) = claim.fitting(tx, declared, page, room)?;
    let last_page = read < look_ahead as usize && page.len() == read;
    let (mut rows, mut passed_over, mut looked_at) = (Vec::new(), 0, PartNo::MIN);
    for (unit, row) in claim
        .with_members(tx, declared, &partitions, &page)?
        .into_iter()
        .zip(&page)
    {
        if units.len() as u32 >= claim.room {
            break;
        }
        looked_at = row.0;
        if gate.book.admit(&of_unit(gate.book.limits(), &unit)) {
            rows.push(*row);
            units.push(unit);
        } else {
            passed_over += 1;
        }
    }
    let all = page.last().is_none_or(|(part, _)| *part == looked_at);
    *gate.after = if all && last_page {
        PartNo::MIN
    } else {
        looked_at
    };
    tx.put_units(job, step, &rows)?;
    Ok(passed_over)
}

/// Units without a row that are passed over get one, so that the cursor can move on to those behind them.
fn claim_fresh(
    tx: &mut dyn Tx,
    claim: &Claim<'_>,
    counter: &StepRow,
    (gate, in_turn): (&mut Gate<'_>, &ClaimRoom),
    room: u32,
    units: &mut Vec<Unit>,
) -> StoreResult<usize> {
    let Some(step) = claim.declared() else {
        return Ok(0);
    };
    let (job, no) = (claim.job.no, claim.step);
    let look_ahead = room.max(LOOK_AHEAD).min(in_turn.units(job, no));
    let mut fresh =
        tx.partitions_after(job, counter.cursor, claim.fresh(counter.cursor, look_ahead))?;
    fresh.truncate(in_turn.fitting(&fresh));
    let first: Vec<(PartNo, UnitRow)> = fresh
        .iter()
        .map(|partition| (partition.part, FIRST))
        .collect();
    let (mut admitted, mut passed_over, mut last) = (0, Vec::new(), None);
    for unit in claim.with_members(tx, step, &fresh, &first)? {
        if admitted == room {
            break;
        }
        let part = unit.id.part;
        if gate.book.admit(&of_unit(gate.book.limits(), &unit)) {
            admitted += 1;
            last = Some(part);
            units.push(unit);
        } else {
            passed_over.push((
                part,
                UnitRow {
                    state: UnitState::Ready,
                    epoch: 0,
                    ..FIRST
                },
            ));
        }
    }
    let blocked = passed_over.len();
    if admitted == 0 && counter.live < PASSED_OVER_MAX {
        last = passed_over.last().map(|(part, _)| *part);
    }
    let Some(last) = last else { return Ok(blocked) };
    passed_over.retain(|(part, _)| *part < last || admitted == 0);
    tx.set_cursor(job, no, last)?;
    tx.put_units(job, no, &passed_over)?;
    let mut delta = StepDelta::default();
    passed_over
        .iter()
        .for_each(|_| delta.add(StepDelta::transition(None, UnitState::Ready)));
    tx.add_to_step(job, no, delta)?;
    Ok(blocked)
}

/// Units that are out under these epochs, as they were published.
pub fn published(
    tx: &mut dyn Tx,
    workflow: &Workflow,
    job: &JobRow,
    step: StepNo,
    out: &[(PartNo, UnitRow)],
) -> StoreResult<Vec<Unit>> {
    let mut units = Claim {
        job,
        workflow,
        step,
        room: 0,
    }
    .units(tx, out)?;
    cached_facts::attach(tx, &mut units)?;
    Ok(units)
}

fn unit(
    claim: &Claim<'_>,
    step: &Step,
    origin: &Origin,
    (part, row): (PartNo, &UnitRow),
    mut assets: Vec<Asset>,
) -> Unit {
    let (job, workflow, no) = (claim.job, claim.workflow, claim.step);
    let (kind, task, reads) = match &step.action {
        Action::Units { kind, task, reads } => (*kind, task, *reads),
        Action::Seal { task, .. } => (Kind::Transfer, task, None),
        // Neither has a kind, so none of it is ever claimed.
        Action::Barrier { .. } | Action::Approval { .. } => (Kind::Noop, &workflow.scan, None),
    };
    let targets = reads.map(|no| workflow.targets_to(no)).unwrap_or_default();
    for asset in assets.iter_mut().filter(|_| !targets.is_empty()) {
        // An asset whose target cannot be expanded failed in the transfer and does not get here.
        if let Ok(copy) = template::follow(&targets, asset) {
            let origin = std::mem::replace(&mut asset.location, copy);
            if task.transfer().is_some_and(|transfer| transfer.mhl) {
                asset.note_origin(origin);
            }
            if let Some(target) = targets.last().filter(|target| Scheme::is_local(target)) {
                asset.note_copied_below(template::root(target));
            }
        }
    }
    assets
        .iter_mut()
        .for_each(|asset| origin.note(asset, !targets.is_empty()));
    Unit {
        id: UnitId::new(job.no, no, part),
        epoch: row.epoch,
        attempt: row.attempt,
        kind,
        task: Arc::clone(task),
        assets,
        deadline: job.deadline,
    }
}

/// Claims the scan of a job whose library is not listed yet, under a new epoch, from where it was interrupted.
pub fn claim_scan(tx: &mut dyn Tx, workflows: &Workflows, job: JobNo) -> StoreResult<Option<Unit>> {
    let Some(mut row) = tx.job(job)? else {
        return Ok(None);
    };
    if row.state != JobState::Running || row.phase != Phase::Scanning {
        return Ok(None);
    }
    let workflow = workflows.of(tx, job)?;
    let Some(task) = workflow.scan_task() else {
        return Ok(None);
    };
    row.scan_epoch += 1;
    tx.update_job(&row)?;
    Ok(Some(scan_of(&row, &workflow, task)))
}

/// The scan of a job that is out under the epoch of its row; nothing when none was handed out yet or the library is listed.
pub(super) fn scan_out(workflow: &Workflow, row: &JobRow) -> Option<Unit> {
    let task = workflow
        .scan_task()
        .filter(|_| row.phase == Phase::Scanning && row.scan_epoch > 0)?;
    Some(scan_of(row, workflow, task))
}

/// A scan under the epoch of the job row, from where it was interrupted.
fn scan_of(row: &JobRow, workflow: &Workflow, task: &ScanTask) -> Unit {
    let resume = (row.scan.page > 0).then_some(row.scan);
    let mut task = ScanTask {
        resume,
        ..task.clone()
    };
    if let ScanSource::Bucket { after, .. } = &mut task.source {
        after.clone_from(&row.scan_after);
    }
    Unit {
        id: UnitId::new(row.no, StepNo::SCAN, 0),
        epoch: row.scan_epoch,
        attempt: row.scan_attempt,
        kind: Kind::Scan,
        task: Arc::new(workflow.scan.with_scan(task)),
        assets: Vec::new(),
        deadline: row.deadline,
    }
}

/// The unit that lists a job's library.
pub fn scan_unit(job: JobNo) -> UnitId {
    UnitId::new(job, StepNo::SCAN, 0)
}
