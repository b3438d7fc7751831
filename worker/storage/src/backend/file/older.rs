//! Older versions of replaced files: each gets a second name below the root before it loses its first.
use super::error_map::io_error;
use super::{FileStorage, version};
use crate::{ObjectState, Precondition, StorageError};
use rustix::fs::{AtFlags, linkat};
use rustix::io::Errno;
use std::path::Path;

/// Where older versions lie: `<root>/.showrunner/versions/<key>/<time of change>-<inode>.<extension>`.
const VERSIONS: &str = ".showrunner/versions";

impl FileStorage {
    /// Gives the file at a key a second name. A second call finds the same name.
    pub(super) fn keep_now(&self, state: &ObjectState) -> Result<Precondition, StorageError> {
        let location = self.at(&state.key);
        let (directory, name) = self.find(&state.key, false)?;
        let failed = |errno| io_error(&location, "keep an older version of", errno);
        let now = directory.entry(name.as_ref()).map_err(failed)?;
        let now = now.ok_or_else(|| StorageError::NotFound(location.clone()))?;
        if version(&now) != state.version {
            return Err(StorageError::precondition(location, "it has changed"));
        }
        let extension = Path::new(&name)
            .extension()
            .and_then(|extension| extension.to_str());
        let micros = state.modified.map_or(0, |at| at.0);
        let at = jiff::Timestamp::from_microsecond(micros)
            .unwrap_or_default()
            .strftime("%Y%m%dT%H%M%S%.6fZ");
        let dot = if extension.is_some() { "." } else { "" };
        let older = format!(
            "{VERSIONS}/{}/{at}-{:x}{dot}{}",
            state.key,
            now.st_ino,
            extension.unwrap_or_default()
        );
        let (versions, older) = self.find(&older, true)?;
        match linkat(&directory, &name, &versions, &older, AtFlags::empty()) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(Errno::PERM | Errno::OPNOTSUPP | Errno::XDEV | Errno::MLINK | Errno::NOSYS) => {
                return Err(StorageError::unsupported(
                    location,
                    "its filesystem gives files no second name",
                ));
            }
            Err(errno) => return Err(failed(errno)),
        }
        // Another file may have come under the name in between; then the link is of that one, and stays, harmless.
        let kept = versions.entry(older.as_ref()).map_err(failed)?;
        if kept.is_none_or(|kept| version(&kept) != state.version) {
            return Err(StorageError::precondition(location, "it has changed"));
        }
        self.sync(|| rustix::fs::fsync(&versions)).map_err(failed)?;
        Ok(Precondition::IfMatch(state.version.clone()))
    }
}
