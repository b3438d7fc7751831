//! Opens multipart uploads for the large assets of a unit. An asset that cannot be divided is no failure here: one
//! worker sends it whole and reports its failure.
use super::super::on_conflict::OnConflict;
use super::super::open_uploads::{abort, begin as begin_upload, begun};
use super::super::server_copy;
use super::super::source::Source;
use super::super::target::TargetObject;
use super::super::upload::stretch;
use super::super::work::Work;
use crate::step::StepContext;
use crate::step::transfer::requirements::ContentRequirements;
use crate::step::transfer::route::divisible;
use protocol::failure::Failure;
use protocol::media::asset::Asset;
use protocol::model::hash::HashAlgorithm;
use protocol::rules::storage::multipart::slice_bytes;
use protocol::rules::storage::parts::PART_BYTES;
use protocol::wire::step::multipart::{BeginUploadsTask, CompleteUploadsTask, OpenUpload};
use storage::{ChecksumKind, Upload};

/// Largest number of divided assets per unit: more assets occupy several workers without division.
const CUT_MAX: usize = 4;

/// Opens the uploads of a unit's large assets; `None` when none can be divided.
pub(crate) async fn open(
    task: &BeginUploadsTask,
    assets: &[Asset],
    context: &StepContext,
) -> Option<Vec<OpenUpload>> {
    let work = Work::begin(&task.transfer, OnConflict::Fail, (0, &[]), context)
        .await
        .ok()?;
    let mut open_uploads = Vec::new();
    for asset in divisible(task, assets) {
        if open_uploads.len() == CUT_MAX || context.cancel.is_cancelled() {
            break;
        }
        match open_upload(&work, task, asset).await {
            Ok(open_upload) => open_uploads.extend(open_upload),
            Err(failure) => tracing::debug!(
                asset = asset.id,
                why = failure.message,
                "an asset is not divided"
            ),
        }
    }
    (!open_uploads.is_empty()).then_some(open_uploads)
}

async fn open_upload(
    work: &Work,
    task: &BeginUploadsTask,
    asset: &Asset,
) -> Result<Option<OpenUpload>, Failure> {
    let source = Source::open(asset, &work.context, 0).await?;
    let bytes = source.state.bytes;
    if bytes < task.above || bytes <= PART_BYTES || !source.has_ranges() {
        return Ok(None);
    }
    let requirements = ContentRequirements::of_transfer(&work.task, asset, source.location())?;
    requirements.check_size(asset, bytes, source.modified_us())?;
    let (object, _) = work.target.object(&work.task, asset)?;
    let able = object.storage.capabilities();
    if able.multipart.is_none()
        || server_copy::possible(&source, &object).is_some()
        || object.stat().await?.is_some()
    {
        return Ok(None);
    }
    let (part_bytes, _) = stretch(&object, bytes)?;
    let kept = source.state.checksum.map(|sum| sum.kind());
    // Combined checksums of parts verify the whole only when they are of the kind that the source keeps.
    let kept = kept.is_none_or(|kind| kind == able.checksum);
    let combined = kept && able.whole_checksum && able.checksum != ChecksumKind::Md5;
    let upload = match begun(&object).await?.into_iter().next() {
        Some(upload) => upload,
        None => begin_upload(&object).await?,
    };
    Ok(Some(OpenUpload {
        asset: asset.id.clone(),
        bytes,
        part_bytes,
        slice_bytes: slice_bytes(bytes, part_bytes, task.wanted, task.bytes_min),
        measured: !combined || !is_combinable(&requirements, able.checksum),
        upload: upload.id,
        version: source.same_everywhere(),
    }))
}

/// Whether all required hashes follow from the checksums of the parts.
fn is_combinable(requirements: &ContentRequirements, kind: ChecksumKind) -> bool {
    let same = |algorithm: &HashAlgorithm| {
        *algorithm == HashAlgorithm::Crc64nvme && kind == ChecksumKind::Crc64nvme
    };
    requirements.algorithms.iter().all(same)
}

/// The upload of a large asset.
pub(in super::super) fn upload_of(open_upload: &OpenUpload, object: &TargetObject) -> Upload {
    Upload {
        key: object.key.clone(),
        id: open_upload.upload.clone(),
    }
}

/// Aborts the uploads of a cancelled unit. The next transfer to the key aborts the rest.
pub(crate) async fn discard(task: &CompleteUploadsTask, assets: &[Asset], context: &StepContext) {
    let work = match Work::begin(&task.transfer, OnConflict::Fail, (0, &[]), context).await {
        Ok(work) => work,
        Err(failure) => {
            tracing::warn!(
                why = failure.message,
                "uploads of a cancelled unit are left behind"
            );
            return;
        }
    };
    for open_upload in task
        .open_uploads
        .iter()
        .map(|receipts| &receipts.open_upload)
    {
        let Some(asset) = assets.iter().find(|asset| asset.id == open_upload.asset) else {
            continue;
        };
        if let Ok((object, _)) = work.target.object(&work.task, asset) {
            abort(&object, &upload_of(open_upload, &object)).await;
        }
    }
}
