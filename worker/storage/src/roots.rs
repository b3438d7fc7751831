//! The directories that local files must be below: the one gate for every path that a job, a manifest, a sidecar or a
//! QC step names. Files are opened relative to the descriptor of a root with the kernel's `RESOLVE_BENEATH`, so that a
//! symbolic link that is swapped in later leads nowhere else.
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, openat, openat2};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use thiserror::Error;

/// Why a local path is not opened.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum RootError {
    /// The path is below none of the roots, or a symbolic link on it leaves its root.
    #[error("{} is outside of the `roots` of the storage settings: correct the path, or add its directory to them", .0.display())]
    Outside(PathBuf),
    /// A symbolic link on the path leads out of the directory that the path was listed in.
    #[error(
        "{path} is no longer below {base}: a symbolic link has replaced a part of that path",
        path = path.display(), base = base.display()
    )]
    Escapes {
        /// The path that was to be opened.
        path: PathBuf,
        /// The directory that was listed.
        base: PathBuf,
    },
    /// The entry is no regular file.
    #[error("{} is {kind}, not a file: correct its location", path.display())]
    Kind {
        /// Path of the entry.
        path: PathBuf,
        /// What it is.
        kind: &'static str,
    },
    /// The system refused.
    #[error("{}: {errno}", path.display())]
    System {
        /// Path of the file or directory.
        path: PathBuf,
        /// What the system said.
        errno: Errno,
    },
}

impl RootError {
    /// The same as an error of the system, for callers that speak of those.
    pub fn errno(&self) -> Errno {
        match self {
            RootError::Outside(_) | RootError::Escapes { .. } => Errno::ACCESS,
            RootError::Kind { .. } => Errno::INVAL,
            RootError::System { errno, .. } => *errno,
        }
    }
}

/// Roots of local files; without any, files may be anywhere.
#[derive(Debug, Clone, Default)]
pub struct Roots(Arc<[PathBuf]>);

impl Roots {
    /// With these directories, each absolute.
    pub fn new(paths: &[PathBuf]) -> Roots {
        Roots(paths.into())
    }

    /// Whether files may be anywhere.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The longest root that a path is below by its name; `None` where files may be anywhere.
    pub fn above(&self, path: &Path) -> Result<Option<&Path>, RootError> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let longest = self
            .0
            .iter()
            .filter(|root| path.starts_with(root))
            .max_by_key(|root| root.as_os_str().len());
        longest
            .map(|root| Some(root.as_path()))
            .ok_or_else(|| RootError::Outside(path.to_owned()))
    }

    /// Opens a regular file for reading. Never waits on a pipe and never touches a device.
    pub fn open_file(&self, path: &Path) -> Result<File, RootError> {
        open_regular(path, |flags| self.open(path, flags))
    }

    /// The same for a file that was listed below a directory: symbolic links on the path must stay below that directory
    /// too, also those that have replaced a directory since it was listed.
    pub fn open_file_below(&self, base: &Path, path: &Path) -> Result<File, RootError> {
        self.base(base)?.open_file(path)
    }

    /// Opens a directory for reading.
    pub fn open_directory(&self, path: &Path) -> Result<OwnedFd, RootError> {
        self.open(path, OFlags::RDONLY | OFlags::DIRECTORY)
    }

    /// Describes what a path listed below a directory leads to, symbolic links followed as far as they stay below it.
    pub fn stat_below(&self, base: &Path, path: &Path) -> Result<rustix::fs::Stat, RootError> {
        self.base(base)?.stat(path)
    }

    /// Proves that a path, every symbolic link on it followed, is below its root.
    pub fn check(&self, path: &Path) -> Result<(), RootError> {
        if self.0.is_empty() {
            Ok(())
        } else {
            self.open(path, OFlags::PATH).map(drop)
        }
    }

    /// The same for a path that need not be there yet: what there is of it must be below its root.
    pub fn check_target(&self, path: &Path) -> Result<(), RootError> {
        if self.above(path)?.is_none() {
            return Ok(());
        }
        let missing = |error: &RootError| {
            matches!(
                error,
                RootError::System {
                    errno: Errno::NOENT | Errno::NOTDIR,
                    ..
                }
            )
        };
        let inside = |place: &&Path| self.above(place).is_ok();
        for place in path.ancestors().take_while(inside) {
            match self.check(place) {
                Err(error) if missing(&error) => {}
                checked => return checked,
            }
        }
        Ok(())
    }

    fn open(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, RootError> {
        let system = |errno| RootError::System {
            path: path.to_owned(),
            errno,
        };
        let flags = flags | OFlags::CLOEXEC;
        let Some(root) = self.above(path)? else {
            return openat(CWD, path, flags, Mode::empty()).map_err(system);
        };
        // The root's own path may hold symbolic links: the operator chose it.
        let directory = openat(
            CWD,
            root,
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        );
        let directory = directory.map_err(system)?;
        let below = path.strip_prefix(root).unwrap_or(path);
        match beneath(&directory, below, flags, ResolveFlags::BENEATH) {
            Err(Errno::XDEV) => through_link(path, root, &directory, flags)
                .unwrap_or_else(|| Err(RootError::Outside(path.to_owned()))),
            opened => opened.map_err(system),
        }
    }

    /// Opens a directory that was listed, for the files below it.
    pub fn base(&self, path: &Path) -> Result<Base, RootError> {
        Ok(Base {
            path: path.to_owned(),
            directory: self.open(path, OFlags::PATH | OFlags::DIRECTORY)?,
        })
    }
}

