//! One slice of a large asset: its parts are sent, or the whole asset is read and measured. A slice makes nothing
//! visible, and aborts the upload only when the destination is full; two executions leave the same parts.
use super::super::commit::Uncommitted;
use super::super::error_map;
use super::super::measures::Measures;
use super::super::on_conflict::OnConflict;
use super::super::open_uploads::abort;
use super::super::source::Source;
use super::super::target::TargetObject;
use super::super::upload::{Sending, stretch};
use super::super::uploaded_parts::UploadedParts;
use super::super::work::Work;
use super::{open, receipt};
use crate::step::StepContext;
use crate::step::transfer::requirements::ContentRequirements;
use protocol::failure::Failure;
use protocol::rules::storage::parts::at_once;
use protocol::wire::report::UnitResult;
use protocol::wire::step::multipart::SliceTask;
use protocol::wire::unit::Unit;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use storage::retry::{RetryBudget, retry};
use storage::{Precondition, StorageError, Upload};

/// Sends or measures a slice.
pub(crate) async fn send(task: &SliceTask, unit: &Unit, context: &StepContext) -> UnitResult {
    let again = unit.epoch > 1;
    match context
        .cancel
        .run_until_cancelled(Box::pin(send_parts(task, unit, again, context)))
        .await
    {
        None => UnitResult::Cancelled,
        Some(Ok(receipt)) => UnitResult::Sliced(receipt),
        Some(Err(failure)) => UnitResult::Failed(failure),
    }
}

async fn send_parts(
    task: &SliceTask,
    unit: &Unit,
    again: bool,
    context: &StepContext,
) -> Result<String, Failure> {
    let found = unit
        .assets
        .iter()
        .find(|asset| asset.id == task.open_upload.asset);
    let asset = found.ok_or_else(|| over(format!("slice {} comes without its asset", unit.id)))?;
    let mut context = context.clone();
    if task.measures {
        // The other slices move the same bytes and count them.
        context.bytes = Arc::new(AtomicU64::new(0));
    }
    let work = Work::begin(&task.transfer, OnConflict::Fail, (0, &[]), &context).await?;
    let source = Source::open(asset, &context, 0).await?;
    if source.state.bytes != task.open_upload.bytes
        || source.same_everywhere() != task.open_upload.version
    {
        return Err(over(format!(
            "source {} is no longer what the first slice of it was",
            source.location()
        )));
    }
    let requirements = ContentRequirements::of_transfer(&task.transfer, asset, source.location())?;
    let (object, _) = work.target.object(&task.transfer, asset)?;
    if task.measures {
        let kind = object.storage.capabilities().checksum;
        let stretch = stretch(&object, task.open_upload.bytes)?;
        let measured = source
            .measure(&requirements.algorithms, kind, stretch, &context)
            .await?;
        return Ok(receipt::of_measures(&measured.digests, measured.checksum));
    }
    let upload = open::upload_of(&task.open_upload, &object);
    let cuts = cuts(task);
    let arrived = match again && work.target.directory().is_none() {
        true => arrived(&object, &upload, &cuts).await?,
        // A first execution finds no parts, and a directory would have to read the whole file to list them.
        false => UploadedParts::new(),
    };
    let at_once = at_once(task.open_upload.part_bytes, ::storage::MEMORY_BYTES);
    let sending = Sending {
        work: &work,
        requirements: &requirements,
        source: &source,
        object: &object,
        precondition: &Precondition::IfAbsent,
        upload: &upload,
    };
    let sent = sending
        .carry(cuts, at_once, Measures::none(), (arrived, None))
        .await;
    let (_, parts) = match sent {
        Ok(sent) => sent,
        Err(Uncommitted::Gone(error)) => return Err(over(error.to_string())),
        Err(Uncommitted::Failed(failure)) => {
            // What has been sent would keep the destination full.
            if failure.reason == error_map::FULL {
                abort(&object, &upload).await;
            }
            return Err(failure);
        }
    };
    source.check_unchanged().await?;
    Ok(receipt::of_parts(&parts))
}

/// The parts of a slice.
fn cuts(task: &SliceTask) -> Vec<(u32, Range<u64>)> {
    let (first, end) = (task.first, task.first.saturating_add(task.bytes));
    let parts =
        protocol::rules::storage::parts::cut(task.open_upload.bytes, task.open_upload.part_bytes);
    parts
        .filter(|(_, range)| range.start >= first && range.end <= end)
        .collect()
}

/// The parts of this slice that an earlier execution has sent.
async fn arrived(
    object: &TargetObject,
    upload: &Upload,
    cuts: &[(u32, Range<u64>)],
) -> Result<UploadedParts, Failure> {
    let uploads = object.uploads()?;
    match retry(RetryBudget::default(), || uploads.parts(upload)).await {
        Ok(parts) => {
            let of_slice = parts
                .into_iter()
                .filter(|part| cuts.iter().any(|(number, _)| *number == part.number));
            Ok(of_slice.map(|part| (part.number, part)).collect())
        }
        Err(error @ (StorageError::UploadGone(_) | StorageError::NotFound(_))) => {
            Err(over(error.to_string()))
        }
        Err(error) => Err(error.failure()),
    }
}

/// The failure of slices that became useless: one worker sends the asset.
fn over(message: String) -> Failure {
    Failure::permanent("slice_obsolete", message)
}
