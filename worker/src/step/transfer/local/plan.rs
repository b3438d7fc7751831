//! The plan of one asset's copy, made before anything is opened.
use crate::step::transfer::requirements::ContentRequirements;
use ::mhl::journal;
use protocol::failure::Failure;
use protocol::media::asset::Asset;
use protocol::media::template;
use protocol::wire::step::transfer::TransferTask;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use storage::local_path;

/// One asset's copy.
#[derive(Debug)]
pub(super) struct Plan {
    /// Path of the source.
    pub(super) source: PathBuf,
    /// Directory of the destination, relative to the root.
    pub(super) directory: PathBuf,
    /// File name of the destination.
    pub(super) name: String,
    /// Requirements on the content.
    requirements: ContentRequirements,
}

/// The root directory of a target. Nothing is written above it.
pub(crate) fn root(task: &TransferTask) -> Result<PathBuf, Failure> {
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
        let expanded =
            template::expand(&task.to, asset).map_err(|error| invalid(error.to_string()))?;
        let target = local_path(&expanded).map_err(|error| invalid(error.to_string()))?;
        let relative = target
            .strip_prefix(root)
            .map_err(|_| invalid(format!("target {expanded:?} leaves its root")))?;
        if expanded.ends_with('/') || relative.starts_with(journal::DIRECTORY) {
            let message = format!(
                "target {expanded:?} names a directory that is not for assets: change the target"
            );
            return Err(invalid(message));
        }
        let name = relative.file_name().and_then(|name| name.to_str());
        let name = name
            .ok_or_else(|| invalid(format!("target {expanded:?} has no file name")))?
            .to_owned();
        let directory = relative.parent().unwrap_or(Path::new("")).to_owned();
        let requirements =
            ContentRequirements::of_transfer(task, asset, source.display().to_string())?;
        Ok(Plan {
            source,
            directory,
            name,
            requirements,
        })
    }
}

impl Deref for Plan {
    type Target = ContentRequirements;

    fn deref(&self) -> &ContentRequirements {
        &self.requirements
    }
}
