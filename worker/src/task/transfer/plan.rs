//! What is wanted of one asset, decided before anything is opened.
use crate::hash::Digest;
use crate::mhl::journal;
use crate::storage::local_path;
use protocol::failure::Failure;
use protocol::media::asset::Asset;
use protocol::media::template;
use protocol::wire::unit::{HashAlgorithm, TransferTask};
use std::path::{Path, PathBuf};

/// One asset's copy.
#[derive(Debug)]
pub(super) struct Plan {
    /// Where its bytes are.
    pub(super) source: PathBuf,
    /// Directory of the destination, relative to the root.
    pub(super) directory: PathBuf,
    /// File name of the destination.
    pub(super) name: String,
    /// The hash its manifest declares.
    pub(super) declared: Option<Digest>,
    /// How the copy is proven.
    pub(super) verify: Option<HashAlgorithm>,
    /// Every hash wanted of the source, without repetition.
    pub(super) algorithms: Vec<HashAlgorithm>,
}

/// The directory nothing of a task may be written above.
pub(super) fn root(task: &TransferTask) -> Result<PathBuf, Failure> {
    let invalid = |message: String| Failure::permanent("target_invalid", message);
    template::check(&task.to).map_err(|error| invalid(error.to_string()))?;
    let root = match template::root(&task.to) {
        // `file:/{path}`: the root is the filesystem's own.
        "file:" | "file://" => "file:/",
        root => root,
    };
    local_path(root).map_err(|error| invalid(format!("target {:?}: {error}", task.to)))
}

impl Plan {
    /// Decides an asset's copy below `root`.
    pub(super) fn new(task: &TransferTask, root: &Path, asset: &Asset) -> Result<Plan, Failure> {
        let source = local_path(&asset.location)
            .map_err(|error| Failure::permanent("location_unsupported", error.to_string()))?;
        let invalid = |message: String| Failure::permanent("target_invalid", message);
        let expanded = template::expand(&task.to, asset).map_err(|error| invalid(error.to_string()))?;
        let target = local_path(&expanded).map_err(|error| invalid(error.to_string()))?;
        let relative =
            target.strip_prefix(root).map_err(|_| invalid(format!("target {expanded:?} leaves its root")))?;
        if expanded.ends_with('/') || relative.starts_with(journal::DIRECTORY) {
            let message = format!("target {expanded:?} names a directory that is not for assets: change the target");
            return Err(invalid(message));
        }
        let name = relative.file_name().and_then(|name| name.to_str());
        let name = name.ok_or_else(|| invalid(format!("target {expanded:?} has no file name")))?.to_owned();
        let declared = match asset.hash.as_deref().filter(|hash| !hash.trim().is_empty()) {
            Some(text) => Some(Digest::parse(text).map_err(|error| Failure::permanent("hash_invalid", error))?),
            None => None,
        };
        let mut algorithms: Vec<HashAlgorithm> = task.hashes.clone();
        algorithms.extend(task.verify);
        algorithms.extend(declared.as_ref().map(|digest| digest.algorithm));
        algorithms.sort_unstable();
        algorithms.dedup();
        let directory = relative.parent().unwrap_or(Path::new("")).to_owned();
        Ok(Plan { source, directory, name, declared, verify: task.verify, algorithms })
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
                let source = self.source.display();
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
                let source = self.source.display();
                let message = format!(
                    "source {source} has {bytes} bytes, declared are {declared}: deliver the right file or correct the manifest"
                );
                Err(Failure::permanent("size_mismatch", message))
            }
            _ => Ok(()),
        }
    }
}

/// The digest a fact reports: the verifying one, else the declared one's algorithm, else any.
pub(super) fn reported(plan: &Plan, digests: &[Digest]) -> Option<String> {
    let wanted = plan.verify.or(plan.declared.as_ref().map(|digest| digest.algorithm));
    let chosen = digests.iter().find(|digest| Some(digest.algorithm) == wanted).or(digests.first());
    chosen.map(Digest::to_string)
}
