//! Large content into a directory. Parts are written to their offset while they arrive. The whole is hashed in order
//! from what the directory returns, which verifies each part in the same pass: a byte is in memory only while it is
//! written, and is read back once.
use super::commit::Uncommitted;
use super::error_map;
use super::fetch::Fetch;
use super::measures::{Measured, Measures};
use super::upload::Sending;
use super::uploaded_parts::UploadedParts;
use futures_util::stream::{self, StreamExt};
use protocol::failure::Failure;
use std::ops::Range;
use std::sync::Arc;
use storage::{Part, PartWriteError, PartWriter, Slot, StorageError};
use tokio_util::task::AbortOnDropHandle;

impl Sending<'_> {
    /// Receives the missing parts, and returns all parts with their measures. `arrived` are parts of the same source.
    pub(super) async fn write_local(
        &self,
        writer: Arc<dyn PartWriter>,
        cuts: Vec<(u32, Range<u64>)>,
        at_once: usize,
        mut measures: Measures,
        mut arrived: UploadedParts,
    ) -> Result<(Measured, Vec<Part>), Uncommitted> {
        let fetch = Arc::new(self.source.fetch(&self.work.context));
        let receiving = stream::iter(cuts).map(|(number, range)| {
            let known = arrived
                .remove(&number)
                .filter(|part| part.bytes == range.end - range.start);
            let (fetch, writer) = (Arc::clone(&fetch), Arc::clone(&writer));
            let slot = Slot {
                number,
                offset: range.start,
            };
            let receiving = async move {
                match known {
                    Some(part) => Ok(part),
                    None => receive(&fetch, &*writer, slot, range).await,
                }
            };
            async move { (slot, AbortOnDropHandle::new(tokio::spawn(receiving)).await) }
        });
        let mut received = std::pin::pin!(receiving.buffered(at_once.max(1)));
        let mut parts = Vec::new();
        while let Some((slot, part)) = received.next().await {
            let part = part
                .map_err(|error| stopping(&error))
                .and_then(|part| part.map_err(unwritten))?;
            let (part, measured) = read_back(Arc::clone(&writer), slot, part, measures).await?;
            measures = measured;
            parts.push(part);
        }
        writer
            .settle()
            .await
            .map_err(|error| error_map::destination(&error))?;
        let mut measured = measures.finish();
        measured.proven = true;
        Ok((measured, parts))
    }
}

async fn receive(
    fetch: &Fetch,
    writer: &dyn PartWriter,
    slot: Slot,
    range: Range<u64>,
) -> Result<Part, PartWriteError> {
    let held = fetch
        .registry
        .hold(writer.memory_bytes().min(range.end - range.start))
        .await;
    let part = writer
        .receive(slot, fetch.reading(range), &fetch.moved)
        .await;
    drop(held);
    part
}

/// Adds a part to the measures as the directory returns it.
async fn read_back(
    writer: Arc<dyn PartWriter>,
    slot: Slot,
    part: Part,
    mut measures: Measures,
) -> Result<(Part, Measures), Uncommitted> {
    let read = move || {
        let back = writer.read_back(slot, &part, &mut |bytes| measures.add(bytes));
        back.map(|()| (part, measures))
    };
    match tokio::task::spawn_blocking(read).await {
        Ok(back) => back.map_err(|error| error_map::destination(&error).into()),
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(error) => Err(stopping(&error)),
    }
}

fn unwritten(error: PartWriteError) -> Uncommitted {
    match error {
        PartWriteError::Source(error) => error_map::source(&error).into(),
        PartWriteError::Target(
            error @ (StorageError::UploadGone(_) | StorageError::NotFound(_)),
        ) => Uncommitted::Gone(error),
        PartWriteError::Target(error) => error_map::destination(&error).into(),
    }
}

fn stopping(error: &tokio::task::JoinError) -> Uncommitted {
    Failure::transient("worker_stopping", error.to_string()).into()
}
