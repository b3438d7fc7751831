//! Reads stretches of one state of a source: from the source, or from an upload that holds them already.
use super::uploaded_parts::{UploadedParts, has_content};
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use storage::retry::{RetryBudget, read_all, resume_read};
use storage::{
    ByteStream, MemoryPermit, ObjectState, Registry, Slot, Storage, StorageError, Upload,
};

/// A stretch of content in memory.
pub(super) struct Stretch {
    pub(super) slot: Slot,
    pub(super) pieces: Vec<Bytes>,
    pub(super) held: Option<MemoryPermit>,
}

/// Parts that an upload of the same source holds. They are read from the upload instead of the source.
pub(super) struct Known {
    pub(super) storage: Arc<dyn Storage>,
    pub(super) upload: Upload,
    pub(super) parts: UploadedParts,
}

/// Reads stretches of one state of a source.
pub(super) struct Fetch {
    pub(super) is_file: bool,
    pub(super) known: Option<Known>,
    pub(super) storage: Arc<dyn Storage>,
    pub(super) state: ObjectState,
    pub(super) registry: Arc<Registry>,
    pub(super) moved: Arc<AtomicU64>,
}

impl Fetch {
    /// A range of the source; an interrupted read resumes.
    pub(super) fn reading(&self, range: Range<u64>) -> ByteStream {
        resume_read(
            Arc::clone(&self.storage),
            &self.state,
            range,
            RetryBudget::default(),
        )
    }

    pub(super) async fn stretch(
        &self,
        number: u32,
        range: Range<u64>,
        held: Option<MemoryPermit>,
    ) -> Result<Stretch, StorageError> {
        let slot = Slot {
            number,
            offset: range.start,
        };
        if let Some(pieces) = self.arrived(slot, range.end - range.start).await {
            return Ok(Stretch { slot, pieces, held });
        }
        let bytes = range.end - range.start;
        let mut reading = self.reading(range);
        let mut pieces = Vec::new();
        if self.is_file {
            // Files are read in large pieces, each with a buffer of its own.
            while let Some(piece) = reading.next().await {
                let piece = piece?;
                self.moved.fetch_add(piece.len() as u64, Ordering::Relaxed);
                pieces.push(piece);
            }
            return Ok(Stretch { slot, pieces, held });
        }
        let buffers = self.registry.buffers();
        let mut buffer = buffers.take(usize::try_from(bytes).unwrap_or_default());
        while let Some(piece) = reading.next().await {
            let piece = piece?;
            self.moved.fetch_add(piece.len() as u64, Ordering::Relaxed);
            buffer.extend_from_slice(&piece);
        }
        pieces.push(buffers.lend(buffer));
        Ok(Stretch { slot, pieces, held })
    }

    /// The content of a part that the upload holds.
    async fn arrived(&self, slot: Slot, bytes: u64) -> Option<Vec<Bytes>> {
        let known = self.known.as_ref()?;
        let part = known
            .parts
            .get(&slot.number)
            .filter(|part| part.bytes == bytes)?;
        let reading = known
            .storage
            .uploads_in_place(&known.upload.key)
            .ok()?
            .read_part(&known.upload, slot, bytes)
            .await
            .ok()?;
        let pieces = reading.collect().await.ok()?;
        has_content(part, &pieces).then_some(pieces)
    }

    /// Stretches out of one stream over the whole source.
    pub(super) fn in_order(
        self,
        cuts: Vec<(u32, Range<u64>)>,
    ) -> BoxStream<'static, Result<Stretch, StorageError>> {
        let reading = read_all(
            Arc::clone(&self.storage),
            &self.state,
            RetryBudget::default(),
        );
        let start = (self, reading, Bytes::new(), cuts.into_iter());
        let stretches = stream::try_unfold(
            start,
            |(fetch, mut reading, mut left, mut cuts)| async move {
                let Some((number, range)) = cuts.next() else {
                    return Ok(None);
                };
                let held = fetch.registry.hold(range.end - range.start).await;
                let (mut wanted, mut pieces) = (range.end - range.start, Vec::new());
                while wanted > 0 {
                    if left.is_empty() {
                        let next = reading.next().await;
                        let ended = || {
                            StorageError::unavailable(
                                &reading.location,
                                "the content ended too early",
                            )
                        };
                        left = next.unwrap_or_else(|| Err(ended()))?;
                    }
                    let take = left
                        .len()
                        .min(usize::try_from(wanted).unwrap_or(usize::MAX));
                    pieces.push(left.split_to(take));
                    fetch.moved.fetch_add(take as u64, Ordering::Relaxed);
                    wanted -= take as u64;
                }
                let slot = Slot {
                    number,
                    offset: range.start,
                };
                Ok(Some((
                    Stretch { slot, pieces, held },
                    (fetch, reading, left, cuts),
                )))
            },
        );
        stretches.boxed()
    }
}
