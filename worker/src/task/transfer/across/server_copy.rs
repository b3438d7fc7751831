//! Copies that the other side makes by itself. The content is read once for its hashes, unless none is wanted and its
//! server vouches for it, and is never sent.
use super::super::wants::Wants;
use super::Work;
use super::commit::{Committed, commit, prove};
use super::source::Source;
use super::target::{Content, Place};
use super::upload::{self, stretch};
use futures_util::{StreamExt, TryStreamExt, stream};
use protocol::failure::Failure;
use protocol::rules::storage::parts::cut;
use storage::persist::{Patience, persist};
use storage::{Attributes, Condition, CopySource, ObjectState, Part, Slot, StorageError, Upload};
use tokio_util::sync::CancellationToken;

const MIB: u64 = 1 << 20;
/// Usual size of a part that the other side copies, in bytes, and how many it is asked for at the same time.
const COPIED_BYTES: u64 = 256 * MIB;
const COPIED_AT_ONCE: usize = 4;

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
    let committed = match able.copy_bytes_max {
        Some(most) if from.bytes > most => match in_parts(work, place, &from, &ours, condition).await? {
            Some(committed) => committed,
            None => return Ok(None),
        },
        _ => match commit(place, &ours, cancel, condition.clone(), call).await {
            Err(_) if *refused.lock() => return Ok(None),
            committed => committed.map_err(Failure::from)?,
        },
    };
    if let Committed::New(state) = &committed {
        let told = state.checksum.filter(|sum| Some(sum.kind()) == ours.checksum.map(|sum| sum.kind()));
        let told = match told {
            Some(sum) => Some(sum),
            None => place.look().await?.and_then(|state| state.checksum),
        };
        // Equal is proof; anything else, also an answer in another form, is read.
        if (told.is_none() || told != ours.checksum) && !same_md5(&from, state) {
            prove(place, state, &ours, cancel).await?;
        }
    }
    Ok(Some((committed, ours)))
}

/// The copy that the other side could make.
pub(super) fn possible(source: &Source, place: &Place) -> Option<CopySource> {
    let from = source.storage.copy_source(&source.state)?;
    let here = place.storage.copy_source(&source.state)?;
    let able = place.storage.capabilities();
    let most = able.copy_bytes_max?;
    (from.domain == here.domain && (from.bytes <= most || able.copy_part)).then_some(from)
}

/// Whether the copy has the source's tag, and that is made of the content's MD5 as far as its form tells.
fn same_md5(from: &CopySource, copy: &ObjectState) -> bool {
    let tag = from.version.tag.trim_matches('"');
    let (sum, parts) = tag.split_once('-').unwrap_or((tag, "1"));
    let is_md5 = sum.len() == 32 && sum.bytes().all(|byte| byte.is_ascii_hexdigit()) && parts.parse::<u32>().is_ok();
    is_md5 && from.bytes == copy.bytes && tag == copy.version.tag.trim_matches('"')
}

/// Copies what is too large for one request as an upload whose parts the other side takes by itself. An interrupted one
/// is not gone on with: it has cost nobody a byte. `None` when the server refuses.
async fn in_parts(
    work: &Work,
    place: &Place,
    from: &CopySource,
    ours: &Content,
    condition: &Condition,
) -> Result<Option<Committed>, Failure> {
    let upload = upload::begin(place).await?;
    work.opened(&place.storage, &upload);
    let copied = parts_of(place, from, &upload, ours, condition, &work.context.cancel).await;
    work.closed(&upload);
    let landed = matches!(copied, Ok(Some(Committed::New(_))));
    if !landed {
        upload::abort(place, &upload).await;
    }
    if matches!(copied, Ok(Some(_))) {
        // Whoever began those cannot complete them any more: the key is taken.
        for stale in upload::begun(place).await? {
            upload::abort(place, &stale).await;
        }
    }
    copied
}

async fn parts_of(
    place: &Place,
    from: &CopySource,
    upload: &Upload,
    ours: &Content,
    condition: &Condition,
    cancel: &CancellationToken,
) -> Result<Option<Committed>, Failure> {
    let able = place.storage.capabilities();
    let count_max = able.parts.map_or(1, |limits| u64::from(limits.count_max));
    let least = from.bytes.div_ceil(count_max.max(1)).next_multiple_of(MIB).max(COPIED_BYTES);
    let size = able.copy_bytes_max.map_or(least, |most| least.min(most));
    let parts = stream::iter(cut(from.bytes, size)).map(|(number, range)| async move {
        let slot = Slot { number, offset: range.start };
        persist(Patience::default(), || place.storage.copy_part(upload, slot, from, range.clone())).await
    });
    let parts: Result<Vec<Part>, StorageError> = parts.buffered(COPIED_AT_ONCE).try_collect().await;
    let parts = match parts {
        Ok(parts) => parts,
        Err(StorageError::Denied { .. } | StorageError::Unsupported { .. }) => return Ok(None),
        Err(error) => return Err(error.failure()),
    };
    let made = Part::whole(&parts).filter(|made| Some(made.kind()) == ours.checksum.map(|sum| sum.kind()));
    if let (Some(made), Some(sum)) = (made, ours.checksum)
        && made != sum
    {
        return Err(super::fault::unproven(&place.location(), &sum.to_string(), &made.to_string()));
    }
    let whole = ours.checksum.filter(|_| able.whole_checksum);
    let complete = |condition| {
        let parts = &parts;
        async move { place.storage.complete(upload, parts, whole, &condition).await }
    };
    let committed = commit(place, ours, cancel, condition.clone(), complete).await;
    committed.map(Some).map_err(Failure::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use storage::Version;

    fn is_proof(source: &str, copy: &str, bytes: u64) -> bool {
        let version = |tag: &str| Version { tag: tag.into(), id: None };
        let (domain, container, key) = ("d".to_owned(), "b".to_owned(), "k".to_owned());
        let from =
            CopySource { domain, container, key: key.clone(), version: version(source), bytes: 9, checksum: None };
        let (checksum, modified, class, archive) = (None, None, None, None);
        same_md5(&from, &ObjectState { key, bytes, version: version(copy), checksum, modified, class, archive })
    }

    #[test]
    fn a_tag_is_proof_only_when_it_is_made_of_the_content() {
        let (one, parts) = ("\"25f9e794323b453885f5181f1b624d0b\"", "25f9e794323b453885f5181f1b624d0b-12");
        assert!(is_proof(one, one, 9) && is_proof(parts, parts, 9));
        assert!(!is_proof(one, parts, 9) && !is_proof(one, one, 8));
        assert!(!is_proof("1700000000", "1700000000", 9), "a generation says nothing of the content");
        assert!(!is_proof("25f9e794323b453885f5181f1b624d0b-x", "25f9e794323b453885f5181f1b624d0b-x", 9));
    }
}
