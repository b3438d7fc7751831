//! Large content in parts. An interrupted upload needs no memory of its own: the parts that have arrived are asked for, and
//! those that are what the source has, by checksum, are not sent again.
use super::super::wants::Wants;
use super::Work;
use super::commit::{Committed, Uncommitted, commit, prove};
use super::fault;
use super::source::{Known, Measured, Measures, Source, Stretch, off_thread};
use super::target::{Content, Place};
use bytes::Bytes;
use futures_util::StreamExt;
use protocol::failure::Failure;
use protocol::rules::storage::parts::{PartRules, at_once, part_bytes};
use protocol::wire::unit::HashAlgorithm;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use storage::hash::Hasher;
use storage::persist::{Patience, persist};
use storage::{
    Attributes, Body, Checksum, ChecksumKind, Condition, Held, MEMORY_BYTES, Part, SOURCE, Slot, StorageError, Upload,
};
use tokio::task::JoinSet;

/// Times an upload is begun that vanished meanwhile.
const BEGINNINGS_MAX: u32 = 3;

/// Size of the stretches of `bytes` for a destination, and how many of them are on their way at the same time.
pub(super) fn stretch(place: &Place, bytes: u64) -> Result<(u64, usize), Failure> {
    let limits = place.storage.capabilities().parts;
    let refused =
        |said: &str| Failure::permanent("destination_file_too_large", format!("{}: {said}", place.location()));
    let limits = limits.ok_or_else(|| refused("it takes no content in parts"))?;
    let rules = PartRules { bytes_min: limits.bytes_min, bytes_max: limits.bytes_max, count_max: limits.count_max };
    let size = part_bytes(bytes, &rules).ok_or_else(|| refused("it takes no content of that size"))?;
    Ok((size, at_once(size, MEMORY_BYTES)))
}

/// Uploads a source that is not there yet.
pub(super) async fn upload(
    work: &Work,
    wants: &Wants,
    source: &Source,
    place: &Place,
    condition: &Condition,
) -> Result<(Committed, Content), Failure> {
    let identity = source.identity();
    let expected = place.storage.upload_of(&place.key, &identity);
    let Resumed { mut upload, mut arrived, stale, listed } = resume(place, expected.as_ref()).await?;
    for beginning in 1.. {
        let going = match upload.take() {
            Some(upload) => upload,
            None => begin_for(place, &identity).await?,
        };
        work.opened(&place.storage, &going);
        let arrived = std::mem::take(&mut arrived);
        let known = (expected.as_ref() == Some(&going) && !arrived.is_empty()).then(|| Known {
            storage: Arc::clone(&place.storage),
            upload: going.clone(),
            parts: arrived.clone(),
        });
        let sent = Sending { work, wants, source, place, condition, upload: &going }.run(arrived, known).await;
        work.closed(&going);
        match sent {
            Ok(done) => {
                // Whoever began those cannot complete them any more: the key is taken.
                for upload in stale.iter().chain(matches!(done.0, Committed::Found(_)).then_some(&going)) {
                    abort(place, upload).await;
                }
                return Ok(done);
            }
            Err(Uncommitted::Gone(_)) if beginning < BEGINNINGS_MAX => {}
            Err(uncommitted) => {
                let failure = Failure::from(uncommitted);
                // What may go away by itself keeps what has arrived, for the next attempt; what arrived damaged is of no use.
                // Where uploads may not be listed, the next attempt would not find it either.
                // A full disk is kept full by it, for all others too.
                let useless = [fault::DAMAGED, fault::FULL].contains(&failure.reason.as_str());
                if !listed || useless || !failure.class.retryable() {
                    for upload in stale.iter().chain([&going]) {
                        abort(place, upload).await;
                    }
                }
                return Err(failure);
            }
        }
    }
    Err(Failure::transient("storage_upload_gone", format!("the upload to {} vanishes", place.location())))
}

/// Begins an upload of parts that several workers send.
pub(super) async fn begin(place: &Place) -> Result<Upload, Failure> {
    begin_with(place, Attributes::default()).await
}

/// Begins an upload of this source alone.
async fn begin_for(place: &Place, identity: &str) -> Result<Upload, Failure> {
    // Metadata of ours is of use to directories only; objects would keep it.
    let known = place.storage.upload_of(&place.key, identity).map(|_| (SOURCE.to_owned(), identity.to_owned()));
    begin_with(place, Attributes { metadata: known.into_iter().collect(), ..Attributes::default() }).await
}

async fn begin_with(place: &Place, attributes: Attributes) -> Result<Upload, Failure> {
    let begun = persist(Patience::default(), || place.storage.begin(&place.key, &attributes)).await;
    begun.map_err(|error| fault::destination(&error))
}

pub(super) async fn abort(place: &Place, upload: &Upload) {
    if let Err(error) = persist(Patience::default(), || place.storage.abort(upload)).await {
        tracing::warn!(%error, location = place.location(), "an upload could not be aborted");
    }
}

/// Parts by number.
pub(super) type Arrived = BTreeMap<u32, Part>;

