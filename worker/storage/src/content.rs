//! What is in an object, by its hashes.
use super::persist::{Patience, read_all};
use super::{ObjectState, Storage, StorageError};
use crate::hash::{Digest, Hasher};
use protocol::wire::unit::HashAlgorithm;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio_util::sync::CancellationToken;

/// Reads an object once, in the state it was looked at in, and hashes it with every algorithm. `None` when it was called
/// off. Counts the bytes in `moved`, when there is somebody to tell.
pub async fn digests(
    storage: Arc<dyn Storage>,
    state: &ObjectState,
    algorithms: &[HashAlgorithm],
    moved: Option<&AtomicU64>,
    cancel: &CancellationToken,
) -> Result<Option<Vec<Digest>>, StorageError> {
    let mut hashers: Vec<Hasher> = algorithms.iter().map(|algorithm| Hasher::new(*algorithm)).collect();
    let mut reading = read_all(storage, state, Patience::default());
    loop {
        let Some(piece) = cancel.run_until_cancelled(reading.next()).await else { return Ok(None) };
        let Some(piece) = piece else { break };
        let piece = piece?;
        hashers.iter_mut().for_each(|hasher| hasher.update(&piece));
        if let Some(moved) = moved {
            moved.fetch_add(piece.len() as u64, Ordering::Relaxed);
        }
    }
    Ok(Some(hashers.into_iter().map(Hasher::finish).collect()))
}
