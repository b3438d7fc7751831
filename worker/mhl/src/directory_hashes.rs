//! The hashes of directories that a generation records.
use super::model::Recorded;
use protocol::model::hash::HashAlgorithm;
use std::collections::HashMap;
use storage::hash::Digest;

/// Hashes over the directories of a tree, as the last generation has them.
#[derive(Debug, Default)]
pub(super) struct DirectoryHashes {
    /// The algorithm that is compared; a generation may have several.
    pub(super) algorithm: Option<HashAlgorithm>,
    /// Content hash and, where it is recorded, structure hash of each directory; the root is the empty path.
    pub(super) directories: HashMap<String, (Digest, Option<Digest>)>,
}

impl DirectoryHashes {
    /// Takes over the hashes of a directory, in the algorithm of the first that comes.
    pub(super) fn add(&mut self, path: &str, content: &[Recorded], structure: &[Recorded]) {
        let Some(algorithm) = self
            .algorithm
            .or(content.first().map(|first| first.digest.algorithm))
        else {
            return;
        };
        self.algorithm = Some(algorithm);
        let of = |recorded: &[Recorded]| {
            recorded
                .iter()
                .map(|recorded| &recorded.digest)
                .find(|digest| digest.algorithm == algorithm)
                .cloned()
        };
        if let Some(content) = of(content) {
            self.directories
                .insert(path.to_owned(), (content, of(structure)));
        }
    }
}
