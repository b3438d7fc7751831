//! Claims of multipart uploads: slices, the completion of an upload, its abort; and which units may become one.
use crate::dispatch::endpoints::{EndpointBook, of_unit};
use crate::dispatch::publisher::{self, Claim};
use crate::reconcile::multipart::{
    MultipartTransfer, MultipartTransfers, has_ended, is_due, larges, multiparts_of,
};
use crate::rows::{job_row, unit_row};
use crate::store::{JobRow, MultipartRow, MultipartState, SliceRow, StoreResult, Tx, UnitRow};
use crate::workflows::Workflows;
use protocol::id::{JobNo, UnitId};
use protocol::media::asset::Asset;
use protocol::rules::storage::multipart::{SliceLimits, plan_slices};
use protocol::rules::unit::transition::UnitState;
use protocol::time::Timestamp;
use protocol::wire::step::TaskSpec;
use protocol::wire::step::multipart::{
    BeginUploadsTask, CompleteUploadsTask, OpenUpload, SliceTask, UploadReceipts,
};
use protocol::wire::step::transfer::TransferTask;
use protocol::wire::unit::Unit;
use protocol::workflow::Workflow;
use std::sync::Arc;

/// Claims slices of a step that are ready, or whose pause is over, at most `claim.room`; each under a new epoch. Returns
/// whether an endpoint had no room for one.
pub fn claim(
    tx: &mut dyn Tx,
    claim: &Claim<'_>,
    multiparts: &mut MultipartTransfers,
    book: &mut EndpointBook,
    now: Timestamp,
) -> StoreResult<(Vec<Unit>, bool)> {
    let (mut units, mut passed_over) = (Vec::new(), false);
    let of_step = |multipart: &&mut MultipartTransfer| {
        (multipart.row.unit.job, multipart.row.unit.step) == (claim.job.no, claim.step)
    };
    for multipart in multiparts.open.iter_mut().filter(of_step) {
        let room = (claim.room as usize).saturating_sub(units.len());
        let due = multipart
            .slices
            .iter()
            .filter(|row| is_due(row, now))
            .count();
        let room = room.min(due);
        if room == 0 || multipart.cancelling {
            continue;
        }
        let Some((transfer, whole)) = as_published(
            tx,
            claim.workflow,
            claim.job,
            multipart.row.unit,
            multipart.unit,
        )?
        else {
            continue;
        };
        let (claimed, leased, gated) =
            claim_of_multipart(multipart, (&transfer, &whole), room, book, now);
        tx.put_slices(multipart.row.unit, &leased)?;
        units.extend(claimed);
        passed_over |= gated;
    }
    Ok((units, passed_over))
}

/// Leases at most `room` due slices of a multipart upload. Returns them, their rows, and whether an endpoint had no room for
/// one.
fn claim_of_multipart(
    multipart: &mut MultipartTransfer,
    (transfer, whole): (&TransferTask, &Unit),
    room: usize,
    book: &mut EndpointBook,
    now: Timestamp,
) -> (Vec<Unit>, Vec<SliceRow>, bool) {
    let (mut units, mut leased, mut passed_over) = (Vec::new(), Vec::new(), false);
    let due = multipart.slices.iter_mut().zip(&multipart.portions);
    for (row, portion) in due.filter(|(row, _)| is_due(row, now)) {
        if leased.len() == room {
            break;
        }
        let Some(open_upload) = multipart.row.open_uploads.get(portion.of) else {
            continue;
        };
        let task = SliceTask {
            transfer: transfer.clone(),
            open_upload: open_upload.clone(),
            first: portion.slice.first,
            bytes: portion.slice.bytes,
            measures: portion.measures,
        };
        let asset: Vec<Asset> = whole
            .assets
            .iter()
            .filter(|asset| asset.id == open_upload.asset)
            .cloned()
            .collect();
        let unit = Unit {
            id: multipart.row.unit.with_slice(row.slice.number),
            epoch: row.epoch + 1,
            attempt: row.attempt,
            task: Arc::new(TaskSpec::Slice(Box::new(task))),
            assets: asset,
            ..whole.clone()
        };
        if !book.is_empty() && !book.admit(&of_unit(book.limits(), &unit)) {
            passed_over = true;
            continue;
        }
        (row.state, row.epoch, row.due_at) = (UnitState::Leased, unit.epoch, None);
        leased.push(row.clone());
        units.push(unit);
    }
    (units, leased, passed_over)
}

/// A unit as its step publishes it, with its transfer.
fn as_published(
    tx: &mut dyn Tx,
    workflow: &Workflow,
    job: &JobRow,
    id: UnitId,
    row: UnitRow,
) -> StoreResult<Option<(TransferTask, Unit)>> {
    let unit = publisher::published(tx, workflow, job, id.step, &[(id.part, row)])?.pop();
    Ok(unit.and_then(|unit| Some((unit.task.transfer()?.clone(), unit))))
}

