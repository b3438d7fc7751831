//! A directory for the copy of a history while it is worked on.
use super::super::MhlError;
use std::path::{Path, PathBuf};

/// A directory of one's own; removed with what is in it.
pub(in super::super) struct Scratch(PathBuf);

impl Scratch {
    /// Makes one where the system keeps temporary files.
    pub(super) fn new() -> Result<Scratch, MhlError> {
        let name = format!(
            "showrunner-mhl-{}-{:016x}",
            std::process::id(),
            fastrand::u64(..)
        );
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).map_err(MhlError::io(&path))?;
        Ok(Scratch(path))
    }

    /// Where it is.
    pub(in super::super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(%error, path = %self.0.display(), "a scratch directory could not be removed");
        }
    }
}

/// Replaces the path of the scratch copy in a message by the location of the tree.
pub(super) fn at_place(problem: &str, scratch: &Path, place: &str) -> String {
    problem.replace(&*scratch.to_string_lossy(), place)
}
