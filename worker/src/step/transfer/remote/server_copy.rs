//! Copies that the server makes. The content is never sent. It is read once for its hashes, unless none is required and
//! the server keeps a checksum.
use super::commit::{Committed, commit, prove};
use super::error_map;
use super::open_uploads;
use super::source::Source;
use super::target::{Content, TargetObject};
use super::upload::stretch;
use super::work::Work;
use crate::step::transfer::requirements::ContentRequirements;
use futures_util::{StreamExt, TryStreamExt, stream};
use protocol::failure::Failure;
use protocol::rules::storage::parts::cut;
use storage::retry::{RetryBudget, retry};
use storage::{
    Attributes, CompleteRequest, CopyRequest, CopySource, ObjectState, Part, PartCopyRequest,
    Precondition, Slot, StorageError, Upload,
};
use tokio_util::sync::CancellationToken;

const MIB: u64 = 1 << 20;
/// Usual size of a part that the server copies, in bytes, and the number of concurrent requests.
const COPIED_BYTES: u64 = 256 * MIB;
const COPIED_AT_ONCE: usize = 4;

/// Copies when both storages belong to one server; `None` when the content has to be sent.
pub(super) async fn copy(
    work: &Work,
    requirements: &ContentRequirements,
    source: &Source,
    object: &TargetObject,
    precondition: &Precondition,
) -> Result<Option<(Committed, Content)>, Failure> {
    let able = object.storage.capabilities();
    let (Some(from), Some(copies)) = (possible(source, object), able.server_copy) else {
        return Ok(None);
    };
    let ours = content_of(work, requirements, source, object).await?;
    requirements.check_declared(&ours.digests)?;
    let from = CopySource {
        checksum: ours.checksum,
        ..from
    };
    let (attributes, cancel) = (Attributes::default(), &work.context.cancel);
    let refused = parking_lot::Mutex::new(false);
    let call = |condition: Precondition| {
        let (from, attributes, refused) = (&from, &attributes, &refused);
        async move {
            let copied = copies
                .objects
                .copy(CopyRequest {
                    from,
                    key: &object.key,
                    attributes,
                    precondition: &condition,
                })
                .await;
            // Two buckets of one server may have different owners.
            if let Err(StorageError::Denied { .. } | StorageError::Unsupported { .. }) = &copied {
                *refused.lock() = true;
            }
            copied
        }
    };
    let committed = match from.bytes > copies.bytes_max {
        true => match in_parts(work, object, &from, &ours, precondition).await? {
            Some(committed) => committed,
            None => return Ok(None),
        },
        false => match commit(object, &ours, cancel, precondition.clone(), call).await {
            Err(_) if *refused.lock() => return Ok(None),
            committed => committed.map_err(Failure::from)?,
        },
    };
    if let Committed::New(state) = &committed {
        verify(object, &from, state, &ours, cancel).await?;
    }
    Ok(Some((committed, ours)))
}

/// The content of a source: by the checksum that the server keeps, where no hash is required, else by reading it.
async fn content_of(
    work: &Work,
    requirements: &ContentRequirements,
    source: &Source,
    object: &TargetObject,
) -> Result<Content, Failure> {
    let kind = object.storage.capabilities().checksum;
    let bytes = source.state.bytes;
    let vouched = source
        .state
        .checksum
        .filter(|sum| requirements.algorithms.is_empty() && sum.kind() == kind);
    if let Some(sum) = vouched {
        return Ok(Content {
            bytes,
            digests: Vec::new(),
            checksum: Some(sum),
        });
    }
    let stretch = stretch(object, bytes)?;
    let measured = source
        .measure(&requirements.algorithms, kind, stretch, &work.context)
        .await?;
    Ok(Content {
        bytes,
        digests: measured.digests,
        checksum: measured.checksum,
    })
}

/// Verifies a new copy. An equal checksum is proof, and so is the tag of the source in the form of an MD5; otherwise the
/// copy is read back.
async fn verify(
    object: &TargetObject,
    from: &CopySource,
    state: &ObjectState,
    ours: &Content,
    cancel: &CancellationToken,
) -> Result<(), Failure> {
    let stored = state
        .checksum
        .filter(|sum| Some(sum.kind()) == ours.checksum.map(|sum| sum.kind()));
    let stored = match stored {
        Some(sum) => Some(sum),
        None => object.stat().await?.and_then(|state| state.checksum),
    };
    if (stored.is_some() && stored == ours.checksum) || same_md5(from, state) {
        return Ok(());
    }
    prove(object, state, ours, cancel).await
}

/// The source of a copy that the server can make.
pub(super) fn possible(source: &Source, object: &TargetObject) -> Option<CopySource> {
    let from = source
        .storage
        .capabilities()
        .server_copy?
        .objects
        .source(&source.state)?;
    let copies = object.storage.capabilities().server_copy?;
    let here = copies.objects.source(&source.state)?;
    (from.domain == here.domain && (from.bytes <= copies.bytes_max || copies.parts.is_some()))
        .then_some(from)
}

/// Whether the copy has the tag of the source, and the tag has the form of an MD5 of the content.
fn same_md5(from: &CopySource, copy: &ObjectState) -> bool {
    let tag = from.version.tag.trim_matches('"');
    let (sum, parts) = tag.split_once('-').unwrap_or((tag, "1"));
    let is_md5 = sum.len() == 32
        && sum.bytes().all(|byte| byte.is_ascii_hexdigit())
        && parts.parse::<u32>().is_ok();
    is_md5 && from.bytes == copy.bytes && tag == copy.version.tag.trim_matches('"')
}

