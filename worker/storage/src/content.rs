//! Hashes of the content of an object.
use super::retry::{RetryBudget, read_all};
use super::{ObjectState, Storage, StorageError};
use crate::hash::{Digest, Hasher};
use protocol::model::hash::HashAlgorithm;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio_util::sync::CancellationToken;

/// Reads an object once, in the given state, and hashes it with every algorithm. `None` when cancelled. Adds the read
/// bytes to `moved`.
pub async fn digests(
    storage: Arc<dyn Storage>,
    state: &ObjectState,
    algorithms: &[HashAlgorithm],
    moved: Option<&AtomicU64>,
    cancel: &CancellationToken,
) -> Result<Option<Vec<Digest>>, StorageError> {
    let mut hashers: Vec<Hasher> = algorithms
        .iter()
        .map(|algorithm| Hasher::new(*algorithm))
        .collect();
    let mut reading = read_all(storage, state, RetryBudget::default());
    loop {
        let Some(piece) = cancel.run_until_cancelled(reading.next()).await else {
            return Ok(None);
        };
        let Some(piece) = piece else { break };
        let piece = piece?;
        hashers.iter_mut().for_each(|hasher| hasher.update(&piece));
        if let Some(moved) = moved {
            moved.fetch_add(piece.len() as u64, Ordering::Relaxed);
        }
    }
    Ok(Some(hashers.into_iter().map(Hasher::finish).collect()))
}
