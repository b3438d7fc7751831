//! Large content into a directory: parts are written where they belong while they come, and the whole is measured in
//! order from what the directory gives back, which proves each part at the same time. So a byte is in memory for as long
//! as it takes to write it, and is read once.
use super::commit::Uncommitted;
use super::fault;
use super::source::{Fetch, Measured, Measures};
use super::upload::{Arrived, Sending};
use futures_util::stream::{self, StreamExt};
use protocol::failure::Failure;
use std::ops::Range;
use std::sync::Arc;
use storage::{LANDING_BYTES, Landing, Part, Slot, StorageError, Unlanded};
use tokio_util::task::AbortOnDropHandle;

impl Sending<'_> {
    /// Receives those of these parts that have not arrived; all of them in the end, and what was computed of them.
    /// `arrived` are parts of this very source.
    pub(super) async fn land(
        &self,
        landing: Arc<Landing>,
        cuts: Vec<(u32, Range<u64>)>,
        at_once: usize,
        mut measures: Measures,
        mut arrived: Arrived,
    ) -> Result<(Measured, Vec<Part>), Uncommitted> {
        let fetch = Arc::new(self.source.fetch(&self.work.context));
        let receiving = stream::iter(cuts).map(|(number, range)| {
            let known = arrived.remove(&number).filter(|part| part.bytes == range.end - range.start);
            let (fetch, landing) = (Arc::clone(&fetch), Arc::clone(&landing));
            let slot = Slot { number, offset: range.start };
            let receiving = async move {
                match known {
                    Some(part) => Ok(part),
                    None => receive(&fetch, &landing, slot, range).await,
                }
            };
            async move { (slot, AbortOnDropHandle::new(tokio::spawn(receiving)).await) }
        });
        let mut received = std::pin::pin!(receiving.buffered(at_once.max(1)));
        let mut parts = Vec::new();
        while let Some((slot, part)) = received.next().await {
            let part = part.map_err(|error| stopping(&error)).and_then(|part| part.map_err(unlanded))?;
            let back = landing.read_back(slot, &part, measures, Measures::add).await;
            measures = back.map_err(|error| fault::destination(&error))?;
            parts.push(part);
        }
        landing.settle().await.map_err(|error| fault::destination(&error))?;
        let mut measured = measures.finish();
        measured.proven = true;
        Ok((measured, parts))
    }
}

async fn receive(fetch: &Fetch, landing: &Landing, slot: Slot, range: Range<u64>) -> Result<Part, Unlanded> {
    let held = fetch.registry.hold(LANDING_BYTES.min(range.end - range.start)).await;
    let part = landing.receive(slot, fetch.reading(range), &fetch.moved).await;
    drop(held);
    part
}

fn unlanded(unlanded: Unlanded) -> Uncommitted {
    match unlanded {
        Unlanded::Source(error) => fault::source(&error).into(),
        Unlanded::Target(error @ (StorageError::UploadGone(_) | StorageError::NotFound(_))) => Uncommitted::Gone(error),
        Unlanded::Target(error) => fault::destination(&error).into(),
    }
}

fn stopping(error: &tokio::task::JoinError) -> Uncommitted {
    Failure::transient("worker_stopping", error.to_string()).into()
}
