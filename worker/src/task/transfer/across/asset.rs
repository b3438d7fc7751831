//! One asset, from the look at its source to its fact.
use super::super::wants::Wants;
use super::Work;
use super::commit::{Committed, commit};
use super::source::{Measures, Source, off_thread};
use super::target::{Content, Place};
use super::{assemble, cut, server_copy, upload};
use ::mhl::journal::{Action, Record};
use protocol::failure::Failure;
use protocol::media::asset::{Asset, AssetFact};
use protocol::rules::storage::parts::PART_BYTES;
use protocol::wire::unit::Assembly;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use storage::hash::Digest;
use storage::{Attributes, Body, Condition, ObjectState};

/// Largest content that is written in one step, in bytes.
const SMALL_BYTES_MAX: u64 = PART_BYTES;

/// Carries an asset to its destination. What was begun for its slices is gone afterwards, unless it is tried again.
pub(super) async fn carry(work: Arc<Work>, asset: Asset) -> Result<(AssetFact, Record), Failure> {
    let begun = work.assemblies.iter().find(|assembly| assembly.draft.asset == asset.id);
    let carried = carry_content(&work, &asset, begun).await;
    let over = carried.as_ref().map_or_else(|failure| !failure.class.retryable(), |_| true);
    if let Some(begun) = begun.filter(|_| over)
        && let Ok((place, _)) = work.target.place(&work.task, &asset)
    {
        upload::abort(&place, &cut::upload_of(&begun.draft, &place)).await;
    }
    carried
}

async fn carry_content(work: &Work, asset: &Asset, begun: Option<&Assembly>) -> Result<(AssetFact, Record), Failure> {
    let source_name = asset.location.split('?').next().unwrap_or_default().to_owned();
    let wants = Wants::new(&work.task, asset, source_name)?;
    let (place, below) = work.target.place(&work.task, asset)?;
    let small_max = SMALL_BYTES_MAX.min(place.storage.capabilities().put_bytes_max);
    let mut source = Source::open(asset, &work.context, small_max).await?;
    wants.check_size(asset, source.state.bytes, source.modified_us())?;
    let (committed, content) = if source.state.bytes <= small_max {
        small(work, &wants, &mut source, &place).await?
    } else {
        // None of these is ever closed; a unit that is dropped drops its waiters.
        let _turn = work.large.acquire().await.ok();
        let assembled = match begun {
            Some(assembly) => assemble::assemble(work, &wants, &source, &place, assembly).await?,
            None => None,
        };
        match assembled {
            Some(assembled) => assembled,
            None => large(work, &wants, &source, &place).await?,
        }
    };
    let (state, skipped) = match committed {
        Committed::New(state) => (state, false),
        Committed::Found(state) => {
            // Where one is there already, others will be: from here on it is looked before content is sent.
            work.look_first.store(true, Ordering::Relaxed);
            (state, true)
        }
    };
    let modified_ns = modified(work, &below, &state).await;
    let fact = AssetFact {
        asset: asset.id.clone(),
        location: Some(place.location()),
        hash: wants.reported(&content.digests),
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
        action: if skipped { Action::Verified } else { Action::Copied },
        tag: work.target.directory().is_none().then_some(state.version.tag),
    };
    Ok((fact, record))
}

async fn small(
    work: &Work,
    wants: &Wants,
    source: &mut Source,
    place: &Place,
) -> Result<(Committed, Content), Failure> {
    let (pieces, held) = source.whole(&work.context).await?;
    let able = place.storage.capabilities();
    let mut measures = Measures::new(source, &wants.algorithms, None);
    let bytes = source.state.bytes;
    let (measured, body) = off_thread(bytes, move || {
        measures.update(&pieces);
        (measures.finish(), Body::new(pieces, able.checksum))
    })
    .await?;
    source.check(&measured).await?;
    wants.check_declared(&measured.digests)?;
    let ours = Content { bytes, digests: measured.digests, checksum: Some(body.checksum()) };
    // Sending costs more than looking only when something is there; a server that does not judge is always asked first.
    let mut condition = Condition::Free;
    if (work.look_first.load(Ordering::Relaxed) || !able.create_only)
        && let Some(found) = place.look_where_allowed().await?
    {
        match place.differs(&found, &ours, &work.context.cancel).await? {
            None => return Ok((Committed::Found(found), ours)),
            Some(how) => condition = place.condition(Some((&found, how))).await?,
        }
    }
    let (attributes, body) = (Attributes::default(), &body);
    let put = |condition| {
        let attributes = &attributes;
        async move { place.storage.put(&place.key, body, attributes, &condition).await }
    };
    let committed = commit(place, &ours, &work.context.cancel, condition, put).await?;
    drop(held);
    Ok((committed, ours))
}

async fn large(work: &Work, wants: &Wants, source: &Source, place: &Place) -> Result<(Committed, Content), Failure> {
    let found = place.look_where_allowed().await?;
    let bytes = source.state.bytes;
    // Of another size it is other content, whatever it is.
    let other = found.as_ref().filter(|found| found.bytes != bytes);
    let how = other.map(|found| (found, format!("has {} bytes, the source {bytes}", found.bytes)));
    let mut condition = place.condition(how).await?;
    if let Some(found) = found.filter(|found| found.bytes == bytes) {
        let kind = found.checksum.map_or(place.storage.capabilities().checksum, |sum| sum.kind());
        let stretch = upload::stretch(place, bytes)?;
        let measured = source.measure(&wants.algorithms, kind, stretch, &work.context).await?;
        wants.check_declared(&measured.digests)?;
        let ours = Content { bytes, digests: measured.digests, checksum: measured.checksum };
        match place.differs(&found, &ours, &work.context.cancel).await? {
            None => return Ok((Committed::Found(found), ours)),
            Some(how) => condition = place.condition(Some((&found, how))).await?,
        }
    }
    match server_copy::copy(work, wants, source, place, &condition).await? {
        Some(copied) => Ok(copied),
        None => upload::upload(work, wants, source, place, &condition).await,
    }
}

/// When the copy was last changed, in nanoseconds: exactly, where a directory keeps it.
async fn modified(work: &Work, below: &str, state: &ObjectState) -> i128 {
    let known = state.modified.map_or(0, |at| i128::from(at.0) * 1_000);
    let Some(directory) = work.target.directory().filter(|_| work.task.mhl) else { return known };
    let metadata = tokio::fs::metadata(directory.join(below)).await;
    let at = metadata.and_then(|metadata| metadata.modified()).ok();
    let since = at.and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
    since.and_then(|since| i128::try_from(since.as_nanos()).ok()).unwrap_or(known)
}
