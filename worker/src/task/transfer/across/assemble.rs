//! The completion of a large asset whose slices have been carried: proven as a whole, then visible in one step. What does
//! not fit together is carried again by this worker, which keeps of it what is right.
use super::super::wants::Wants;
use super::Work;
use super::commit::{Committed, Uncommitted, commit, prove};
use super::cut::upload_of;
use super::receipt::{self, Carried};
use super::source::Source;
use super::target::{Content, Place};
use super::upload::{abort, begun, tag_of};
use protocol::failure::Failure;
use protocol::wire::unit::{Assembly, HashAlgorithm};
use storage::hash::Digest;
use storage::{Checksum, Condition, Part};

/// Completes an asset; `None` when it has to be carried.
pub(super) async fn assemble(
    work: &Work,
    wants: &Wants,
    source: &Source,
    place: &Place,
    assembly: &Assembly,
) -> Result<Option<(Committed, Content)>, Failure> {
    let draft = &assembly.draft;
    let again = |why: &str| {
        tracing::warn!(location = place.location(), why, "one worker carries what slices have not");
        Ok(None)
    };
    if assembly.receipts.is_empty() {
        return again("a slice could not be carried");
    }
    if source.state.bytes != draft.bytes || source.same_everywhere() != draft.version {
        return again("the source has changed");
    }
    let carried = receipt::read(&assembly.receipts, draft.bytes, draft.part_bytes);
    let Some(carried) = carried.filter(|carried| draft.measured == carried.measured.is_some()) else {
        return again("what slices reported is not every part once");
    };
    let able = place.storage.capabilities();
    let whole = Part::whole(&carried.parts);
    let Some(digests) = proven(&carried, wants, whole, source.state.checksum) else {
        return again("the parts do not make what was read");
    };
    wants.check_declared(&digests)?;
    let ours = Content { bytes: draft.bytes, digests, checksum: whole };
    let (upload, cancel) = (upload_of(draft, place), &work.context.cancel);
    let sum = whole.filter(|_| able.whole_checksum);
    let complete = |condition| {
        let (upload, parts) = (&upload, &carried.parts);
        async move { place.storage.complete(upload, parts, sum, &condition).await }
    };
    let committed = match commit(place, &ours, cancel, Condition::Free, complete).await {
        Ok(committed) => committed,
        Err(Uncommitted::Gone(error)) => return again(&error.to_string()),
        // A part that another execution has sent again may have another name since.
        Err(Uncommitted::Failed(failure)) if failure.reason == "destination_moving" => return again(&failure.message),
        Err(Uncommitted::Failed(failure)) if failure.class.retryable() || failure.reason == "destination_conflict" => {
            return Err(failure);
        }
        Err(Uncommitted::Failed(failure)) => return again(&failure.message),
    };
    if let Committed::New(state) = &committed
        && sum.is_none()
        && (draft.measured || tag_of(&carried.parts).is_none_or(|tag| tag != state.version.tag.trim_matches('"')))
    {
        prove(place, state, &ours, cancel).await?;
    }
    // Whoever began others cannot complete them any more: the key is taken.
    for other in begun(place).await.unwrap_or_default() {
        abort(place, &other).await;
    }
    Ok(Some((committed, ours)))
}

/// The digests of the whole, when they are known to be those of the parts: what was measured in one reading has the
/// checksum that the parts make together, and so does what the source's storage keeps.
fn proven(carried: &Carried, wants: &Wants, whole: Option<Checksum>, kept: Option<Checksum>) -> Option<Vec<Digest>> {
    if let (Some(whole), Some(kept)) = (whole, kept)
        && kept.kind() == whole.kind()
        && kept != whole
    {
        return None;
    }
    match &carried.measured {
        Some((digests, measured)) => (whole.is_none() || *measured == whole).then(|| digests.clone()),
        None => {
            let Some(Checksum::Crc64nvme(sum)) = whole else {
                return (whole.is_some() && wants.algorithms.is_empty()).then(Vec::new);
            };
            let digest = Digest { algorithm: HashAlgorithm::Crc64nvme, text: format!("{sum:016x}") };
            Some(vec![digest])
        }
    }
}