/// Slices that are out, as they were published.
pub fn outstanding(tx: &mut dyn Tx, workflow: &Workflow, job: &JobRow) -> StoreResult<Vec<Unit>> {
    let mut units = Vec::new();
    for multipart in multiparts_of(tx, job.no)?
        .into_iter()
        .filter(|multipart| multipart.state == MultipartState::Open)
    {
        let id = multipart.unit;
        let Some(row) = unit_row(tx, id)? else {
            continue;
        };
        let Some((_, whole)) = as_published(tx, workflow, job, id, row)? else {
            continue;
        };
        let slices = tx
            .slices(id)?
            .into_iter()
            .filter(|slice| slice.state == UnitState::Leased);
        units.extend(slices.map(|slice| Unit {
            id: id.with_slice(slice.slice.number),
            epoch: slice.epoch,
            attempt: slice.attempt,
            ..whole.clone()
        }));
    }
    Ok(units)
}

/// Gives units of a transfer the task they have: completing what slices have carried, or, where slices of large assets
/// are `wanted` and it has not failed yet, beginning them.
pub fn attach(
    tx: &mut dyn Tx,
    units: &mut [Unit],
    multiparts: &MultipartTransfers,
    limits: &SliceLimits,
    wanted: Option<u32>,
) -> StoreResult<()> {
    for unit in units {
        let TaskSpec::Transfer(transfer) = unit.task.as_ref() else {
            continue;
        };
        if let Some(multipart) = multiparts
            .closed
            .iter()
            .find(|multipart| multipart.unit == unit.id)
        {
            let open_uploads = receipts_of(&multipart.open_uploads, &tx.slices(unit.id)?);
            let task = CompleteUploadsTask {
                transfer: transfer.clone(),
                open_uploads,
                discard: false,
            };
            unit.task = Arc::new(TaskSpec::CompleteUploads(Box::new(task)));
            continue;
        }
        let Some(wanted) = wanted.filter(|_| limits.above > 0 && unit.attempt == 0) else {
            continue;
        };
        // What has no declared size may be large; its worker will see.
        if unit
            .assets
            .iter()
            .any(|asset| asset.bytes.is_none_or(|bytes| bytes >= limits.above))
        {
            let (above, bytes_min) = (limits.above, limits.bytes_min());
            let task = BeginUploadsTask {
                transfer: transfer.clone(),
                above,
                wanted,
                bytes_min,
            };
            unit.task = Arc::new(TaskSpec::BeginUploads(Box::new(task)));
        }
    }
    Ok(())
}

/// The open uploads, each with the receipts of its slices; without receipts when a slice has not succeeded.
fn receipts_of(open_uploads: &[OpenUpload], slices: &[SliceRow]) -> Vec<UploadReceipts> {
    let portions = plan_slices(&larges(open_uploads)).unwrap_or_default();
    let receipts = |of: usize| {
        let own = portions
            .iter()
            .zip(slices)
            .filter(|(portion, _)| portion.of == of);
        own.map(|(_, row)| {
            row.receipt
                .clone()
                .filter(|_| row.state == UnitState::Succeeded)
        })
        .collect::<Option<Vec<_>>>()
    };
    let receipts = |(of, open_upload): (usize, &OpenUpload)| UploadReceipts {
        open_upload: open_upload.clone(),
        receipts: receipts(of)
            .filter(|_| portions.len() == slices.len())
            .unwrap_or_default(),
    };
    open_uploads.iter().enumerate().map(receipts).collect()
}

/// Hands out units of a cancelled job whose slices have all ended, for what was begun to be aborted.
pub fn discards(
    tx: &mut dyn Tx,
    workflows: &Workflows,
    multiparts: &mut MultipartTransfers,
    job: JobNo,
) -> StoreResult<Vec<Unit>> {
    let mut units = Vec::new();
    let due = |multipart: &&mut MultipartTransfer| {
        multipart.row.unit.job == job
            && multipart.cancelling
            && multipart.slices.iter().all(has_ended)
    };
    for multipart in multiparts.open.iter_mut().filter(due) {
        let id = multipart.row.unit;
        if multipart.row.state != MultipartState::Open {
            continue;
        }
        let row = UnitRow {
            epoch: multipart.unit.epoch + 1,
            ..multipart.unit
        };
        let (job, workflow) = (job_row(tx, job)?, workflows.of(tx, job)?);
        let Some((transfer, whole)) = as_published(tx, &workflow, &job, id, row)? else {
            continue;
        };
        let bare = |open_upload: &OpenUpload| UploadReceipts {
            open_upload: open_upload.clone(),
            receipts: Vec::new(),
        };
        let open_uploads = multipart.row.open_uploads.iter().map(bare).collect();
        let task = CompleteUploadsTask {
            transfer,
            open_uploads,
            discard: true,
        };
        tx.put_units(id.job, id.step, &[(id.part, row)])?;
        multipart.row = MultipartRow {
            state: MultipartState::Discarding,
            ..multipart.row.clone()
        };
        tx.put_multipart(&multipart.row)?;
        units.push(Unit {
            task: Arc::new(TaskSpec::CompleteUploads(Box::new(task))),
            ..whole
        });
    }
    Ok(units)
}
