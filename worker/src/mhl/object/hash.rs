//! Hashes of objects that nobody copies at the moment.
use super::super::MhlError;
use crate::hash::{Digest, Hasher};
use crate::storage::persist::{Patience, read_on};
use crate::storage::{ObjectState, Storage};
use protocol::wire::unit::HashAlgorithm;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Reads an object once, in the state it was listed in, and hashes it with every algorithm.
pub(super) async fn hash(
    storage: Arc<dyn Storage>,
    state: &ObjectState,
    algorithms: &[HashAlgorithm],
    cancel: &CancellationToken,
) -> Result<Vec<Digest>, MhlError> {
    let mut hashers: Vec<Hasher> = algorithms.iter().map(|algorithm| Hasher::new(*algorithm)).collect();
    let same = state.version.clone();
    let mut reading = read_on(storage, state.key.clone(), 0..state.bytes, same, Patience::default());
    while let Some(piece) = cancel.run_until_cancelled(reading.next()).await.ok_or(MhlError::Cancelled)? {
        let piece = piece?;
        hashers.iter_mut().for_each(|hasher| hasher.update(&piece));
    }
    Ok(hashers.into_iter().map(Hasher::finish).collect())
}
