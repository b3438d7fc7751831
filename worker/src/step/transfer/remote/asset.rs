//! One asset, from the state of its source to its fact.
use super::commit::{Committed, commit};
use super::measures::{Measures, off_thread};
use super::multipart::{complete, open};
use super::source::Source;
use super::target::{Content, TargetObject};
use super::work::Work;
use super::{error_map, open_uploads, server_copy, upload};
use crate::step::transfer::requirements::ContentRequirements;
use ::mhl::journal::{self, Action, Record};
use protocol::failure::Failure;
use protocol::media::asset::{Asset, AssetFact};
use protocol::model::location::shown;
use protocol::rules::storage::parts::PART_BYTES;
use protocol::wire::step::multipart::UploadReceipts;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use storage::hash::Digest;
use storage::{Attributes, Body, ObjectState, Precondition, PutRequest};

/// Largest content that is written in one request, in bytes.
const SMALL_BYTES_MAX: u64 = PART_BYTES;

/// Transfers an asset. The multipart upload of its slices is aborted afterwards, unless the transfer is retried and the
/// destination has space for what was sent.
pub(super) async fn carry(work: Arc<Work>, asset: Asset) -> Result<(AssetFact, Record), Failure> {
    let begun = work
        .upload_receipts
        .iter()
        .find(|receipts| receipts.open_upload.asset == asset.id);
    let carried = carry_content(&work, &asset, begun).await;
    let over = carried.as_ref().map_or_else(
        |failure| !failure.class.retryable() || failure.reason == error_map::FULL,
        |_| true,
    );
    if let Some(begun) = begun.filter(|_| over)
        && let Ok((object, _)) = work.target.object(&work.task, &asset)
    {
        open_uploads::abort(&object, &open::upload_of(&begun.open_upload, &object)).await;
    }
    carried
}

async fn carry_content(
    work: &Work,
    asset: &Asset,
    begun: Option<&UploadReceipts>,
) -> Result<(AssetFact, Record), Failure> {
    let requirements =
        ContentRequirements::of_transfer(&work.task, asset, shown(&asset.location).into_owned())?;
    let (object, below) = work.target.object(&work.task, asset)?;
    let small_max = SMALL_BYTES_MAX.min(object.storage.capabilities().put_bytes_max);
    let mut source = Source::open(asset, &work.context, small_max).await?;
    requirements.check_size(asset, source.state.bytes, source.modified_us())?;
    let (committed, content) = if source.state.bytes <= small_max {
        small(work, &requirements, &mut source, &object).await?
    } else {
        // The semaphore is never closed.
        let _turn = work.large.acquire().await.ok();
        let assembled = match begun {
            Some(receipts) => {
                complete::complete(work, &requirements, &source, &object, receipts).await?
            }
            None => None,
        };
        match assembled {
            Some(assembled) => assembled,
            None => large(work, &requirements, &source, &object).await?,
        }
    };
    let (state, skipped) = match committed {
        Committed::New(state) => (state, false),
        Committed::Found(state) => {
            // One existing object suggests more: from now on the destination is checked before content is sent.
            work.stat_first.store(true, Ordering::Relaxed);
            (state, true)
        }
    };
    let modified_ns = modified(work, &below, &state).await;
    let fact = AssetFact {
        asset: asset.id.clone(),
        location: Some(object.location()),
        hash: requirements.reported(&content.digests),
        bytes: Some(content.bytes),
        skipped,
        ..AssetFact::default()
    };
    let record = Record {
        path: below,
        bytes: content.bytes,
        modified_ns,
        hashed_at_us: jiff::Timestamp::now().as_microsecond(),
        hashes: content.digests.iter().map(Digest::to_string).collect(),
        action: if skipped {
            Action::Verified
        } else {
            Action::Copied
        },
        tag: work
            .target
            .directory()
            .is_none()
            .then_some(state.version.tag),
        source: journal::source_of(asset.origin()),
    };
    Ok((fact, record))
}

async fn small(
    work: &Work,
    requirements: &ContentRequirements,
    source: &mut Source,
    object: &TargetObject,
) -> Result<(Committed, Content), Failure> {
    let (pieces, held) = source.whole(&work.context).await?;
    let able = object.storage.capabilities();
    let mut measures = Measures::new(source.state.checksum, &requirements.algorithms, None);
    let bytes = source.state.bytes;
    let (measured, body) = off_thread(bytes, move || {
        measures.update(&pieces);
        (measures.finish(), Body::new(pieces, able.checksum))
    })
    .await?;
    source.check(&measured).await?;
    requirements.check_declared(&measured.digests)?;
    let ours = Content {
        bytes,
        digests: measured.digests,
        checksum: Some(body.checksum()),
    };
    // A check before sending pays only when an object exists. A server without preconditions is always checked first.
    let mut condition = Precondition::IfAbsent;
    if (work.stat_first.load(Ordering::Relaxed) || !able.create_only)
        && let Some(found) = object.stat_where_allowed().await?
    {
        match object.differs(&found, &ours, &work.context.cancel).await? {
            None => return Ok((Committed::Found(found), ours)),
            Some(how) => condition = object.condition(Some((&found, how))).await?,
        }
    }
    let (attributes, body) = (Attributes::default(), &body);
    let put = |condition: Precondition| {
        let attributes = &attributes;
        async move {
            let request = PutRequest {
                key: &object.key,
                body,
                attributes,
                precondition: &condition,
            };
            object.storage.put(request).await
        }
    };
    let committed = commit(object, &ours, &work.context.cancel, condition, put).await?;
    drop(held);
    Ok((committed, ours))
}

async fn large(
    work: &Work,
    requirements: &ContentRequirements,
    source: &Source,
    object: &TargetObject,
) -> Result<(Committed, Content), Failure> {
    let found = object.stat_where_allowed().await?;
    let bytes = source.state.bytes;
    // An object of another size has different content.
    let other = found.as_ref().filter(|found| found.bytes != bytes);
    let how = other.map(|found| {
        (
            found,
            format!("has {} bytes, the source {bytes}", found.bytes),
        )
    });
    let mut condition = object.condition(how).await?;
    if let Some(found) = found.filter(|found| found.bytes == bytes) {
        let kind = found
            .checksum
            .map_or(object.storage.capabilities().checksum, |sum| sum.kind());
        let stretch = upload::stretch(object, bytes)?;
        let measured = source
            .measure(&requirements.algorithms, kind, stretch, &work.context)
            .await?;
        requirements.check_declared(&measured.digests)?;
        let ours = Content {
            bytes,
            digests: measured.digests,
            checksum: measured.checksum,
        };
        match object.differs(&found, &ours, &work.context.cancel).await? {
            None => return Ok((Committed::Found(found), ours)),
            Some(how) => condition = object.condition(Some((&found, how))).await?,
        }
    }
    match server_copy::copy(work, requirements, source, object, &condition).await? {
        Some(copied) => Ok(copied),
        None => upload::upload(work, requirements, source, object, &condition).await,
    }
}

/// Modification time of the copy in nanoseconds since 1970; exact for files.
async fn modified(work: &Work, below: &str, state: &ObjectState) -> i128 {
    let known = state.modified.map_or(0, |at| i128::from(at.0) * 1_000);
    let Some(directory) = work.target.directory().filter(|_| work.task.mhl) else {
        return known;
    };
    let metadata = tokio::fs::metadata(directory.join(below)).await;
    let at = metadata.and_then(|metadata| metadata.modified()).ok();
    let since = at.and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
    since
        .and_then(|since| i128::try_from(since.as_nanos()).ok())
        .unwrap_or(known)
}
