//! Histories of trees in object storage: the generations and the chain are objects below the tree, as they are files
//! below a directory, and a tree that is downloaded is one that every other tool reads.
//!
//! The history is worked on as a copy in a scratch directory; what is new goes up afterwards, first the generation,
//! which must not be there, then the chain, which must still be the one that was read. So of two that continue a history
//! at the same time one wins, and what the other wrote is listed nowhere and swept.
//!
//! A listing is ordered by key, so all keys below a directory are adjacent. A tree is therefore walked page by page, and
//! memory holds only the directories above the current key.
mod generation;
mod import;
mod legacy;
mod mirror;
mod records;
mod scratch;
mod seal;
mod verify;
mod walk;

pub(super) use import::{fetched_one, has_chain};
pub use import::{import, import_into, import_to_directory};
pub use records::copies;
pub use seal::{seal, seal_copy};
pub use verify::verify;

use super::MhlError;
use protocol::model::hash::HashAlgorithm;
use std::sync::Arc;
use storage::content::digests;
use storage::hash::Digest;
use storage::{ObjectState, Storage};
use tokio_util::sync::CancellationToken;

/// A tree in object storage.
#[derive(Clone)]
pub struct ObjectTree {
    storage: Arc<dyn Storage>,
    /// What keys in the tree begin with: empty, or ending in `/`.
    prefix: String,
}

impl ObjectTree {
    /// The tree below `key`; the whole place when it is empty.
    pub fn new(storage: Arc<dyn Storage>, key: &str) -> ObjectTree {
        let trimmed = key.trim_matches('/');
        let prefix = if trimmed.is_empty() {
            String::new()
        } else {
            format!("{trimmed}/")
        };
        ObjectTree { storage, prefix }
    }

    /// Where it is, without a slash at its end.
    pub fn place(&self) -> String {
        self.storage
            .location(&self.prefix)
            .trim_end_matches('/')
            .to_owned()
    }

    /// The tree below a directory of this one.
    fn below(&self, directory: &str) -> ObjectTree {
        ObjectTree::new(Arc::clone(&self.storage), &self.key(directory))
    }

    fn key(&self, relative: &str) -> String {
        format!("{}{relative}", self.prefix)
    }

    /// Name of the directory `path` in it, or of the tree itself.
    fn name(&self, path: &str) -> String {
        let place = self.place();
        let full = if path.is_empty() {
            place.as_str()
        } else {
            path
        };
        full.rsplit('/')
            .next()
            .filter(|name| !name.is_empty())
            .unwrap_or("root")
            .to_owned()
    }
}

/// Hashes an object in the state it was listed in.
async fn hash(
    storage: &Arc<dyn Storage>,
    state: &ObjectState,
    algorithms: &[HashAlgorithm],
    cancel: &CancellationToken,
) -> Result<Vec<Digest>, MhlError> {
    let digests = digests(Arc::clone(storage), state, algorithms, None, cancel).await?;
    digests.ok_or(MhlError::Cancelled)
}

/// Runs what blocks on a thread that may be blocked.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, MhlError> + Send + 'static,
) -> Result<T, MhlError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(MhlError::Cancelled),
    }
}
