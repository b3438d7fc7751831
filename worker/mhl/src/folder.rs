//! The folder of a history, opened once. What is read and written there goes through the descriptor: a symbolic link that
//! is put in the folder's place afterwards leads nowhere.
use super::FOLDER;
use super::model::MhlError;
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

/// A folder of a history.
pub(super) struct OwnFolder {
    /// Leads to the folder that was opened.
    path: PathBuf,
    /// What messages call it.
    shown: PathBuf,
    held: Option<OwnedFd>,
}

impl OwnFolder {
    /// The folder of the history of the tree at `root`. It may not be there yet; a symbolic link is refused.
    pub(super) fn of(root: &Path) -> Result<OwnFolder, MhlError> {
        OwnFolder::hold(root.join(FOLDER))
    }

    /// Opens a folder.
    pub(super) fn hold(shown: PathBuf) -> Result<OwnFolder, MhlError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match openat(CWD, &shown, flags, Mode::empty()) {
            Ok(fd) => {
                let through = PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()));
                // Where /proc is not mounted the name has to do.
                let path = if through.exists() { through } else { shown.clone() };
                Ok(OwnFolder { path, shown, held: Some(fd) })
            }
            Err(Errno::NOENT) => Ok(OwnFolder { path: shown.clone(), shown, held: None }),
            Err(errno) => match std::fs::symlink_metadata(&shown) {
                Ok(found) if found.is_symlink() => Err(MhlError::Linked(shown)),
                _ => Err(MhlError::io(&shown)(errno.into())),
            },
        }
    }

    /// Whether the folder was there when it was opened.
    pub(super) fn is_there(&self) -> bool {
        self.held.is_some()
    }

    /// The path of an entry of the opened folder, as long as this is kept.
    pub(super) fn entry(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The path of the opened folder, as long as this is kept.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Its path for messages.
    pub(super) fn shown(&self) -> &Path {
        &self.shown
    }

    /// An error about something in the folder, by the path that people know.
    pub(super) fn named(&self, error: MhlError) -> MhlError {
        error.seen_at(&self.path, &self.shown.to_string_lossy())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn link_put_in_the_place_of_an_open_folder_leads_nowhere() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let (root, outside) = (dir.path().join("root"), dir.path().join("outside"));
        for made in [&root.join(FOLDER), &outside] {
            std::fs::create_dir_all(made).expect("created");
        }
        let folder = OwnFolder::of(&root).expect("opened");
        std::fs::rename(root.join(FOLDER), root.join("moved")).expect("moved");
        symlink(&outside, root.join(FOLDER)).expect("linked");
        std::fs::write(folder.entry("x"), "y").expect("written");
        assert!(root.join("moved/x").is_file() && !outside.join("x").exists());
        assert!(matches!(OwnFolder::of(&root), Err(MhlError::Linked(_))));
        let error = super::super::chain::read(&folder.entry("absent.xml")).map(drop).expect_err("nothing is there");
        let named = folder.named(error).to_string();
        assert!(named.contains("root/ascmhl/absent.xml") && !named.contains("/proc/"), "{named}");
    }

    #[test]
    fn folder_that_is_missing_is_told_from_what_is_none() {
        let dir = tempfile::tempdir().expect("a temp dir");
        assert!(!OwnFolder::of(dir.path()).expect("may be missing").is_there());
        std::fs::write(dir.path().join(FOLDER), "a file").expect("written");
        assert!(matches!(OwnFolder::of(dir.path()), Err(MhlError::Io { .. })));
    }
}