/// What earlier attempts left.
struct Resumed {
    /// The upload to go on with.
    upload: Option<Upload>,
    /// The parts of it that have arrived.
    arrived: Arrived,
    /// Others to the same key.
    stale: Vec<Upload>,
    /// Whether uploads may be listed.
    listed: bool,
}

async fn resume(place: &Place, expected: Option<&Upload>) -> Result<Resumed, Failure> {
    let Some(mut uploads) = begun_where_allowed(place).await? else {
        return Ok(Resumed { upload: None, arrived: Arrived::new(), stale: Vec::new(), listed: false });
    };
    // What is known to be of this source saves reading it once more.
    uploads.sort_by_key(|upload| Some(upload) != expected);
    while !uploads.is_empty() {
        let upload = uploads.remove(0);
        match persist(Patience::default(), || place.storage.parts(&upload)).await {
            Ok(parts) => {
                let arrived = parts.into_iter().map(|part| (part.number, part)).collect();
                return Ok(Resumed { upload: Some(upload), arrived, stale: uploads, listed: true });
            }
            Err(StorageError::UploadGone(_) | StorageError::NotFound(_) | StorageError::Denied { .. }) => {}
            Err(error) => return Err(fault::destination(&error)),
        }
    }
    Ok(Resumed { upload: None, arrived: Arrived::new(), stale: Vec::new(), listed: true })
}

/// Uploads to a place that were begun, in the same order for everybody who looks.
pub(super) async fn begun(place: &Place) -> Result<Vec<Upload>, Failure> {
    begun_where_allowed(place).await.map(Option::unwrap_or_default)
}

/// The same; `None` where they may not be listed.
async fn begun_where_allowed(place: &Place) -> Result<Option<Vec<Upload>>, Failure> {
    let mut uploads = match persist(Patience::default(), || place.storage.uploads(&place.key)).await {
        Ok(uploads) => uploads,
        Err(StorageError::Denied { .. }) => return Ok(None),
        Err(error) => return Err(fault::destination(&error)),
    };
    uploads.retain(|upload| upload.key == place.key);
    uploads.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(Some(uploads))
}

/// Parts of a source on their way to an upload.
pub(super) struct Sending<'a> {
    pub(super) work: &'a Work,
    pub(super) wants: &'a Wants,
    pub(super) source: &'a Source,
    pub(super) place: &'a Place,
    pub(super) condition: &'a Condition,
    pub(super) upload: &'a Upload,
}

impl Sending<'_> {
    async fn run(&self, arrived: Arrived, known: Option<Known>) -> Result<(Committed, Content), Uncommitted> {
        let (size, at_once) = stretch(self.place, self.source.state.bytes)?;
        let measures = Measures::new(self.source, &self.wants.algorithms, None);
        let (measured, parts) = self.carry(self.source.cuts(size), at_once, measures, (arrived, known)).await?;
        self.source.check(&measured).await?;
        let (digests, proven) = (measured.digests, measured.proven);
        self.wants.check_declared(&digests)?;
        let able = self.place.storage.capabilities();
        let whole = if proven { None } else { Part::whole(&parts).filter(|_| able.whole_checksum) };
        let ours = Content { bytes: self.source.state.bytes, digests, checksum: whole };
        let cancel = &self.work.context.cancel;
        let complete = |condition| {
            let parts = &parts;
            async move { self.place.storage.complete(self.upload, parts, whole, &condition).await }
        };
        let committed = commit(self.place, &ours, cancel, self.condition.clone(), complete).await?;
        // Parts are proven one by one; that they make the whole is proven by its checksum, or by a tag made of theirs.
        if let Committed::New(state) = &committed
            && !proven
            && whole.is_none()
            && tag_of(&parts).is_none_or(|tag| tag != state.version.tag.trim_matches('"'))
        {
            prove(self.place, state, &ours, cancel).await?;
        }
        Ok((committed, ours))
    }

    /// Brings those of these parts there that have not arrived; all of them in the end, and what was computed of them.
    pub(super) async fn carry(
        &self,
        cuts: Vec<(u32, Range<u64>)>,
        at_once: usize,
        measures: Measures,
        (arrived, known): (Arrived, Option<Known>),
    ) -> Result<(Measured, Vec<Part>), Uncommitted> {
        let landing = match self.source.in_any_order() {
            true => self.place.storage.landing(self.upload).await,
            false => Ok(None),
        };
        match landing {
            Ok(Some(landing)) => {
                // Of what is not known to be of this source, nothing is kept: it would have to be read to be told.
                let arrived = known.map_or_else(Arrived::new, |known| known.parts);
                self.land(landing, cuts, at_once, measures, arrived).await
            }
            Ok(None) => self.send(cuts, at_once, measures, (arrived, known)).await,
            Err(error @ (StorageError::UploadGone(_) | StorageError::NotFound(_))) => Err(Uncommitted::Gone(error)),
            Err(error) => Err(fault::destination(&error).into()),
        }
    }

    /// Sends parts in one piece each.
    async fn send(
        &self,
        cuts: Vec<(u32, Range<u64>)>,
        at_once: usize,
        mut measures: Measures,
        (mut arrived, known): (Arrived, Option<Known>),
    ) -> Result<(Measured, Vec<Part>), Uncommitted> {
        let kind = self.place.storage.capabilities().checksum;
        let mut stretches = self.source.stretches(cuts, at_once, &self.work.context, known);
        let (mut sending, mut parts) = (JoinSet::new(), Vec::new());
        while let Some(stretch) = stretches.next().await {
            let Stretch { slot, pieces, held } = stretch.map_err(|error| fault::source(&error))?;
            let known = arrived.remove(&slot.number);
            let bytes = pieces.iter().map(|piece| piece.len() as u64).sum();
            let measured = off_thread(bytes, move || {
                measures.update(&pieces);
                let known = known.filter(|part| is_of(part, &pieces));
                (measures, Body::new(pieces, kind), known)
            });
            let (after, body, known) = measured.await?;
            measures = after;
            if let Some(part) = known {
                parts.push(Part { checksum: Some(body.checksum()), ..part });
                continue;
            }
            while sending.len() >= at_once
                && let Some(sent) = sending.join_next().await
            {
                parts.push(received(sent)?);
            }
            sending.spawn(self.part(slot, body, held));
        }
        while let Some(sent) = sending.join_next().await {
            parts.push(received(sent)?);
        }
        parts.sort_by_key(|part| part.number);
        Ok((measures.finish(), parts))
    }

    fn part(
        &self,
        slot: Slot,
        body: Body,
        held: Option<Held>,
    ) -> impl Future<Output = Result<Part, StorageError>> + Send + 'static {
        let (storage, upload) = (Arc::clone(&self.place.storage), self.upload.clone());
        async move {
            let sent = persist(Patience::default(), || storage.put_part(&upload, slot, &body)).await;
            drop(held);
            sent
        }
    }
}

