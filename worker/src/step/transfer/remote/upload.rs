//! Large content in parts. An interrupted upload needs no record: its parts are listed, and those that match the source
//! by checksum are not sent again.
use super::commit::{Committed, Uncommitted, commit, prove};
use super::error_map;
use super::fetch::{Known, Stretch};
use super::measures::{Measured, Measures, off_thread};
use super::open_uploads::{Resumed, abort, begin_from, resume};
use super::source::Source;
use super::target::{Content, TargetObject};
use super::uploaded_parts::{UploadedParts, has_content, multipart_tag};
use super::work::Work;
use crate::step::transfer::requirements::ContentRequirements;
use futures_util::StreamExt;
use protocol::failure::Failure;
use protocol::rules::storage::parts::{PartRules, at_once, part_bytes};
use std::ops::Range;
use std::sync::Arc;
use storage::retry::{RetryBudget, retry};
use storage::{
    Body, CompleteRequest, MEMORY_BYTES, MemoryPermit, Part, Precondition, Slot, StorageError,
    Upload,
};
use tokio::task::JoinSet;

/// Number of begins when the upload vanishes.
const BEGINNINGS_MAX: u32 = 3;

/// Size of the stretches of `bytes` for a destination, and the number of stretches in transit.
pub(super) fn stretch(object: &TargetObject, bytes: u64) -> Result<(u64, usize), Failure> {
    let limits = object
        .storage
        .capabilities()
        .multipart
        .map(|multipart| multipart.limits);
    let refused = |said: &str| {
        Failure::permanent(
            "destination_file_too_large",
            format!("{}: {said}", object.location()),
        )
    };
    let limits = limits.ok_or_else(|| refused("it takes no content in parts"))?;
    let rules = PartRules {
        bytes_min: limits.bytes_min,
        bytes_max: limits.bytes_max,
        count_max: limits.count_max,
    };
    let size =
        part_bytes(bytes, &rules).ok_or_else(|| refused("it takes no content of that size"))?;
    Ok((size, at_once(size, MEMORY_BYTES)))
}

/// Uploads a source.
pub(super) async fn upload(
    work: &Work,
    requirements: &ContentRequirements,
    source: &Source,
    object: &TargetObject,
    precondition: &Precondition,
) -> Result<(Committed, Content), Failure> {
    let identity = source.identity();
    let expected = upload_named_by(object, &identity);
    let Resumed {
        mut upload,
        mut arrived,
        stale,
        listed,
    } = resume(object, expected.as_ref()).await?;
    for beginning in 1.. {
        let going = match upload.take() {
            Some(upload) => upload,
            None => begin_from(object, Some(&identity)).await?,
        };
        work.opened(&object.storage, &going);
        let arrived = std::mem::take(&mut arrived);
        let known = (expected.as_ref() == Some(&going) && !arrived.is_empty()).then(|| Known {
            storage: Arc::clone(&object.storage),
            upload: going.clone(),
            parts: arrived.clone(),
        });
        let sent = Sending {
            work,
            requirements,
            source,
            object,
            precondition,
            upload: &going,
        }
        .run(arrived, known)
        .await;
        work.closed(&going);
        match sent {
            Ok(done) => {
                // The key is taken: other uploads to it can no longer complete.
                for upload in stale
                    .iter()
                    .chain(matches!(done.0, Committed::Found(_)).then_some(&going))
                {
                    abort(object, upload).await;
                }
                return Ok(done);
            }
            Err(Uncommitted::Gone(_)) if beginning < BEGINNINGS_MAX => {}
            Err(uncommitted) => {
                let failure = Failure::from(uncommitted);
                if !listed || !keeps_parts(&failure) {
                    for upload in stale.iter().chain([&going]) {
                        abort(object, upload).await;
                    }
                }
                return Err(failure);
            }
        }
    }
    Err(Failure::transient(
        "storage_upload_gone",
        format!("the upload to {} vanishes", object.location()),
    ))
}

/// The upload that a storage names after its source.
fn upload_named_by(object: &TargetObject, identity: &str) -> Option<Upload> {
    let multipart = object.storage.capabilities().multipart?;
    multipart.in_place?.upload_of(&object.key, identity)
}

/// Whether parts are kept for the next attempt: after a retryable failure, unless they are damaged or keep a disk full.
fn keeps_parts(failure: &Failure) -> bool {
    let useless = [error_map::DAMAGED, error_map::FULL].contains(&failure.reason.as_str());
    failure.class.retryable() && !useless
}

/// Sends parts of a source to an upload.
pub(super) struct Sending<'a> {
    pub(super) work: &'a Work,
    pub(super) requirements: &'a ContentRequirements,
    pub(super) source: &'a Source,
    pub(super) object: &'a TargetObject,
    pub(super) precondition: &'a Precondition,
    pub(super) upload: &'a Upload,
}

