//! A file of the tree on its way into a generation.
use super::journal::Record;
use protocol::model::hash::HashAlgorithm;
use storage::hash::Digest;

/// A file as the scan of the tree found it.
pub(super) struct ScannedFile {
    /// Relative to the root of the history.
    pub(super) path: String,
    pub(super) bytes: u64,
    pub(super) modified: jiff::Timestamp,
    /// In a bucket: what the other side calls its state.
    pub(super) state: Option<String>,
    /// What a journal says of exactly this state of it.
    pub(super) record: Option<Record>,
}

/// What is to be done about a file.
pub(super) enum EntryAction {
    /// There is nothing new to say. Its recorded hash goes into those of its directories.
    Unchanged {
        digest: Digest,
        /// It failed in an earlier generation and was not restored.
        failed: bool,
    },
    /// It is recorded once it has been hashed with what is missing.
    Record(PendingEntry),
}

/// A file on its way into the generation.
pub(super) struct PendingEntry {
    pub(super) path: String,
    pub(super) bytes: u64,
    pub(super) modified: jiff::Timestamp,
    pub(super) state: Option<String>,
    pub(super) digests: Vec<Digest>,
    /// When its hashes were computed.
    pub(super) date: String,
    /// Algorithms it must still be hashed with.
    pub(super) wanted: Vec<HashAlgorithm>,
}

/// What was said of a file.
pub(super) struct EntryOutcome {
    /// Its hash in the algorithm of the seal.
    pub(super) digest: Digest,
    /// What disagrees with the history, or with that of its source.
    pub(super) failed: Vec<String>,
    /// It contradicts the history of its source, and is not recorded.
    pub(super) refused: bool,
}
