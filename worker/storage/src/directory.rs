//! Open directories. Each is opened relative to the descriptor of another one, so that neither a symbolic link in the tree
//! nor one swapped in later leads elsewhere.
use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags, fstat, openat, openat2, statat, unlinkat};
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use thiserror::Error;

const OPEN_DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC);

/// Why a destination directory cannot be used.
#[derive(Debug, Error)]
pub enum DirectoryError {
    /// A symbolic link leads out of the root, is absolute, dangles or loops.
    #[error(
        "{path} passes through a symbolic link that leaves {root}: remove the link or choose another target",
        path = path.display(), root = root.display()
    )]
    Escapes {
        /// The directory asked for.
        path: PathBuf,
        /// The root it must stay below.
        root: PathBuf,
    },
    /// The directory is below none of the roots.
    #[error("{} is outside of the `roots` of the storage settings: correct the path, or add its directory to them", .0.display())]
    Outside(PathBuf),
    /// A component of the path exists and is no directory.
    #[error("{path} cannot be a directory: a part of that path is a file", path = .0.display())]
    NotADirectory(PathBuf),
    /// The system refused.
    #[error("cannot open or create directory {path}", path = path.display())]
    Io {
        /// The directory asked for.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: Errno,
    },
}

/// An open directory below a root, or the root itself.
pub struct Directory {
    path: PathBuf,
    pub(super) fd: OwnedFd,
    device: u64,
    leftovers: OnceLock<BTreeSet<OsString>>,
}

impl Directory {
    /// Opens the directory `relative` below an open one. `path` and `root` are for messages.
    pub(super) fn open(
        above: &OwnedFd,
        relative: &Path,
        resolve: ResolveFlags,
        path: PathBuf,
        root: &Path,
    ) -> Result<Arc<Directory>, DirectoryError> {
        let name = if relative.as_os_str().is_empty() {
            Path::new(".")
        } else {
            relative
        };
        let opened = loop {
            match openat2(above, name, OPEN_DIRECTORY, Mode::empty(), resolve) {
                // The kernel could not rule out a concurrent rename above us; it asks to look again.
                Err(Errno::AGAIN | Errno::INTR) => {}
                other => break other,
            }
        };
        let fd = opened.map_err(|source| directory_error(root, &path, source))?;
        let device = fstat(&fd)
            .map_err(|source| directory_error(root, &path, source))?
            .st_dev;
        Ok(Arc::new(Directory {
            path,
            fd,
            device,
            leftovers: OnceLock::new(),
        }))
    }

    /// Opens the directory `relative` below this one. No part of it may be a symbolic link.
    pub(super) fn find_without_links(
        &self,
        relative: &Path,
    ) -> Result<Arc<Directory>, DirectoryError> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        Directory::open(
            &self.fd,
            relative,
            resolve,
            self.path.join(relative),
            &self.path,
        )
    }

    /// Its path, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Number of the filesystem it is on.
    pub fn device(&self) -> u64 {
        self.device
    }

    /// Opens an existing file for reading; a symbolic link is not followed.
    pub fn open_file(&self, name: &OsStr) -> rustix::io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        Ok(File::from(openat(&self.fd, name, flags, Mode::empty())?))
    }

    /// Describes an entry, a symbolic link as itself; `None` when there is none.
    pub fn entry(&self, name: &OsStr) -> rustix::io::Result<Option<rustix::fs::Stat>> {
        match statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// Names of all entries, in the order of the file system.
    pub fn names(&self) -> rustix::io::Result<impl Iterator<Item = rustix::io::Result<OsString>>> {
        let named = |entry: rustix::fs::DirEntry| {
            OsStr::from_bytes(entry.file_name().to_bytes()).to_owned()
        };
        let names = rustix::fs::Dir::read_from(&self.fd)?.map(move |entry| entry.map(named));
        Ok(names.filter(|name| {
            name.as_ref().is_ok_and(|name| name != "." && name != "..") || name.is_err()
        }))
    }

    /// Removes an entry; one that is already gone is fine.
    pub fn remove(&self, name: &OsStr) -> rustix::io::Result<()> {
        match unlinkat(&self.fd, name, AtFlags::empty()) {
            Err(Errno::NOENT) => Ok(()),
            other => other,
        }
    }

    /// Names of hidden entries ending in `suffix`, listed once per opening: copying into a directory of ten thousand
    /// files must not list it ten thousand times.
    pub(super) fn leftovers(&self, suffix: &str) -> &BTreeSet<OsString> {
        self.leftovers.get_or_init(|| {
            let Ok(entries) = rustix::fs::Dir::read_from(&self.fd) else {
                return BTreeSet::new();
            };
            // The bytes are compared first: nearly every name in a large directory is that of a finished file.
            let hidden = entries.filter_map(Result::ok).filter(|entry| {
                let name = entry.file_name().to_bytes();
                name.first() == Some(&b'.') && name.ends_with(suffix.as_bytes())
            });
            hidden
                .map(|entry| OsStr::from_bytes(entry.file_name().to_bytes()).to_owned())
                .collect()
        })
    }
}

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The error of a directory that could not be opened below `root`.
pub(super) fn directory_error(root: &Path, path: &Path, source: Errno) -> DirectoryError {
    match source {
        Errno::XDEV | Errno::LOOP => DirectoryError::Escapes {
            path: path.to_owned(),
            root: root.to_owned(),
        },
        Errno::NOTDIR => DirectoryError::NotADirectory(path.to_owned()),
        source => DirectoryError::Io {
            path: path.to_owned(),
            source,
        },
    }
}