impl Sending<'_> {
    async fn run(
        &self,
        arrived: UploadedParts,
        known: Option<Known>,
    ) -> Result<(Committed, Content), Uncommitted> {
        let (size, at_once) = stretch(self.object, self.source.state.bytes)?;
        let measures = Measures::new(
            self.source.state.checksum,
            &self.requirements.algorithms,
            None,
        );
        let (measured, parts) = self
            .carry(self.source.cuts(size), at_once, measures, (arrived, known))
            .await?;
        self.source.check(&measured).await?;
        let (digests, proven) = (measured.digests, measured.proven);
        self.requirements.check_declared(&digests)?;
        let (able, uploads) = (self.object.storage.capabilities(), self.object.uploads()?);
        let whole = if proven {
            None
        } else {
            Part::whole(&parts).filter(|_| able.whole_checksum)
        };
        let ours = Content {
            bytes: self.source.state.bytes,
            digests,
            checksum: whole,
        };
        let cancel = &self.work.context.cancel;
        let complete = |condition: Precondition| {
            let parts = &parts;
            async move {
                let request = CompleteRequest {
                    upload: self.upload,
                    parts,
                    whole,
                    precondition: &condition,
                };
                uploads.complete(request).await
            }
        };
        let committed = commit(
            self.object,
            &ours,
            cancel,
            self.precondition.clone(),
            complete,
        )
        .await?;
        // Each part is verified. The whole is verified by its checksum or by a tag of its parts; otherwise it is read
        // back.
        if let Committed::New(state) = &committed
            && !proven
            && whole.is_none()
            && multipart_tag(&parts).is_none_or(|tag| tag != state.version.tag.trim_matches('"'))
        {
            prove(self.object, state, &ours, cancel).await?;
        }
        Ok((committed, ours))
    }

    /// Sends the missing parts, and returns all parts with their measures.
    pub(super) async fn carry(
        &self,
        cuts: Vec<(u32, Range<u64>)>,
        at_once: usize,
        measures: Measures,
        (arrived, known): (UploadedParts, Option<Known>),
    ) -> Result<(Measured, Vec<Part>), Uncommitted> {
        let in_place = self
            .object
            .storage
            .capabilities()
            .multipart
            .and_then(|multipart| multipart.in_place);
        let writer = match in_place.filter(|_| self.source.has_ranges()) {
            Some(in_place) => in_place.part_writer(self.upload).await,
            None => Ok(None),
        };
        match writer {
            Ok(Some(writer)) => {
                // Parts of an unknown source are not kept: comparing them would mean reading them.
                let arrived = known.map_or_else(UploadedParts::new, |known| known.parts);
                self.write_local(writer, cuts, at_once, measures, arrived)
                    .await
            }
            Ok(None) => self.send(cuts, at_once, measures, (arrived, known)).await,
            Err(error @ (StorageError::UploadGone(_) | StorageError::NotFound(_))) => {
                Err(Uncommitted::Gone(error))
            }
            Err(error) => Err(error_map::destination(&error).into()),
        }
    }

    /// Sends each part as one body.
    async fn send(
        &self,
        cuts: Vec<(u32, Range<u64>)>,
        at_once: usize,
        mut measures: Measures,
        (mut arrived, known): (UploadedParts, Option<Known>),
    ) -> Result<(Measured, Vec<Part>), Uncommitted> {
        let kind = self.object.storage.capabilities().checksum;
        let mut stretches = self
            .source
            .stretches(cuts, at_once, &self.work.context, known);
        let (mut sending, mut parts) = (JoinSet::new(), Vec::new());
        while let Some(stretch) = stretches.next().await {
            let Stretch { slot, pieces, held } =
                stretch.map_err(|error| error_map::source(&error))?;
            let known = arrived.remove(&slot.number);
            let bytes = pieces.iter().map(|piece| piece.len() as u64).sum();
            let measured = off_thread(bytes, move || {
                measures.update(&pieces);
                let known = known.filter(|part| has_content(part, &pieces));
                (measures, Body::new(pieces, kind), known)
            });
            let (after, body, known) = measured.await?;
            measures = after;
            if let Some(part) = known {
                parts.push(Part {
                    checksum: Some(body.checksum()),
                    ..part
                });
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
        held: Option<MemoryPermit>,
    ) -> impl Future<Output = Result<Part, StorageError>> + Send + 'static {
        let (storage, upload) = (Arc::clone(&self.object.storage), self.upload.clone());
        async move {
            let uploads = storage.multipart(&upload.key)?;
            let sent = retry(RetryBudget::default(), || {
                uploads.put_part(&upload, slot, &body)
            })
            .await;
            drop(held);
            sent
        }
    }
}

fn received(
    sent: Result<Result<Part, StorageError>, tokio::task::JoinError>,
) -> Result<Part, Uncommitted> {
    match sent {
        Ok(Ok(part)) => Ok(part),
        Ok(Err(error @ (StorageError::UploadGone(_) | StorageError::NotFound(_)))) => {
            Err(Uncommitted::Gone(error))
        }
        Ok(Err(error)) => Err(error_map::destination(&error).into()),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(error) => Err(Failure::transient("worker_stopping", error.to_string()).into()),
        },
    }
}