fn received(sent: Result<Result<Part, StorageError>, tokio::task::JoinError>) -> Result<Part, Uncommitted> {
    match sent {
        Ok(Ok(part)) => Ok(part),
        Ok(Err(error @ (StorageError::UploadGone(_) | StorageError::NotFound(_)))) => Err(Uncommitted::Gone(error)),
        Ok(Err(error)) => Err(fault::destination(&error).into()),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(error) => Err(Failure::transient("worker_stopping", error.to_string()).into()),
        },
    }
}

/// Whether a part that has arrived has this content: by its checksum, or by its tag, which is an MD5 on servers that tell
/// no checksums of listed parts. When in doubt it is sent again.
pub(super) fn is_of(part: &Part, pieces: &[Bytes]) -> bool {
    if part.bytes != pieces.iter().map(|piece| piece.len() as u64).sum::<u64>() {
        return false;
    }
    match part.checksum {
        Some(sum) => sum.kind().of(pieces) == sum,
        None => {
            let mut md5 = Hasher::new(HashAlgorithm::Md5);
            pieces.iter().for_each(|piece| md5.update(piece));
            md5.finish().text == part.tag.trim_matches('"')
        }
    }
}

/// The tag that S3 gives a whole whose parts were proven by MD5.
pub(super) fn tag_of(parts: &[Part]) -> Option<String> {
    let mut sums = Vec::with_capacity(parts.len());
    for part in parts {
        match part.checksum? {
            Checksum::Md5(sum) => sums.push(Bytes::copy_from_slice(&sum)),
            _ => return None,
        }
    }
    let Checksum::Md5(whole) = ChecksumKind::Md5.of(&sums) else { return None };
    let text: String = whole.iter().map(|byte| format!("{byte:02x}")).collect();
    Some(format!("{text}-{}", parts.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(bytes: u64, tag: &str, checksum: Option<Checksum>) -> Part {
        Part { number: 1, bytes, tag: tag.into(), checksum }
    }

    /// A part that is taken for something it is not would end in a wrong object.
    #[test]
    fn a_part_counts_only_when_its_content_is_known() {
        let pieces = [Bytes::from_static(b"12345"), Bytes::from_static(b"6789")];
        let sum = ChecksumKind::Crc32c.of(&pieces);
        assert!(is_of(&part(9, "x", Some(sum)), &pieces));
        assert!(!is_of(&part(9, "x", Some(Checksum::Crc32c(1))), &pieces));
        assert!(!is_of(&part(8, "x", Some(sum)), &pieces));
        assert!(is_of(&part(9, "\"25f9e794323b453885f5181f1b624d0b\"", None), &pieces));
        assert!(!is_of(&part(9, "\"25f9e794323b453885f5181f1b624d0c\"", None), &pieces));
    }

    #[test]
    fn the_tag_of_a_whole_is_made_of_its_parts() {
        let md5 = |content: &'static [u8]| part(1, "x", Some(ChecksumKind::Md5.of(&[Bytes::from_static(content)])));
        // md5(md5("a") + md5("b")).
        assert_eq!(tag_of(&[md5(b"a"), md5(b"b")]).as_deref(), Some("96e024ba2074fe77e8e965ba43a704be-2"));
        assert_eq!(tag_of(&[part(1, "x", Some(Checksum::Crc32c(1)))]), None);
    }
}
