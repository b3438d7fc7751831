//! Completes the multipart upload of a large asset: verifies the whole, then makes it visible in one step. When the
//! slices do not fit together, this worker sends the asset again and keeps the valid parts.
use super::super::commit::{Committed, Uncommitted, commit, prove};
use super::super::open_uploads::{abort, begun};
use super::super::source::Source;
use super::super::target::{Content, TargetObject};
use super::super::uploaded_parts::multipart_tag;
use super::super::work::Work;
use super::open::upload_of;
use super::receipt::{self, Carried};
use crate::step::transfer::requirements::ContentRequirements;
use protocol::failure::Failure;
use protocol::model::hash::HashAlgorithm;
use protocol::wire::step::multipart::UploadReceipts;
use storage::hash::Digest;
use storage::{Checksum, CompleteRequest, Part, Precondition};

/// Completes an asset; `None` when it has to be sent again.
pub(in super::super) async fn complete(
    work: &Work,
    requirements: &ContentRequirements,
    source: &Source,
    object: &TargetObject,
    receipts: &UploadReceipts,
) -> Result<Option<(Committed, Content)>, Failure> {
    let open_upload = &receipts.open_upload;
    let again = |why: &str| {
        tracing::warn!(
            location = object.location(),
            why,
            "one worker transfers the whole asset; its slices did not"
        );
        Ok(None)
    };
    if receipts.receipts.is_empty() {
        return again("a slice failed");
    }
    if source.state.bytes != open_upload.bytes || source.same_everywhere() != open_upload.version {
        return again("the source has changed");
    }
    let carried = receipt::read(
        &receipts.receipts,
        open_upload.bytes,
        open_upload.part_bytes,
    );
    let Some(carried) =
        carried.filter(|carried| open_upload.measured == carried.measured.is_some())
    else {
        return again("what slices reported is not every part once");
    };
    let able = object.storage.capabilities();
    let whole = Part::whole(&carried.parts);
    let Some(digests) = proven(&carried, requirements, whole, source.state.checksum) else {
        return again("the parts do not make what was read");
    };
    requirements.check_declared(&digests)?;
    let ours = Content {
        bytes: open_upload.bytes,
        digests,
        checksum: whole,
    };
    let uploads = object.uploads()?;
    let (upload, cancel) = (upload_of(open_upload, object), &work.context.cancel);
    let sum = whole.filter(|_| able.whole_checksum);
    let complete = |condition: Precondition| {
        let (upload, parts) = (&upload, &carried.parts);
        async move {
            uploads
                .complete(CompleteRequest {
                    upload,
                    parts,
                    whole: sum,
                    precondition: &condition,
                })
                .await
        }
    };
    let committed = match commit(object, &ours, cancel, Precondition::IfAbsent, complete).await {
        Ok(committed) => committed,
        Err(Uncommitted::Gone(error)) => return again(&error.to_string()),
        // A part that another execution has sent again may have another tag.
        Err(Uncommitted::Failed(failure)) if failure.reason == "destination_moving" => {
            return again(&failure.message);
        }
        Err(Uncommitted::Failed(failure))
            if failure.class.retryable() || failure.reason == "destination_conflict" =>
        {
            return Err(failure);
        }
        Err(Uncommitted::Failed(failure)) => return again(&failure.message),
    };
    if let Committed::New(state) = &committed
        && sum.is_none()
        && (open_upload.measured
            || multipart_tag(&carried.parts)
                .is_none_or(|tag| tag != state.version.tag.trim_matches('"')))
    {
        prove(object, state, &ours, cancel).await?;
    }
    // The key is taken: other uploads to it can no longer complete.
    for other in begun(object).await.unwrap_or_default() {
        abort(object, &other).await;
    }
    Ok(Some((committed, ours)))
}

/// The digests of the whole, when they are proven to be those of the parts: the measured content and the storage of the
/// source must have the checksum that the parts combine to.
fn proven(
    carried: &Carried,
    requirements: &ContentRequirements,
    whole: Option<Checksum>,
    kept: Option<Checksum>,
) -> Option<Vec<Digest>> {
    if let (Some(whole), Some(kept)) = (whole, kept)
        && kept.kind() == whole.kind()
        && kept != whole
    {
        return None;
    }
    match &carried.measured {
        Some((digests, measured)) => {
            (whole.is_none() || *measured == whole).then(|| digests.clone())
        }
        None => {
            let Some(Checksum::Crc64nvme(sum)) = whole else {
                return (whole.is_some() && requirements.algorithms.is_empty()).then(Vec::new);
            };
            let digest = Digest {
                algorithm: HashAlgorithm::Crc64nvme,
                text: format!("{sum:016x}"),
            };
            Some(vec![digest])
        }
    }
}