/// A directory that was listed, open. Files below it are opened relative to its descriptor: symbolic links on their
/// paths must stay below it, also those that have replaced a directory since the listing.
pub struct Base {
    path: PathBuf,
    directory: OwnedFd,
}

impl Base {
    /// Opens a regular file below the directory for reading. Never waits on a pipe and never touches a device.
    pub fn open_file(&self, path: &Path) -> Result<File, RootError> {
        open_regular(path, |flags| self.open(path, flags))
    }

    /// Describes what a path below the directory leads to, symbolic links followed as far as they stay below it.
    pub fn stat(&self, path: &Path) -> Result<rustix::fs::Stat, RootError> {
        let looked = self.open(path, OFlags::PATH)?;
        fstat(&looked).map_err(|errno| RootError::System {
            path: path.to_owned(),
            errno,
        })
    }

    fn open(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, RootError> {
        let system = |errno| RootError::System {
            path: path.to_owned(),
            errno,
        };
        let escapes = || RootError::Escapes {
            path: path.to_owned(),
            base: self.path.clone(),
        };
        let below = path.strip_prefix(&self.path).map_err(|_| escapes())?;
        let flags = flags | OFlags::CLOEXEC;
        match beneath(&self.directory, below, flags, ResolveFlags::BENEATH) {
            Err(Errno::XDEV) => through_link(path, &self.path, &self.directory, flags)
                .unwrap_or_else(|| match real(path) {
                    Ok(_) => Err(escapes()),
                    // The link leads nowhere.
                    Err(error) => Err(system(Errno::from_io_error(&error).unwrap_or(Errno::XDEV))),
                }),
            opened => opened.map_err(system),
        }
    }
}

/// A symbolic link with an absolute target counts as leaving a directory even where it stays below it. Such a path is
/// opened by its real name, on which no link may lie any more. `None` when the real name is outside.
fn through_link(
    path: &Path,
    base: &Path,
    directory: &OwnedFd,
    flags: OFlags,
) -> Option<Result<OwnedFd, RootError>> {
    let (real, real_base) = (real(path).ok()?, real(base).ok()?);
    let below = real.strip_prefix(&real_base).ok()?;
    match beneath(
        directory,
        below,
        flags,
        ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS,
    ) {
        Err(Errno::XDEV | Errno::LOOP) => None,
        opened => Some(opened.map_err(|errno| RootError::System {
            path: path.to_owned(),
            errno,
        })),
    }
}

/// Opens a path, which must name a regular file, first without touching what is there.
fn open_regular(
    path: &Path,
    open: impl Fn(OFlags) -> Result<OwnedFd, RootError>,
) -> Result<File, RootError> {
    let looked = open(OFlags::PATH)?;
    regular(path, &looked)?;
    let file = open(OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)?;
    // Another file may have replaced it since.
    regular(path, &file)?;
    Ok(File::from(file))
}

fn real(path: &Path) -> io::Result<PathBuf> {
    std::fs::canonicalize(path)
}

fn beneath(
    directory: &OwnedFd,
    below: &Path,
    flags: OFlags,
    resolve: ResolveFlags,
) -> rustix::io::Result<OwnedFd> {
    let below = if below.as_os_str().is_empty() {
        Path::new(".")
    } else {
        below
    };
    loop {
        match openat2(
            directory,
            below,
            flags,
            Mode::empty(),
            resolve | ResolveFlags::NO_MAGICLINKS,
        ) {
            // The kernel asks for a retry after a concurrent rename along the path.
            Err(Errno::AGAIN | Errno::INTR) => {}
            opened => return opened,
        }
    }
}

fn regular(path: &Path, file: &OwnedFd) -> Result<(), RootError> {
    let stat = fstat(file).map_err(|errno| RootError::System {
        path: path.to_owned(),
        errno,
    })?;
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => return Ok(()),
        FileType::Directory => "a directory",
        FileType::Fifo => "a named pipe",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        FileType::Symlink | FileType::Unknown => "of an unknown kind",
    };
    Err(RootError::Kind {
        path: path.to_owned(),
        kind,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    struct Tree(tempfile::TempDir);

    impl Tree {
        fn new() -> Tree {
            let tree = Tree(tempfile::tempdir().expect("a temp dir"));
            for (name, content) in [
                ("media/a/x.mov", "inside"),
                ("outside/x.mov", "outside"),
                ("media2/x.mov", "near"),
            ] {
                let path = tree.at(name);
                std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
                std::fs::write(path, content).expect("written");
            }
            tree
        }

        fn at(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn roots(&self) -> Roots {
            Roots::new(&[self.at("media")])
        }
    }

    fn read(roots: &Roots, path: &Path) -> Result<String, RootError> {
        roots
            .open_file(path)
            .map(|file| io::read_to_string(file).expect("read"))
    }

    #[test]
    fn file_below_a_root_opens_and_any_other_is_outside() {
        let tree = Tree::new();
        let roots = tree.roots();
        assert_eq!(read(&roots, &tree.at("media/a/x.mov")), Ok("inside".into()));
        for outside in ["outside/x.mov", "media2/x.mov", "media/../outside/x.mov"] {
            let path = tree.at(outside);
            assert_eq!(
                read(&roots, &path),
                Err(RootError::Outside(path.clone())),
                "{outside}"
            );
            assert_eq!(
                read(&Roots::default(), &path).map(drop),
                Ok(()),
                "without roots: {outside}"
            );
        }
    }

    #[test]
    fn link_that_leaves_a_root_is_outside_and_one_within_is_followed() {
        let tree = Tree::new();
        let roots = tree.roots();
        symlink(tree.at("outside"), tree.at("media/out")).expect("linked");
        symlink("../outside", tree.at("media/relative")).expect("linked");
        symlink(tree.at("media/a"), tree.at("media/absolute")).expect("linked");
        symlink("a", tree.at("media/within")).expect("linked");
        for outside in ["media/out/x.mov", "media/relative/x.mov"] {
            let path = tree.at(outside);
            assert_eq!(
                read(&roots, &path),
                Err(RootError::Outside(path.clone())),
                "{outside}"
            );
            assert!(
                roots.check(&path).is_err()
                    && roots
                        .check_target(&tree.at(outside).with_file_name("new"))
                        .is_err()
            );
        }
        for inside in ["media/absolute/x.mov", "media/within/x.mov"] {
            assert_eq!(
                read(&roots, &tree.at(inside)),
                Ok("inside".into()),
                "{inside}"
            );
        }
        assert_eq!(roots.check_target(&tree.at("media/new/deep/file")), Ok(()));
        assert!(roots.check_target(&tree.at("media2/new")).is_err());
    }

    #[test]
    fn listed_file_opens_only_below_its_directory() {
        let tree = Tree::new();
        let (base, file) = (tree.at("media"), tree.at("media/a/x.mov"));
        let read = |roots: &Roots, path: &Path| {
            roots
                .open_file_below(&base, path)
                .map(|file| io::read_to_string(file).expect("read"))
        };
        for roots in [Roots::default(), Roots::new(&[tree.0.path().to_owned()])] {
            std::fs::remove_file(tree.at("media/a"))
                .or_else(|_| std::fs::remove_dir_all(tree.at("media/a")))
                .ok();
            std::fs::create_dir_all(tree.at("media/b")).expect("made");
            std::fs::write(tree.at("media/b/x.mov"), "inside").expect("written");
            for target in [tree.at("media/b"), "b".into()] {
                symlink(target, tree.at("media/a")).expect("linked");
                assert_eq!(read(&roots, &file), Ok("inside".into()));
                std::fs::remove_file(tree.at("media/a")).expect("removed");
            }
            for target in [tree.at("outside"), "../outside".into()] {
                symlink(target, tree.at("media/a")).expect("linked");
                let escapes = RootError::Escapes {
                    path: file.clone(),
                    base: base.clone(),
                };
                assert_eq!(read(&roots, &file), Err(escapes));
                std::fs::remove_file(tree.at("media/a")).expect("removed");
            }
            assert!(matches!(
                read(&roots, &file),
                Err(RootError::System {
                    errno: Errno::NOENT,
                    ..
                })
            ));
        }
        let elsewhere = Roots::new(&[tree.at("media2")]);
        assert_eq!(
            read(&elsewhere, &file),
            Err(RootError::Outside(base.clone()))
        );
    }

    #[test]
    fn pipe_directory_and_missing_file_are_told_apart_at_once() {
        let tree = Tree::new();
        rustix::fs::mkfifoat(CWD, tree.at("media/pipe"), Mode::from_raw_mode(0o600)).expect("made");
        for roots in [tree.roots(), Roots::default()] {
            let kind = |name: &str| match roots.open_file(&tree.at(name)) {
                Err(RootError::Kind { kind, .. }) => kind,
                Err(RootError::System {
                    errno: Errno::NOENT,
                    ..
                }) => "missing",
                other => panic!("{name}: {other:?}"),
            };
            assert_eq!(
                (kind("media/pipe"), kind("media/a"), kind("media/none")),
                ("a named pipe", "a directory", "missing")
            );
        }
    }
}
