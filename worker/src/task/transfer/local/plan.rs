//! The plan of one asset's copy, made before anything is opened.
use crate::task::transfer::requirements::ContentRequirements;
use ::mhl::journal;
use protocol::failure::Failure;
use protocol::media::asset::Asset;
use protocol::media::template;
use protocol::wire::unit::TransferTask;
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

/// Fails when the root lies inside the library that is copied: the next listing would find the copies and copy them
/// too. The names may differ, where links lead there.
pub(super) fn outside_library(root: &Path, assets: &[Asset]) -> Result<(), Failure> {
    let Some(asset) = assets.first().filter(|asset| asset.is_in_listed_library()) else { return Ok(()) };
    let library = local_path(&asset.location).ok().and_then(|source| {
        let library = source.to_str()?.strip_suffix(asset.path.as_str())?;
        std::fs::canonicalize(library).ok()
    });
    let inside = library.filter(|library| std::fs::canonicalize(root).is_ok_and(|root| root.starts_with(library)));
    match inside {
        Some(library) => Err(Failure::permanent(
            "target_invalid",
            format!(
                "target {} lies inside the library {}, whose next listing would copy the copies: change the target",
                root.display(),
                library.display()
            ),
        )),
        None => Ok(()),
    }
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
        let directory = relative.parent().unwrap_or(Path::new("")).to_owned();
        let requirements = ContentRequirements::new(task, asset, source.display().to_string())?;
        Ok(Plan { source, directory, name, requirements })
    }
}

impl Deref for Plan {
    type Target = ContentRequirements;

    fn deref(&self) -> &ContentRequirements {
        &self.requirements
    }
}
