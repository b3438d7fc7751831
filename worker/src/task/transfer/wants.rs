//! What is wanted of an asset's content, wherever it is.
use crate::hash::Digest;
use protocol::failure::Failure;
use protocol::media::asset::Asset;
use protocol::wire::unit::{HashAlgorithm, TransferTask};

/// The hashes of one asset.
#[derive(Debug, Clone)]
pub(super) struct Wants {
    /// Where its bytes are, for messages.
    source: String,
    /// The hash its manifest declares.
    pub(super) declared: Option<Digest>,
    /// How the copy is proven.
    pub(super) verify: Option<HashAlgorithm>,
    /// Every hash wanted of the source, without repetition.
    pub(super) algorithms: Vec<HashAlgorithm>,
}

impl Wants {
    /// Reads what the task and the manifest ask for; `source` names the asset in messages.
    pub(super) fn new(task: &TransferTask, asset: &Asset, source: String) -> Result<Wants, Failure> {
        let declared = match asset.hash.as_deref().filter(|hash| !hash.trim().is_empty()) {
            Some(text) => Some(Digest::parse(text).map_err(|error| Failure::permanent("hash_invalid", error))?),
            None => None,
        };
        let mut algorithms: Vec<HashAlgorithm> = task.hashes.clone();
        algorithms.extend(task.verify);
        algorithms.extend(declared.as_ref().map(|digest| digest.algorithm));
        algorithms.sort_unstable();
        algorithms.dedup();
        Ok(Wants { source, declared, verify: task.verify, algorithms })
    }

    /// Checks what was read against what the manifest declares.
    pub(super) fn check_declared(&self, digests: &[Digest]) -> Result<(), Failure> {
        let Some(declared) = &self.declared else {
            return Ok(());
        };
        match digests.iter().find(|digest| digest.algorithm == declared.algorithm) {
            Some(found) if found == declared => Ok(()),
            found => {
                let found = found.map_or("nothing".to_owned(), Digest::to_string);
                let source = &self.source;
                let message = format!(
                    "source {source} hashes to {found}, declared is {declared}: deliver the right file or correct the manifest"
                );
                Err(Failure::permanent("hash_mismatch", message))
            }
        }
    }

    /// Checks the size of the source against what the manifest declares.
    pub(super) fn check_size(&self, asset: &Asset, bytes: u64) -> Result<(), Failure> {
        match asset.bytes {
            Some(declared) if declared != bytes => {
                let source = &self.source;
                let message = format!(
                    "source {source} has {bytes} bytes, declared are {declared}: deliver the right file or correct the manifest"
                );
                Err(Failure::permanent("size_mismatch", message))
            }
            _ => Ok(()),
        }
    }

    /// The digest a fact reports: the verifying one, else the declared one's algorithm, else any that was asked for.
    pub(super) fn reported(&self, digests: &[Digest]) -> Option<String> {
        let wanted = self.verify.or(self.declared.as_ref().map(|digest| digest.algorithm));
        let chosen = digests.iter().find(|digest| Some(digest.algorithm) == wanted);
        let asked = || digests.iter().find(|digest| self.algorithms.contains(&digest.algorithm));
        chosen.or_else(asked).map(Digest::to_string)
    }
}
