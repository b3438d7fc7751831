//! Multipart uploads: one large transfer over several workers. The worker that gets the unit opens the uploads of its large
//! assets and reports a plan. While parts are transferred the unit stays leased without an owner; its slices are dispatched,
//! fenced, retried and settled as units are. They are members of a barrier of their own, which is evaluated in the
//! transaction that makes their transitions (BAR-1). When all have ended the unit is ready again, and the next worker
//! completes the uploads.
mod slice;

pub use slice::{Ended, give_up, settle, take_back};

use crate::rows::unit_row;
use crate::store::{
    JobState, MultipartRow, MultipartState, SliceRow, StepDelta, StoreResult, Tx, UnitRow,
};
use crate::workflows::Workflows;
use protocol::id::{Execution, JobNo, StepNo, UnitId};
use protocol::rules::barrier::{BarrierDecision, BarrierPolicy, BarrierRequire, Tally, evaluate};
use protocol::rules::storage::multipart::{LargeAsset, PlannedSlice, plan_slices};
use protocol::rules::unit::transition::UnitState;
use protocol::time::Timestamp;
use protocol::wire::step::multipart::OpenUpload;

/// Large assets of one unit at most: what completes them has to fit into one message.
const UPLOADS_MAX: usize = 4;

/// The outcome of opening a multipart upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenOutcome {
    /// The upload is open and its slices are planned.
    Opened,
    /// It was open already.
    AlreadyOpen,
    /// The assets cannot be divided: the unit is as if it had not run.
    NotDivisible,
}

/// A unit whose slices are carried.
#[derive(Debug)]
pub struct MultipartTransfer {
    /// Row with its state and its open uploads.
    pub row: MultipartRow,
    /// The unit, leased without an owner.
    pub unit: UnitRow,
    /// Its slices, by number.
    pub slices: Vec<SliceRow>,
    /// Planned ranges of the slices, in the same order.
    pub portions: Vec<PlannedSlice>,
    /// Its job was cancelled.
    pub cancelling: bool,
}

/// All multipart transfers, as they are in this turn.
#[derive(Debug, Default)]
pub struct MultipartTransfers {
    /// Those whose slices are carried.
    pub open: Vec<MultipartTransfer>,
    /// Those whose slices have ended.
    pub closed: Vec<MultipartRow>,
    /// Executions of slices that are to be called back.
    pub obsolete: Vec<Execution>,
    /// When the next slice's pause is over.
    pub due: Option<Timestamp>,
}

impl MultipartTransfers {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty() && self.closed.is_empty()
    }

    /// Whether a unit has one.
    pub fn has(&self, unit: UnitId) -> bool {
        self.open
            .iter()
            .map(|multipart| &multipart.row)
            .chain(&self.closed)
            .any(|row| row.unit == unit)
    }

    /// Slices of a step that can be handed out.
    pub fn ready(&self, job: JobNo, step: StepNo, now: Timestamp) -> u32 {
        let of_step = self
            .open
            .iter()
            .filter(|multipart| (multipart.row.unit.job, multipart.row.unit.step) == (job, step));
        of_step
            .flat_map(|multipart| &multipart.slices)
            .filter(|row| is_due(row, now))
            .count() as u32
    }
}

/// The sizes by which large assets are divided into slices.
pub(crate) fn larges(open_uploads: &[OpenUpload]) -> Vec<LargeAsset> {
    let large = |open_upload: &OpenUpload| LargeAsset {
        bytes: open_upload.bytes,
        part_bytes: open_upload.part_bytes,
        slice_bytes: open_upload.slice_bytes,
        measured: open_upload.measured,
    };
    open_uploads.iter().map(large).collect()
}

pub(crate) fn is_due(row: &SliceRow, now: Timestamp) -> bool {
    row.state == UnitState::Ready
        || (row.state == UnitState::Retrying && row.due_at.is_none_or(|at| at <= now))
}

pub(crate) fn has_ended(row: &SliceRow) -> bool {
    matches!(
        row.state,
        UnitState::Succeeded | UnitState::Dead | UnitState::Cancelled
    )
}

/// The multipart transfers of a job.
pub(crate) fn multiparts_of(tx: &mut dyn Tx, job: JobNo) -> StoreResult<Vec<MultipartRow>> {
    let units = tx.multipart_units()?;
    let mut multiparts = Vec::new();
    for unit in units.into_iter().filter(|unit| unit.job == job) {
        multiparts.extend(tx.multipart(unit)?);
    }
    Ok(multiparts)
}

/// Divides a unit whose uploads have been begun into slices.
pub fn open(
    tx: &mut dyn Tx,
    unit: UnitId,
    open_uploads: &[OpenUpload],
) -> StoreResult<OpenOutcome> {
    if tx.multipart(unit)?.is_some() {
        return Ok(OpenOutcome::AlreadyOpen);
    }
    let known = plan_slices(&larges(open_uploads))
        .filter(|_| (1..=UPLOADS_MAX).contains(&open_uploads.len()));
    let Some(portions) = known else {
        return Ok(OpenOutcome::NotDivisible);
    };
    let ready = |portion: &PlannedSlice| SliceRow {
        slice: portion.slice,
        state: UnitState::Ready,
        epoch: 0,
        attempt: 0,
        due_at: None,
        receipt: None,
    };
    tx.put_multipart(&MultipartRow {
        unit,
        state: MultipartState::Open,
        open_uploads: open_uploads.to_vec(),
    })?;
    tx.put_slices(unit, &portions.iter().map(ready).collect::<Vec<SliceRow>>())?;
    Ok(OpenOutcome::Opened)
}

