//! Claims ready units, later steps before earlier ones, so that titles that were begun end before others begin. Pause and
//! cancel take effect here, at the last moment.
mod admitted;

pub use admitted::{Gate, claim_admitted};

use crate::dispatch::claim_room::ClaimRoom;
use crate::dispatch::origin::Origin;
use crate::review::cached_facts;
use crate::store::{JobRow, Partition, StepRow, StoreResult, Tx, UnitRow};
use protocol::id::{Kind, PartNo, StepNo, UnitId};
use protocol::media::asset::Asset;
use protocol::media::template;
use protocol::model::location::Scheme;
use protocol::rules::unit::transition::UnitState;
use protocol::wire::unit::Unit;
use protocol::workflow::{Action, Step, Workflow};
use std::sync::Arc;

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

    /// Number of units without a row behind this cursor, at most `most`. A larger limit would read the partitions that
    /// splits made, which are never handed out this way.
    fn fresh(&self, cursor: PartNo, most: u32) -> u32 {
        u32::try_from(self.job.parts_planned.saturating_sub(cursor))
            .unwrap_or(u32::MAX)
            .min(most)
    }

    /// Units that may still be claimed, besides those in `units`.
    fn left(&self, units: &[Unit], room: &ClaimRoom) -> u32 {
        let wanted = self.room.saturating_sub(units.len() as u32);
        wanted.min(room.units(self.job.no, self.step))
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
    if counter.live > 0 {
        claim_ready(tx, claim, step, room, &mut units)?;
    }
    claim_fresh(tx, claim, step, counter.cursor, room, &mut units)?;
    Ok(units)
}

/// Adds units whose row is ready, until none is left or the room is taken.
fn claim_ready(
    tx: &mut dyn Tx,
    claim: &Claim<'_>,
    step: &Step,
    room: &mut ClaimRoom,
    units: &mut Vec<Unit>,
) -> StoreResult<()> {
    loop {
        let wanted = claim.left(units, room);
        if wanted == 0 {
            return Ok(());
        }
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
            return Ok(());
        }
    }
}

/// Adds units that have no row yet, and moves the cursor of the step behind them.
fn claim_fresh(
    tx: &mut dyn Tx,
    claim: &Claim<'_>,
    step: &Step,
    mut cursor: PartNo,
    room: &mut ClaimRoom,
    units: &mut Vec<Unit>,
) -> StoreResult<()> {
    while claim.has_fresh(cursor) && claim.left(units, room) > 0 {
        let mut fresh = tx.partitions_after(
            claim.job.no,
            cursor,
            claim.fresh(cursor, claim.left(units, room)),
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
    Ok(())
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
