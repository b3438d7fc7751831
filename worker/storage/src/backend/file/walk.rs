//! A walk over the files below a directory. Every directory is opened from the descriptor of the first one, without
//! symbolic links, so that a directory that is replaced by a link during the walk shows nothing of the link's target.
use crate::{Directory, DirectoryError};
use rustix::fs::{FileType, Stat};
use rustix::io::Errno;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Regular files in the order of their paths, by component. Links and other entries are left out.
pub(super) struct Walk<F> {
    start: Arc<Directory>,
    /// Key of the first directory.
    prefix: PathBuf,
    /// Whether a directory may hold files that are wanted, by its key.
    wanted: F,
    levels: Vec<Level>,
    /// The directory that was used last. An open one for each level would take as many descriptors as the tree is deep.
    current: Option<(PathBuf, Arc<Directory>)>,
}

/// A directory with the names that are still to be visited, the next one last.
struct Level {
    /// Path below the first directory.
    path: PathBuf,
    names: Vec<String>,
}

/// A file that was found.
pub(super) struct Found {
    /// Key of the first directory and the path below it.
    pub(super) key: String,
    pub(super) stat: Stat,
}

impl<F: Fn(&str) -> bool> Walk<F> {
    /// Begins at a directory with this key.
    pub(super) fn new(
        start: Arc<Directory>,
        key: &str,
        wanted: F,
    ) -> Result<Walk<F>, DirectoryError> {
        let mut walk = Walk {
            start,
            prefix: key.into(),
            wanted,
            levels: Vec::new(),
            current: None,
        };
        walk.enter(PathBuf::new())?;
        Ok(walk)
    }

    /// The next file.
    pub(super) fn next(&mut self) -> Result<Option<Found>, DirectoryError> {
        while let Some(level) = self.levels.last_mut() {
            let Some(name) = level.names.pop() else {
                self.levels.pop();
                continue;
            };
            let (directory, path) = (level.path.clone(), level.path.join(&name));
            let Some(stat) = self.stat(&directory, &name)? else {
                continue;
            };
            // Paths are made of names that are text.
            let key = self.prefix.join(&path).to_string_lossy().into_owned();
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::RegularFile => return Ok(Some(Found { key, stat })),
                FileType::Directory if (self.wanted)(&key) => self.enter(path)?,
                _ => {}
            }
        }
        Ok(None)
    }

    /// Reads the names of a directory. One that is gone, or that is a link now, has none.
    fn enter(&mut self, path: PathBuf) -> Result<(), DirectoryError> {
        let Some(directory) = self.directory(&path)? else {
            return Ok(());
        };
        let failed = |source| DirectoryError::Io {
            path: directory.path().to_owned(),
            source,
        };
        // No key names what is not text.
        let text = |name: rustix::io::Result<std::ffi::OsString>| {
            name.map(|name| name.into_string().ok()).transpose()
        };
        let names = directory
            .names()
            .map_err(failed)?
            .filter_map(text)
            .collect::<Result<Vec<String>, Errno>>();
        let mut names = names.map_err(failed)?;
        names.sort_unstable_by(|a, b| b.cmp(a));
        self.levels.push(Level { path, names });
        Ok(())
    }

    /// Describes an entry, a link as itself; `None` when it is gone.
    fn stat(&mut self, path: &Path, name: &str) -> Result<Option<Stat>, DirectoryError> {
        let Some(directory) = self.directory(path)? else {
            return Ok(None);
        };
        let failed = |source| DirectoryError::Io {
            path: directory.path().join(name),
            source,
        };
        directory.entry(name.as_ref()).map_err(failed)
    }

    fn directory(&mut self, path: &Path) -> Result<Option<Arc<Directory>>, DirectoryError> {
        if let Some((_, directory)) = self.current.as_ref().filter(|(current, _)| current == path) {
            return Ok(Some(Arc::clone(directory)));
        }
        let opened = if path.as_os_str().is_empty() {
            Ok(Arc::clone(&self.start))
        } else {
            self.start.find_without_links(path)
        };
        match opened {
            Ok(directory) => {
                self.current = Some((path.to_owned(), Arc::clone(&directory)));
                Ok(Some(directory))
            }
            Err(DirectoryError::Io {
                source: Errno::NOENT,
                ..
            }) => Ok(None),
            Err(DirectoryError::NotADirectory(_) | DirectoryError::Escapes { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Root;
    use std::os::unix::fs::symlink;

    fn walk<F: Fn(&str) -> bool>(root: &Path, key: &str, wanted: F) -> Walk<F> {
        let start = Root::existing(root)
            .and_then(|root| root.find(Path::new(key)))
            .expect("opened");
        Walk::new(start, key, wanted).expect("begun")
    }

    fn all<F: Fn(&str) -> bool>(mut walk: Walk<F>) -> Vec<String> {
        std::iter::from_fn(|| walk.next().expect("listed"))
            .map(|found| found.key)
            .collect()
    }

    #[test]
    fn files_come_in_the_order_of_components_and_links_are_left_out() {
        let dir = tempfile::tempdir().expect("a temp dir");
        for name in ["a/z", "a-b/y", "a.x", "b/c/d/e", "c"] {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            std::fs::write(path, name).expect("written");
        }
        symlink("a", dir.path().join("link")).expect("linked");
        symlink("c", dir.path().join("d")).expect("linked");
        assert_eq!(
            all(walk(dir.path(), "", |_| true)),
            ["a/z", "a-b/y", "a.x", "b/c/d/e", "c"]
        );
        assert_eq!(
            all(walk(dir.path(), "b", |key| key != "b/c")),
            Vec::<String>::new()
        );
        assert_eq!(
            all(walk(dir.path(), "link", |_| true)),
            ["link/z"],
            "the directory that is asked for may be a link"
        );
    }

    #[test]
    fn directory_swapped_for_a_link_during_a_walk_shows_nothing_of_its_target() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let at = |name: &str| dir.path().join(name);
        for name in [
            "root/a/1",
            "root/a/2",
            "root/b/3",
            "root/c/d/4",
            "outside/secret",
            "outside/d/secret",
        ] {
            let path = at(name);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            std::fs::write(path, name).expect("written");
        }
        let mut walk = walk(&at("root"), "", |_| true);
        assert_eq!(
            walk.next()
                .expect("listed")
                .map(|found| found.key)
                .as_deref(),
            Some("a/1")
        );
        for (swapped, target) in [
            ("root/a", at("outside")),
            ("root/b", at("outside")),
            ("root/c", "../outside".into()),
        ] {
            std::fs::remove_dir_all(at(swapped)).expect("removed");
            symlink(target, at(swapped)).expect("linked");
        }
        assert_eq!(all(walk), Vec::<String>::new());
    }
}
