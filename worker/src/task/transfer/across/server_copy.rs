//! Copies that the other side makes by itself. The content is read once for its hashes, unless none is wanted and its
//! server vouches for it, and is never sent.
use super::super::wants::Wants;
use super::Work;
use super::commit::{Committed, commit, prove};
use super::source::Source;
use super::target::{Content, Place};
use super::upload::stretch;
use crate::storage::{Attributes, Condition, CopySource, StorageError};
use protocol::failure::Failure;

/// Copies when both sides are of one server that does; `None` when the content has to be carried.
pub(super) async fn copy(
    work: &Work,
    wants: &Wants,
    source: &Source,
    place: &Place,
    condition: &Condition,
) -> Result<Option<(Committed, Content)>, Failure> {
    let Some(from) = possible(source, place) else { return Ok(None) };
    let able = place.storage.capabilities();
    let vouched = source.state.checksum.filter(|sum| wants.algorithms.is_empty() && sum.kind() == able.checksum);
    let ours = match vouched {
        Some(sum) => Content { bytes: from.bytes, digests: Vec::new(), checksum: Some(sum) },
        None => {
            let stretch = stretch(place, from.bytes)?;
            let measured = source.measure(&wants.algorithms, able.checksum, stretch, &work.context).await?;
            Content { bytes: from.bytes, digests: measured.digests, checksum: measured.checksum }
        }
    };
    wants.check_declared(&ours.digests)?;
    let from = CopySource { checksum: ours.checksum, ..from };
    let (attributes, cancel) = (Attributes::default(), &work.context.cancel);
    let refused = parking_lot::Mutex::new(false);
    let call = |condition| {
        let (from, attributes, refused) = (&from, &attributes, &refused);
        async move {
            let copied = place.storage.copy(from, &place.key, attributes, &condition).await;
            // Two buckets of one server may still have different owners.
            if let Err(StorageError::Denied { .. } | StorageError::Unsupported { .. }) = &copied {
                *refused.lock() = true;
            }
            copied
        }
    };
    let committed = match commit(place, &ours, cancel, condition.clone(), call).await {
        Err(_) if *refused.lock() => return Ok(None),
        committed => committed.map_err(Failure::from)?,
    };
    if let Committed::New(state) = &committed {
        let told = state.checksum.filter(|sum| Some(sum.kind()) == ours.checksum.map(|sum| sum.kind()));
        let told = match told {
            Some(sum) => Some(sum),
            None => place.look().await?.and_then(|state| state.checksum),
        };
        // Equal is proof; anything else, also an answer in another form, is read.
        if told.is_none() || told != ours.checksum {
            prove(place, state, &ours, cancel).await?;
        }
    }
    Ok(Some((committed, ours)))
}

/// The copy that the other side could make.
pub(super) fn possible(source: &Source, place: &Place) -> Option<CopySource> {
    let from = source.storage.copy_source(&source.state)?;
    let here = place.storage.copy_source(&source.state)?;
    let most = place.storage.capabilities().copy_bytes_max?;
    (from.domain == here.domain && from.bytes <= most).then_some(from)
}
