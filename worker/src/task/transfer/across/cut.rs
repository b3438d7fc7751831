//! Whether large assets of a unit can be carried by several workers, and the beginning of their uploads. Whatever stands
//! in the way is no failure here: the asset is carried whole, and what is wrong with it is said there.
use super::super::wants::Wants;
use super::on_conflict::OnConflict;
use super::source::Source;
use super::target::Place;
use super::upload::{abort, begin as begin_upload, begun, stretch};
use super::{Work, is_remote, server_copy};
use crate::task::TaskContext;
use protocol::failure::Failure;
use protocol::media::asset::Asset;
use protocol::rules::storage::multipart::slice_bytes;
use protocol::rules::storage::parts::PART_BYTES;
use protocol::wire::unit::{AssembleTask, CutTask, Draft, HashAlgorithm};
use storage::{ChecksumKind, Upload};

/// Assets of one unit that are cut at most; more of them keep several workers busy by themselves.
const CUT_MAX: usize = 4;

/// Begins the uploads of a unit's large assets; `None` when there are none.
pub(in super::super) async fn begin(task: &CutTask, assets: &[Asset], context: &TaskContext) -> Option<Vec<Draft>> {
    let to_file = task.transfer.to.starts_with("file:");
    // From file to file one worker copies as fast as the disks are.
    let carried = |asset: &&Asset| {
        let large = asset.bytes.is_none_or(|bytes| bytes >= task.above);
        large && (!to_file || is_remote(&asset.location))
    };
    let large: Vec<&Asset> = assets.iter().filter(carried).collect();
    if large.is_empty() {
        return None;
    }
    let work = Work::begin(&task.transfer, OnConflict::Refused, (0, &[]), context).await.ok()?;
    let mut drafts = Vec::new();
    for asset in large {
        if drafts.len() == CUT_MAX || context.cancel.is_cancelled() {
            break;
        }
        match draft(&work, task, asset).await {
            Ok(draft) => drafts.extend(draft),
            Err(failure) => tracing::debug!(asset = asset.id, why = failure.message, "an asset is not cut"),
        }
    }
    (!drafts.is_empty()).then_some(drafts)
}

async fn draft(work: &Work, task: &CutTask, asset: &Asset) -> Result<Option<Draft>, Failure> {
    let source = Source::open(asset, &work.context, 0).await?;
    let bytes = source.state.bytes;
    if bytes < task.above || bytes <= PART_BYTES || !source.in_any_order() {
        return Ok(None);
    }
    let wants = Wants::new(&work.task, asset, source.location())?;
    wants.check_size(asset, bytes, source.modified_us())?;
    let (place, _) = work.target.place(&work.task, asset)?;
    let able = place.storage.capabilities();
    if able.parts.is_none() || server_copy::possible(&source, &place).is_some() || place.look().await?.is_some() {
        return Ok(None);
    }
    let (part_bytes, _) = stretch(&place, bytes)?;
    let kept = source.state.checksum.map(|sum| sum.kind());
    // What the pieces' checksums make together proves the whole only where it is the one that is asked for.
    let kept = kept.is_none_or(|kind| kind == able.checksum);
    let combined = kept && able.whole_checksum && able.checksum != ChecksumKind::Md5;
    let upload = match begun(&place).await?.into_iter().next() {
        Some(upload) => upload,
        None => begin_upload(&place).await?,
    };
    Ok(Some(Draft {
        asset: asset.id.clone(),
        bytes,
        part_bytes,
        slice_bytes: slice_bytes(bytes, part_bytes, task.wanted, task.bytes_min),
        measured: !combined || !is_combinable(&wants, able.checksum),
        upload: upload.id,
        version: source.same_everywhere(),
    }))
}

/// Whether everything that is wanted of an asset can be put together from the checksums of its parts.
pub(super) fn is_combinable(wants: &Wants, kind: ChecksumKind) -> bool {
    let same = |algorithm: &HashAlgorithm| *algorithm == HashAlgorithm::Crc64nvme && kind == ChecksumKind::Crc64nvme;
    wants.algorithms.iter().all(same)
}

/// Where a draft of a unit is being carried to.
pub(super) fn upload_of(draft: &Draft, place: &Place) -> Upload {
    Upload { key: place.key.clone(), id: draft.upload.clone() }
}

/// Aborts what was begun. What cannot be aborted now is left to whoever lands at its key.
pub(in super::super) async fn discard(task: &AssembleTask, assets: &[Asset], context: &TaskContext) {
    let work = match Work::begin(&task.transfer, OnConflict::Refused, (0, &[]), context).await {
        Ok(work) => work,
        Err(failure) => {
            tracing::warn!(why = failure.message, "uploads of a cancelled unit are left behind");
            return;
        }
    };
    for draft in task.drafts.iter().map(|assembly| &assembly.draft) {
        let Some(asset) = assets.iter().find(|asset| asset.id == draft.asset) else { continue };
        if let Ok((place, _)) = work.target.place(&work.task, asset) {
            abort(&place, &upload_of(draft, &place)).await;
        }
    }
}
