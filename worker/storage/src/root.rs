//! Roots of destinations. Everything below a root is opened relative to the root's descriptor with the kernel's
//! `RESOLVE_BENEATH`, so that neither a symbolic link in the tree nor one swapped in later leads a write outside.
use super::directory::{Directory, DirectoryError, directory_error};
use super::roots::Roots;
use parking_lot::Mutex;
use rustix::fs::{Mode, OFlags, ResolveFlags, mkdirat, openat2};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// Mode of a new directory, before the umask.
const NEW_DIRECTORY: Mode = Mode::from_raw_mode(0o777);

/// The directory nothing may be written above.
pub struct Root {
    path: PathBuf,
    fd: OwnedFd,
    /// Directories that got a new entry by the creation of a child and are not known to be on disk yet.
    created_in: Mutex<Vec<Arc<Directory>>>,
}

impl Root {
    /// Opens a root, creating it and its parents. The root's own path may contain symbolic links: the operator chose
    /// it.
    pub fn create(path: &Path) -> Result<Root, DirectoryError> {
        if !path.exists() {
            let failed = |error: io::Error| {
                let source = Errno::from_io_error(&error).unwrap_or(Errno::IO);
                directory_error(path, path, source)
            };
            create_durably(path).map_err(failed)?;
        }
        Root::existing(path)
    }

    /// Opens a root that exists.
    pub fn existing(path: &Path) -> Result<Root, DirectoryError> {
        let failed = |error: io::Error| {
            let source = Errno::from_io_error(&error).unwrap_or(Errno::IO);
            directory_error(path, path, source)
        };
        let fd = File::open(path).map_err(failed)?.into();
        let root = Root {
            path: path.to_owned(),
            fd,
            created_in: Mutex::default(),
        };
        root.find(Path::new(""))?;
        Ok(root)
    }

    /// Opens a root, creating it, below the directories that local files must be below: no symbolic link between such a
    /// directory and the root leads elsewhere.
    pub fn create_within(path: &Path, roots: &Roots) -> Result<Root, DirectoryError> {
        match Root::outer(path, roots)? {
            None => Root::create(path),
            Some((declared, below)) => {
                let outer = Root::create(declared)?;
                let inner = outer.directory(below)?;
                outer.narrowed(path, &inner)
            }
        }
    }

    /// The same for a root that exists.
    pub fn existing_within(path: &Path, roots: &Roots) -> Result<Root, DirectoryError> {
        match Root::outer(path, roots)? {
            None => Root::existing(path),
            Some((declared, below)) => {
                let outer = Root::existing(declared)?;
                let inner = outer.find(below)?;
                outer.narrowed(path, &inner)
            }
        }
    }