/// Takes back a unit that was to be discarded: it is handed out for that again. Returns whether it was one.
pub fn reopen(tx: &mut dyn Tx, unit: UnitId) -> StoreResult<bool> {
    let Some(multipart) = tx
        .multipart(unit)?
        .filter(|multipart| multipart.state == MultipartState::Discarding)
    else {
        return Ok(false);
    };
    tx.put_multipart(&MultipartRow {
        state: MultipartState::Open,
        ..multipart
    })?;
    Ok(true)
}

/// Advances every open upload: one whose slices have ended is completed, one that is cancelled is aborted.
pub fn advance(
    tx: &mut dyn Tx,
    workflows: &Workflows,
    now: Timestamp,
) -> StoreResult<MultipartTransfers> {
    let mut multiparts = MultipartTransfers::default();
    let units = tx.multipart_units()?;
    for of_job in units.chunk_by(|a, b| a.job == b.job) {
        let Some(job) = of_job.first().map(|unit| unit.job) else {
            continue;
        };
        workflows.for_job(tx, job, |tx| {
            advance_job(tx, job, of_job, now, &mut multiparts)
        })?;
    }
    Ok(multiparts)
}

fn advance_job(
    tx: &mut dyn Tx,
    job: JobNo,
    units: &[UnitId],
    now: Timestamp,
    multiparts: &mut MultipartTransfers,
) -> StoreResult<()> {
    let cancelling = tx
        .job(job)?
        .is_some_and(|job| job.state == JobState::Cancelling);
    for id in units.iter().copied() {
        let Some(row) = tx.multipart(id)? else {
            continue;
        };
        let unit = unit_row(tx, id)?;
        match (row.state, unit) {
            (MultipartState::Open, Some(unit)) if unit.state == UnitState::Leased => {
                advance_open(tx, row, unit, cancelling, now, multiparts)?;
            }
            (MultipartState::Closed, Some(unit))
                if matches!(unit.state, UnitState::Ready | UnitState::Retrying) && cancelling =>
            {
                // It would be cancelled as it is, and leave behind what was begun.
                let unit = step_to(tx, id, unit, UnitState::Leased)?;
                let row = MultipartRow {
                    state: MultipartState::Open,
                    ..row
                };
                tx.put_multipart(&row)?;
                advance_open(tx, row, unit, cancelling, now, multiparts)?;
            }
            (MultipartState::Discarding, Some(unit)) if unit.state == UnitState::Leased => {}
            (MultipartState::Open | MultipartState::Closed, Some(unit))
                if !unit.state.is_terminal() =>
            {
                multiparts.closed.push(row)
            }
            _ => tx.forget_multipart(id)?,
        }
    }
    Ok(())
}

fn advance_open(
    tx: &mut dyn Tx,
    row: MultipartRow,
    unit: UnitRow,
    cancelling: bool,
    now: Timestamp,
    multiparts: &mut MultipartTransfers,
) -> StoreResult<()> {
    let id = row.unit;
    let mut slices = tx.slices(id)?;
    let policy = BarrierPolicy {
        require: BarrierRequire::All,
        budget: None,
        until: None,
    };
    let decision = evaluate(&policy, tally(&slices), now);
    if cancelling || matches!(decision, BarrierDecision::Hold { .. }) {
        let mut stopped = Vec::new();
        for slice in slices.iter_mut().filter(|slice| !has_ended(slice)) {
            if slice.state == UnitState::Leased {
                multiparts.obsolete.push(Execution {
                    unit: id.with_slice(slice.slice.number),
                    epoch: slice.epoch,
                });
            } else {
                slice.state = UnitState::Cancelled;
                stopped.push(slice.clone());
            }
        }
        tx.put_slices(id, &stopped)?;
    }
    if slices.iter().all(has_ended) && !cancelling {
        step_to(tx, id, unit, UnitState::Ready)?;
        let row = MultipartRow {
            state: MultipartState::Closed,
            ..row
        };
        tx.put_multipart(&row)?;
        tracing::info!(unit.id = %id, slices = slices.len(), "all slices have ended");
        multiparts.closed.push(row);
        return Ok(());
    }
    let pauses = slices
        .iter()
        .filter(|slice| slice.state == UnitState::Retrying)
        .filter_map(|slice| slice.due_at);
    multiparts.due = multiparts.due.into_iter().chain(pauses).min();
    // What was stored was divided by the same rule.
    let portions = plan_slices(&larges(&row.open_uploads)).unwrap_or_default();
    multiparts.open.push(MultipartTransfer {
        row,
        unit,
        slices,
        portions,
        cancelling,
    });
    Ok(())
}

fn step_to(tx: &mut dyn Tx, id: UnitId, unit: UnitRow, state: UnitState) -> StoreResult<UnitRow> {
    let to = UnitRow {
        state,
        due_at: None,
        ..unit
    };
    tx.put_units(id.job, id.step, &[(id.part, to)])?;
    tx.add_to_step(
        id.job,
        id.step,
        StepDelta::transition(Some(unit.state), state),
    )?;
    Ok(to)
}

fn tally(rows: &[SliceRow]) -> Tally {
    let in_state = |state| rows.iter().filter(|row| row.state == state).count() as u64;
    let failed = in_state(UnitState::Dead) + in_state(UnitState::Cancelled);
    Tally {
        total: rows.len() as u64,
        succeeded: in_state(UnitState::Succeeded),
        failed,
        sealed: true,
    }
}
