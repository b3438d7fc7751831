//! Everything that is computed of content while it streams.
use bytes::Bytes;
use protocol::failure::Failure;
use protocol::model::hash::HashAlgorithm;
use storage::hash::{Digest, Hasher};
use storage::{Checksum, ChecksumKind, RunningChecksum};

/// Content up to this size is hashed on the current thread, in bytes; more would delay other work of that thread.
const HASH_HERE_BYTES: u64 = 256 * 1024;

/// Everything that is computed of content while it streams.
pub(super) struct Measures {
    hashers: Vec<Hasher>,
    /// The checksum that the destination verifies, when it is needed.
    checksum: Option<RunningChecksum>,
    /// The checksum that the storage of the source keeps; it verifies received content.
    arriving: Option<RunningChecksum>,
}

/// Results over the whole content.
pub(super) struct Measured {
    pub(super) digests: Vec<Digest>,
    pub(super) checksum: Option<Checksum>,
    pub(super) arrived: Option<Checksum>,
    /// Whether the content was read back from the destination.
    pub(super) proven: bool,
}

impl Measures {
    /// At least one hash, to distinguish contents. `kept` is the checksum that the storage of the source keeps.
    pub(super) fn new(
        kept: Option<Checksum>,
        algorithms: &[HashAlgorithm],
        checksum: Option<ChecksumKind>,
    ) -> Measures {
        let algorithms = if algorithms.is_empty() {
            &[HashAlgorithm::Xxh128]
        } else {
            algorithms
        };
        Measures {
            hashers: algorithms
                .iter()
                .map(|algorithm| Hasher::new(*algorithm))
                .collect(),
            checksum: checksum.map(RunningChecksum::new),
            arriving: kept.map(|kept| RunningChecksum::new(kept.kind())),
        }
    }

    /// No measures, for content that another unit measures.
    pub(super) fn none() -> Measures {
        Measures {
            hashers: Vec::new(),
            checksum: None,
            arriving: None,
        }
    }

    /// Adds the next pieces.
    pub(super) fn update(&mut self, pieces: &[Bytes]) {
        pieces.iter().for_each(|piece| self.add(piece));
    }

    /// Adds the next bytes.
    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.hashers
            .iter_mut()
            .for_each(|hasher| hasher.update(bytes));
        self.checksum
            .iter_mut()
            .chain(&mut self.arriving)
            .for_each(|running| running.update(bytes));
    }

    /// Finishes all computations and returns their results.
    pub(super) fn finish(self) -> Measured {
        Measured {
            digests: self.hashers.into_iter().map(Hasher::finish).collect(),
            checksum: self.checksum.map(RunningChecksum::finish),
            arrived: self.arriving.map(RunningChecksum::finish),
            proven: false,
        }
    }
}

/// Computes on a thread for blocking work, except for little content.
pub(super) async fn off_thread<T: Send + 'static>(
    bytes: u64,
    compute: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failure> {
    if bytes <= HASH_HERE_BYTES {
        return Ok(compute());
    }
    let computed = tokio::task::spawn_blocking(compute).await;
    computed.map_err(|error| Failure::transient("worker_stopping", error.to_string()))
}