/// Copies an object that is too large for one request, as an upload of copied parts. An interrupted copy starts anew,
/// because no content was sent. `None` when the server refuses.
async fn in_parts(
    work: &Work,
    object: &TargetObject,
    from: &CopySource,
    ours: &Content,
    precondition: &Precondition,
) -> Result<Option<Committed>, Failure> {
    let upload = open_uploads::begin(object).await?;
    work.opened(&object.storage, &upload);
    let copied = parts_of(
        object,
        from,
        &upload,
        ours,
        precondition,
        &work.context.cancel,
    )
    .await;
    work.closed(&upload);
    let landed = matches!(copied, Ok(Some(Committed::New(_))));
    if !landed {
        open_uploads::abort(object, &upload).await;
    }
    if matches!(copied, Ok(Some(_))) {
        // The key is taken: other uploads to it can no longer complete.
        for stale in open_uploads::begun(object).await? {
            open_uploads::abort(object, &stale).await;
        }
    }
    copied
}

/// Copies the parts, compares their checksum with that of the source, and completes the upload.
async fn parts_of(
    object: &TargetObject,
    from: &CopySource,
    upload: &Upload,
    ours: &Content,
    precondition: &Precondition,
    cancel: &CancellationToken,
) -> Result<Option<Committed>, Failure> {
    let able = object.storage.capabilities();
    let Some(parts) = copy_parts(object, from, upload).await? else {
        return Ok(None);
    };
    let made =
        Part::whole(&parts).filter(|made| Some(made.kind()) == ours.checksum.map(|sum| sum.kind()));
    if let (Some(made), Some(sum)) = (made, ours.checksum)
        && made != sum
    {
        return Err(error_map::unproven(
            &object.location(),
            &sum.to_string(),
            &made.to_string(),
        ));
    }
    let (whole, uploads) = (
        ours.checksum.filter(|_| able.whole_checksum),
        object.uploads()?,
    );
    let complete = |condition: Precondition| {
        let parts = &parts;
        async move {
            let request = CompleteRequest {
                upload,
                parts,
                whole,
                precondition: &condition,
            };
            uploads.complete(request).await
        }
    };
    let committed = commit(object, ours, cancel, precondition.clone(), complete).await;
    committed.map(Some).map_err(Failure::from)
}

/// Copies all parts, several at a time. `None` when the server refuses.
async fn copy_parts(
    object: &TargetObject,
    from: &CopySource,
    upload: &Upload,
) -> Result<Option<Vec<Part>>, Failure> {
    let able = object.storage.capabilities();
    let (Some(multipart), Some(copies)) = (able.multipart, able.server_copy) else {
        return Ok(None);
    };
    let Some(part_copy) = copies.parts else {
        return Ok(None);
    };
    let count_max = u64::from(multipart.limits.count_max).max(1);
    let least = from
        .bytes
        .div_ceil(count_max)
        .next_multiple_of(MIB)
        .max(COPIED_BYTES);
    let parts = stream::iter(cut(from.bytes, least.min(copies.bytes_max))).map(
        |(number, range)| async move {
            let slot = Slot {
                number,
                offset: range.start,
            };
            let request = || PartCopyRequest {
                upload,
                slot,
                from,
                range: range.clone(),
            };
            retry(RetryBudget::default(), || part_copy.copy_part(request())).await
        },
    );
    let parts: Result<Vec<Part>, StorageError> = parts.buffered(COPIED_AT_ONCE).try_collect().await;
    match parts {
        Ok(parts) => Ok(Some(parts)),
        Err(StorageError::Denied { .. } | StorageError::Unsupported { .. }) => Ok(None),
        Err(error) => Err(error.failure()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use storage::Version;

    fn is_proof(source: &str, copy: &str, bytes: u64) -> bool {
        let version = |tag: &str| Version {
            tag: tag.into(),
            id: None,
        };
        let (domain, container, key) = ("d".to_owned(), "b".to_owned(), "k".to_owned());
        let from = CopySource {
            domain,
            container,
            key: key.clone(),
            version: version(source),
            bytes: 9,
            checksum: None,
        };
        let (checksum, modified, class, archive) = (None, None, None, None);
        same_md5(
            &from,
            &ObjectState {
                key,
                bytes,
                version: version(copy),
                checksum,
                modified,
                class,
                archive,
            },
        )
    }

    #[test]
    fn equal_tags_prove_a_copy_only_in_md5_form() {
        let (one, parts) = (
            "\"25f9e794323b453885f5181f1b624d0b\"",
            "25f9e794323b453885f5181f1b624d0b-12",
        );
        assert!(is_proof(one, one, 9) && is_proof(parts, parts, 9));
        assert!(!is_proof(one, parts, 9) && !is_proof(one, one, 8));
        assert!(
            !is_proof("1700000000", "1700000000", 9),
            "a generation says nothing of the content"
        );
        assert!(!is_proof(
            "25f9e794323b453885f5181f1b624d0b-x",
            "25f9e794323b453885f5181f1b624d0b-x",
            9
        ));
    }
}
