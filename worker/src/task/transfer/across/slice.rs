//! One slice of a large asset: its parts sent, or all of the asset read and measured. It makes nothing visible and aborts
//! nothing; done twice, by whomever, it leaves the same parts.
use super::super::wants::Wants;
use super::on_conflict::OnConflict;
use super::source::{Measures, Source};
use super::target::Place;
use super::upload::{Arrived, Sending, stretch};
use super::{Work, cut, receipt};
use crate::task::TaskContext;
use protocol::failure::Failure;
use protocol::rules::storage::parts::at_once;
use protocol::wire::report::UnitResult;
use protocol::wire::unit::{SliceTask, Unit};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use storage::persist::{Patience, persist};
use storage::{Condition, StorageError, Upload};

/// Carries a slice.
pub(in super::super) async fn carry(task: &SliceTask, unit: &Unit, context: &TaskContext) -> UnitResult {
    let again = unit.epoch > 1;
    match context.cancel.run_until_cancelled(Box::pin(slice(task, unit, again, context))).await {
        None => UnitResult::Cancelled,
        Some(Ok(receipt)) => UnitResult::Sliced(receipt),
        Some(Err(failure)) => UnitResult::Failed(failure),
    }
}

async fn slice(task: &SliceTask, unit: &Unit, again: bool, context: &TaskContext) -> Result<String, Failure> {
    let found = unit.assets.iter().find(|asset| asset.id == task.draft.asset);
    let asset = found.ok_or_else(|| over(format!("slice {} comes without its asset", unit.id)))?;
    let mut context = context.clone();
    if task.measures {
        // Others move the same bytes, and theirs are counted.
        context.bytes = Arc::new(AtomicU64::new(0));
    }
    let work = Work::begin(&task.transfer, OnConflict::Refused, (0, &[]), &context).await?;
    let source = Source::open(asset, &context, 0).await?;
    if source.state.bytes != task.draft.bytes || source.same_everywhere() != task.draft.version {
        return Err(over(format!("source {} is no longer what the first slice of it was", source.location())));
    }
    let wants = Wants::new(&task.transfer, asset, source.location())?;
    let (place, _) = work.target.place(&task.transfer, asset)?;
    if task.measures {
        let kind = place.storage.capabilities().checksum;
        let stretch = stretch(&place, task.draft.bytes)?;
        let measured = source.measure(&wants.algorithms, kind, stretch, &context).await?;
        return Ok(receipt::of_measures(&measured.digests, measured.checksum));
    }
    let upload = cut::upload_of(&task.draft, &place);
    let cuts = cuts(task);
    let arrived = match again && work.target.directory().is_none() {
        true => arrived(&place, &upload, &cuts).await?,
        // Nobody has had it before; and what a directory holds would be read to the end of the file to be told.
        false => Arrived::new(),
    };
    let at_once = at_once(task.draft.part_bytes, ::storage::MEMORY_BYTES);
    let sending = Sending {
        work: &work,
        wants: &wants,
        source: &source,
        place: &place,
        condition: &Condition::Free,
        upload: &upload,
    };
    let sent = sending.carry(cuts, at_once, Measures::none(), (arrived, None)).await;
    let (_, parts) = sent.map_err(|uncommitted| match uncommitted {
        super::commit::Uncommitted::Gone(error) => over(error.to_string()),
        super::commit::Uncommitted::Failed(failure) => failure,
    })?;
    source.check_unchanged().await?;
    Ok(receipt::of_parts(&parts))
}

/// The parts of a slice.
fn cuts(task: &SliceTask) -> Vec<(u32, Range<u64>)> {
    let (first, end) = (task.first, task.first.saturating_add(task.bytes));
    let parts = protocol::rules::storage::parts::cut(task.draft.bytes, task.draft.part_bytes);
    parts.filter(|(_, range)| range.start >= first && range.end <= end).collect()
}

/// What an earlier execution has sent of these parts.
async fn arrived(place: &Place, upload: &Upload, cuts: &[(u32, Range<u64>)]) -> Result<Arrived, Failure> {
    match persist(Patience::default(), || place.storage.parts(upload)).await {
        Ok(parts) => {
            let of_slice = parts.into_iter().filter(|part| cuts.iter().any(|(number, _)| *number == part.number));
            Ok(of_slice.map(|part| (part.number, part)).collect())
        }
        Err(error @ (StorageError::UploadGone(_) | StorageError::NotFound(_))) => Err(over(error.to_string())),
        Err(error) => Err(error.failure()),
    }
}

/// The slices of this asset are of no use any more: one worker carries it.
fn over(message: String) -> Failure {
    Failure::permanent("slice_obsolete", message)
}