    /// The declared root that a path is below, and the rest of the path; none where the path is free.
    fn outer<'a>(
        path: &'a Path,
        roots: &'a Roots,
    ) -> Result<Option<(&'a Path, &'a Path)>, DirectoryError> {
        let escapes = |_| DirectoryError::Outside(path.to_owned());
        let Some(declared) = roots.above(path).map_err(escapes)? else {
            return Ok(None);
        };
        let below = path.strip_prefix(declared).unwrap_or(path);
        Ok((!below.as_os_str().is_empty()).then_some((declared, below)))
    }

    /// A directory of this root as a root of its own.
    fn narrowed(&self, path: &Path, inner: &Directory) -> Result<Root, DirectoryError> {
        let failed = |error: io::Error| {
            let source = Errno::from_io_error(&error).unwrap_or(Errno::IO);
            directory_error(&self.path, path, source)
        };
        let fd = inner.fd.try_clone().map_err(failed)?;
        Ok(Root {
            path: path.to_owned(),
            fd,
            created_in: Mutex::new(self.take_created_in()),
        })
    }

    /// The path it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the directory `relative` below the root, if it is there.
    pub fn find(&self, relative: &Path) -> Result<Arc<Directory>, DirectoryError> {
        let path = if relative.as_os_str().is_empty() {
            self.path.clone()
        } else {
            self.path.join(relative)
        };
        Directory::open(&self.fd, relative, ResolveFlags::BENEATH, path, &self.path)
    }

    /// Opens a file for reading; links are followed as long as they stay below the root.
    pub(super) fn open_file(&self, relative: &Path) -> rustix::io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        loop {
            match openat2(
                &self.fd,
                relative,
                flags,
                Mode::empty(),
                ResolveFlags::BENEATH,
            ) {
                Err(Errno::AGAIN | Errno::INTR) => {}
                other => return other.map(File::from),
            }
        }
    }

    /// Opens the directory `relative` (no `..`) below the root, creating what is missing.
    pub fn directory(&self, relative: &Path) -> Result<Arc<Directory>, DirectoryError> {
        if relative
            .components()
            .any(|part| !matches!(part, Component::Normal(_) | Component::CurDir))
        {
            return Err(DirectoryError::Escapes {
                path: self.path.join(relative),
                root: self.path.clone(),
            });
        }
        match self.find(relative) {
            Err(DirectoryError::Io {
                source: Errno::NOENT,
                ..
            }) => self.create_below(relative),
            other => other,
        }
    }

    /// Takes the directories that children were created in since the last call, to be made durable with them.
    pub fn take_created_in(&self) -> Vec<Arc<Directory>> {
        std::mem::take(&mut self.created_in.lock())
    }

    fn create_below(&self, relative: &Path) -> Result<Arc<Directory>, DirectoryError> {
        let mut parent = self.find(Path::new(""))?;
        let mut so_far = PathBuf::new();
        for part in relative.components() {
            so_far.push(part);
            let child = match self.find(&so_far) {
                Err(DirectoryError::Io {
                    source: Errno::NOENT,
                    ..
                }) => {
                    match mkdirat(&parent.fd, part.as_os_str(), NEW_DIRECTORY) {
                        Ok(()) => self.created_in.lock().push(Arc::clone(&parent)),
                        // Another worker was first, or a dangling link is in the way: opening it tells.
                        Err(Errno::EXIST) => {}
                        Err(source) => {
                            return Err(directory_error(
                                &self.path,
                                &self.path.join(&so_far),
                                source,
                            ));
                        }
                    }
                    match self.find(&so_far) {
                        Err(DirectoryError::Io {
                            source: Errno::NOENT,
                            path,
                        }) => {
                            return Err(DirectoryError::Escapes {
                                path,
                                root: self.path.clone(),
                            });
                        }
                        other => other?,
                    }
                }
                other => other?,
            };
            parent = child;
        }
        Ok(parent)
    }
}

/// Creates a directory and its parents, each entry on disk before the next is made in it.
fn create_durably(path: &Path) -> io::Result<()> {
    let Some(parent) = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
    else {
        return Ok(());
    };
    if !parent.exists() {
        create_durably(parent)?;
    }
    match std::fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
        Ok(()) => File::open(parent)?.sync_all(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn creates_what_is_missing_and_remembers_where() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let root = Root::create(&dir.path().join("a/b")).expect("created");
        let deep = root.directory(Path::new("x/y/z")).expect("created");
        assert!(deep.path().is_dir());
        assert_eq!(root.take_created_in().len(), 3);
        root.directory(Path::new("x/y/z")).expect("exists");
        assert!(root.take_created_in().is_empty());
    }

    #[test]
    fn links_may_move_inside_the_root_but_never_out_of_it() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let outside = dir.path().join("outside");
        std::fs::create_dir(&outside).expect("created");
        let root = Root::create(&dir.path().join("root")).expect("created");
        root.directory(Path::new("real")).expect("created");
        symlink("real", root.path().join("inside")).expect("linked");
        symlink("../outside", root.path().join("relative")).expect("linked");
        symlink(&outside, root.path().join("absolute")).expect("linked");
        symlink("nowhere", root.path().join("dangling")).expect("linked");
        symlink("loop", root.path().join("loop")).expect("linked");
        root.directory(Path::new("inside/sub"))
            .expect("stays below");
        for name in [
            "relative",
            "relative/sub",
            "absolute/sub",
            "dangling/sub",
            "loop/sub",
            "../outside",
        ] {
            let refused = root.directory(Path::new(name));
            assert!(
                matches!(refused, Err(DirectoryError::Escapes { .. })),
                "{name}"
            );
        }
        assert_eq!(std::fs::read_dir(&outside).expect("readable").count(), 0);
    }

    #[test]
    fn a_file_in_the_way_is_named() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let root = Root::create(dir.path()).expect("opened");
        std::fs::write(dir.path().join("file"), b"x").expect("written");
        let refused = root.directory(Path::new("file/sub"));
        assert!(matches!(refused, Err(DirectoryError::NotADirectory(_))));
        assert!(matches!(
            Root::create(&dir.path().join("file")),
            Err(DirectoryError::NotADirectory(_))
        ));
    }
}
