//! Directories of a tree, reached through descriptors. The root of a tree is opened once; everything below it is resolved
//! by the kernel relative to that descriptor and without symbolic links. A link that takes the place of a directory later
//! leads nowhere: what was opened stays what it was, and what is opened afterwards is refused.
use super::FOLDER;
use super::model::MhlError;
use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, ResolveFlags, Stat, fsync, mkdirat, openat, openat2,
    renameat, statat, unlinkat,
};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use storage::{Directory, PARTIAL_SUFFIX, RootError, Roots};

const OPEN_DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC);
/// A pipe that takes the place of a file must not block the open.
const OPEN_FILE: OFlags = OFlags::RDONLY
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);
const CREATE_FILE: OFlags = OFlags::RDWR
    .union(OFlags::CREATE)
    .union(OFlags::EXCL)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);
const WITHOUT_LINKS: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS);

/// Pause before an open is repeated that the kernel asked to repeat.
const REPEAT_PAUSE: Duration = Duration::from_millis(1);

/// Directories inside of a directory that is removed; histories and journals are flat.
const REMOVED_DEPTH_MAX: usize = 64;

/// An open directory.
pub(super) struct Folder {
    fd: OwnedFd,
    /// Its path in messages.
    shown: PathBuf,
    /// Directories that links to files must not leave.
    roots: Roots,
}

impl Folder {
    /// Opens the root of a tree. Its own path may contain symbolic links: the operator chose it.
    pub(super) fn open(path: &Path) -> Result<Folder, MhlError> {
        let fd = openat(CWD, path, OPEN_DIRECTORY, Mode::empty())
            .map_err(|errno| MhlError::io(path)(errno.into()))?;
        Ok(Folder {
            fd,
            shown: path.to_owned(),
            roots: Roots::default(),
        })
    }

    /// The same below the directories that local files must be below. Links to files in it are followed no further.
    pub(super) fn open_within(path: &Path, roots: &Roots) -> Result<Folder, MhlError> {
        let fd = roots
            .open_directory(path)
            .map_err(|error| outside(path, &error))?;
        Ok(Folder {
            fd,
            shown: path.to_owned(),
            roots: roots.clone(),
        })
    }

    /// A directory that a transfer's root has opened.
    pub(super) fn of(directory: &Directory) -> Result<Folder, MhlError> {
        let fd = directory
            .as_fd()
            .try_clone_to_owned()
            .map_err(MhlError::io(directory.path()))?;
        Ok(Folder {
            fd,
            shown: directory.path().to_owned(),
            roots: Roots::default(),
        })
    }

    /// Opens the directory `relative` below this one. A symbolic link on the way is refused.
    pub(super) fn below(&self, relative: impl AsRef<OsStr>) -> Result<Folder, MhlError> {
        let relative = relative.as_ref();
        let fd = self.resolve(relative, OPEN_DIRECTORY, WITHOUT_LINKS);
        let fd = fd.map_err(|errno| self.refused(relative, errno))?;
        Ok(Folder {
            fd,
            shown: self.at(relative),
            roots: self.roots.clone(),
        })
    }

    /// The same for a directory that may be missing.
    pub(super) fn find(&self, relative: impl AsRef<OsStr>) -> Result<Option<Folder>, MhlError> {
        match self.below(relative) {
            Err(MhlError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Ok(None)
            }
            found => found.map(Some),
        }
    }

    /// Opens the directory `name` in this one; makes it when it is missing.
    pub(super) fn ensure(&self, name: &str) -> Result<Folder, MhlError> {
        match mkdirat(&self.fd, name, Mode::from_raw_mode(0o777)) {
            Ok(()) | Err(Errno::EXIST) => self.below(name),
            Err(errno) => Err(self.failed(name, errno)),
        }
    }

    /// Opens a regular file below this directory for reading. `linked`: its own name is a symbolic link, which counts as
    /// the file that it leads to; any other link on the way is refused.
    pub(super) fn open_file(
        &self,
        relative: impl AsRef<OsStr>,
        linked: bool,
    ) -> Result<File, MhlError> {
        let relative = relative.as_ref();
        let opened = if linked && !self.roots.is_empty() {
            let path = self.at(relative);
            return self
                .roots
                .open_file(&path)
                .map_err(|error| outside(&path, &error));
        } else if linked {
            let (parent, name) = split(relative);
            let parent = self.below(parent)?;
            repeated(|| openat(&parent.fd, name, OPEN_FILE, Mode::empty()))
        } else {
            self.resolve(relative, OPEN_FILE, WITHOUT_LINKS)
        };
        let file = File::from(opened.map_err(|errno| self.refused(relative, errno))?);
        let found = file.metadata().map_err(MhlError::io(&self.at(relative)))?;
        if found.is_file() {
            return Ok(file);
        }
        Err(MhlError::io(&self.at(relative))(io::Error::other(
            "this is no regular file",
        )))
    }

    /// Opens what is at `relative` for reading. Links to directories are followed while they stay below this directory, a
    /// link to a file wherever it leads.
    pub(super) fn open_through_links(&self, relative: &str) -> io::Result<File> {
        let (parent, name) = split(OsStr::new(relative));
        let parent = match self.resolve(parent, OPEN_DIRECTORY, ResolveFlags::BENEATH) {
            Err(Errno::XDEV) => {
                return Err(io::Error::other(
                    "a symbolic link on its path leads out of the tree",
                ));
            }
            parent => parent?,
        };
        Ok(File::from(repeated(|| {
            openat(&parent, name, OPEN_FILE, Mode::empty())
        })?))
    }

    /// Whether something is at `relative`, without leaving this directory.
    pub(super) fn has(&self, relative: &str) -> bool {
        self.resolve(
            OsStr::new(relative),
            OFlags::PATH | OFlags::CLOEXEC,
            ResolveFlags::BENEATH,
        )
        .is_ok()
    }

    /// Describes an entry, a symbolic link as itself.
    pub(super) fn entry(&self, name: impl AsRef<OsStr>) -> io::Result<Stat> {
        Ok(statat(&self.fd, name.as_ref(), AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// Describes what an entry leads to.
    pub(super) fn target(&self, name: impl AsRef<OsStr>) -> io::Result<Stat> {
        Ok(statat(&self.fd, name.as_ref(), AtFlags::empty())?)
    }

    /// Whether a symbolic link in this directory leads out of the directories that local files must be below.
    pub(super) fn leads_outside(&self, name: impl AsRef<OsStr>) -> bool {
        matches!(self.roots.check(&self.at(name)), Err(RootError::Outside(_)))
    }

    /// Names of the entries with their kinds, a symbolic link as itself; in no order.
    pub(super) fn entries(&self) -> Result<Vec<(OsString, FileType)>, MhlError> {
        let failed = |errno: Errno| MhlError::io(&self.shown)(errno.into());
        let mut entries = Vec::new();
        for entry in Dir::read_from(&self.fd).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name == "." || name == ".." {
                continue;
            }
            let kind = match entry.file_type() {
                // Some filesystems leave it out of their listings.
                FileType::Unknown => self
                    .entry(name)
                    .map_or(FileType::Unknown, |found| kind(&found)),
                kind => kind,
            };
            entries.push((name.to_owned(), kind));
        }
        Ok(entries)
    }

    /// Makes a new file; what had its name before is unlinked, never written to.
    pub(super) fn create(&self, name: &str) -> Result<File, MhlError> {
        self.remove_file(name)?;
        let file = openat(&self.fd, name, CREATE_FILE, Mode::from_raw_mode(0o666));
        file.map(File::from)
            .map_err(|errno| self.failed(name, errno))
    }

    /// Renames an entry, and puts the new name on disk.
    pub(super) fn rename(&self, from: &str, to: &str) -> Result<(), MhlError> {
        renameat(&self.fd, from, &self.fd, to).map_err(|errno| self.failed(to, errno))?;
        fsync(&self.fd).map_err(|errno| MhlError::io(&self.shown)(errno.into()))
    }

    /// Removes a file or a link; one that is missing is fine.
    pub(super) fn remove_file(&self, name: impl AsRef<OsStr>) -> Result<(), MhlError> {
        match unlinkat(&self.fd, name.as_ref(), AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(self.failed(name, errno)),
        }
    }

    /// Removes a directory that is empty; one that is missing or filled is fine.
    pub(super) fn remove_empty(&self, name: &str) -> Result<(), MhlError> {
        match unlinkat(&self.fd, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT | Errno::NOTEMPTY | Errno::EXIST) => Ok(()),
            Err(errno) => Err(self.failed(name, errno)),
        }
    }

    /// Removes an entry and everything in it. A symbolic link is removed itself.
    pub(super) fn remove_all(&self, name: &str) -> Result<(), MhlError> {
        self.remove_tree(OsStr::new(name), REMOVED_DEPTH_MAX)
    }

    fn remove_tree(&self, name: &OsStr, depth: usize) -> Result<(), MhlError> {
        match unlinkat(&self.fd, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(Errno::ISDIR) if depth > 0 => {}
            Err(errno) => return Err(self.failed(name, errno)),
        }
        let fd = openat(
            &self.fd,
            name,
            OPEN_DIRECTORY | OFlags::NOFOLLOW,
            Mode::empty(),
        );
        let fd = fd.map_err(|errno| self.failed(name, errno))?;
        let inner = Folder {
            fd,
            shown: self.shown.join(name),
            roots: self.roots.clone(),
        };
        for (name, _) in inner.entries()? {
            inner.remove_tree(&name, depth - 1)?;
        }
        match unlinkat(&self.fd, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(self.failed(name, errno)),
        }
    }

    /// Makes the folder of the history of this directory. `fill` writes into a working folder, which gets the final name
    /// in one step: a folder without a chain is an error to every reader.
    pub(super) fn begin_history<T>(
        &self,
        fill: impl FnOnce(&Folder) -> Result<T, MhlError>,
    ) -> Result<T, MhlError> {
        let work = unborn();
        self.remove_all(&work)?;
        mkdirat(&self.fd, work.as_str(), Mode::from_raw_mode(0o777))
            .map_err(|errno| self.failed(&work, errno))?;
        let filled = fill(&self.below(&work)?)?;
        self.rename(&work, FOLDER)?;
        // A link that took the place of the working folder has its name now.
        self.below(FOLDER)?;
        Ok(filled)
    }

    /// Removes the working folder of a history that did not begin.
    pub(super) fn clear_unborn_history(&self) -> Result<(), MhlError> {
        self.remove_all(&unborn())
    }

    /// The same directory by another descriptor.
    pub(super) fn again(&self) -> Result<Folder, MhlError> {
        let fd = self.fd.try_clone().map_err(MhlError::io(&self.shown))?;
        Ok(Folder {
            fd,
            shown: self.shown.clone(),
            roots: self.roots.clone(),
        })
    }

    /// Its path in messages.
    pub(super) fn shown(&self) -> &Path {
        &self.shown
    }

    /// The path of something below it in messages.
    pub(super) fn at(&self, relative: impl AsRef<OsStr>) -> PathBuf {
        let relative = relative.as_ref();
        if relative.is_empty() {
            self.shown.clone()
        } else {
            self.shown.join(relative)
        }
    }

    fn resolve(
        &self,
        relative: &OsStr,
        flags: OFlags,
        resolve: ResolveFlags,
    ) -> rustix::io::Result<OwnedFd> {
        let relative = if relative.is_empty() {
            OsStr::new(".")
        } else {
            relative
        };
        repeated(|| openat2(&self.fd, relative, flags, Mode::empty(), resolve))
    }

    fn failed(&self, relative: impl AsRef<OsStr>, errno: Errno) -> MhlError {
        MhlError::io(&self.at(relative))(errno.into())
    }

    fn refused(&self, relative: &OsStr, errno: Errno) -> MhlError {
        if errno != Errno::LOOP {
            return self.failed(relative, errno);
        }
        // Only for the message: which name on the way is the link.
        let links = Path::new(relative)
            .ancestors()
            .map(Path::as_os_str)
            .filter(|path| {
                self.entry(path)
                    .is_ok_and(|found| kind(&found) == FileType::Symlink)
            });
        MhlError::Linked(self.at(links.last().unwrap_or(relative)))
    }
}

impl AsFd for Folder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Of what kind an entry is.
pub(super) fn kind(found: &Stat) -> FileType {
    FileType::from_raw_mode(found.st_mode)
}

/// Why the roots do not let something be opened.
fn outside(path: &Path, error: &RootError) -> MhlError {
    match error {
        RootError::Outside(path) => MhlError::Outside(path.clone()),
        error => MhlError::io(path)(error.errno().into()),
    }
}

/// The directory of a relative path, and the name in it.
fn split(relative: &OsStr) -> (&OsStr, &OsStr) {
    let path = Path::new(relative);
    let parent = path.parent().map_or(OsStr::new(""), Path::as_os_str);
    (parent, path.file_name().unwrap_or(relative))
}

/// Name of the working folder that becomes the folder of a history.
fn unborn() -> String {
    format!(".{FOLDER}{PARTIAL_SUFFIX}")
}

/// Retries an open on `EAGAIN` and `EINTR`: after a concurrent rename along the path, or until another process has given up
/// its lease on the file, which the kernel limits.
fn repeated(open: impl Fn() -> rustix::io::Result<OwnedFd>) -> rustix::io::Result<OwnedFd> {
    loop {
        match open() {
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => std::thread::sleep(REPEAT_PAUSE),
            opened => return opened,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// A tree and a directory outside of it, both with what is in `files`.
    fn tree_and_outside(dir: &Path, files: &[&str]) -> (PathBuf, PathBuf) {
        let (root, outside) = (dir.join("root"), dir.join("outside"));
        for top in [&root, &outside] {
            std::fs::create_dir(top).expect("created");
            for file in files {
                let path = top.join(file);
                std::fs::create_dir_all(path.parent().expect("below")).expect("created");
                std::fs::write(path, "keep").expect("written");
            }
        }
        (root, outside)
    }

    /// Puts a link to `outside` in the place of a directory.
    fn swap(directory: &Path, outside: &Path) {
        std::fs::rename(directory, directory.with_file_name("moved")).expect("moved");
        symlink(outside, directory).expect("linked");
    }

    #[test]
    fn link_put_in_the_place_of_an_open_folder_leads_nowhere() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let (root, outside) = tree_and_outside(dir.path(), &["ascmhl/0001_x.mhl"]);
        let tree = Folder::open(&root).expect("opened");
        let folder = tree.below(FOLDER).expect("there");
        swap(&root.join(FOLDER), &outside.join(FOLDER));
        std::io::Write::write_all(&mut folder.create("x").expect("created"), b"y")
            .expect("written");
        folder.rename("x", "y").expect("renamed");
        folder.remove_file("0001_x.mhl").expect("removed");
        assert!(root.join("moved/y").is_file() && !root.join("moved/0001_x.mhl").exists());
        assert_eq!(
            std::fs::read_dir(outside.join(FOLDER))
                .expect("listed")
                .count(),
            1
        );
        assert!(matches!(tree.find(FOLDER), Err(MhlError::Linked(_))));
        let error = super::super::chain::read(&folder, "absent.xml")
            .map(drop)
            .expect_err("nothing is there");
        assert!(
            error.to_string().contains("root/ascmhl/absent.xml"),
            "{error}"
        );
    }

    #[test]
    fn link_in_the_place_of_a_directory_above_is_refused_and_named() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let (root, outside) = tree_and_outside(dir.path(), &["a/b/x.mov", "a/b/ascmhl/0001_x.mhl"]);
        let tree = Folder::open(&root).expect("opened");
        let held = tree.below("a/b").expect("there");
        swap(&root.join("a"), &outside.join("a"));
        let refused = [
            tree.below("a").map(drop),
            tree.below("a/b/ascmhl").map(drop),
            tree.find("a/b").map(drop),
            tree.ensure("a").map(drop),
            tree.open_file("a/b/x.mov", false).map(drop),
            tree.open_file("a/b/x.mov", true).map(drop),
        ];
        for refused in refused {
            assert!(
                matches!(&refused, Err(MhlError::Linked(path)) if path.ends_with("root/a")),
                "{refused:?}"
            );
        }
        assert!(!tree.has("a/b/x.mov") && tree.has("moved/b/x.mov"));
        assert!(tree.open_through_links("a/b/x.mov").is_err());
        held.remove_all(FOLDER).expect("removed");
        assert!(
            !root.join("moved/b/ascmhl").exists() && outside.join("a/b/ascmhl/0001_x.mhl").exists()
        );
    }

    #[test]
    fn removal_takes_links_and_never_what_they_lead_to() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let (root, outside) = tree_and_outside(dir.path(), &["work/deep/x"]);
        symlink(&outside, root.join("work/deep/linked")).expect("linked");
        symlink(outside.join("work"), root.join("link")).expect("linked");
        let tree = Folder::open(&root).expect("opened");
        for name in ["work", "link", "missing"] {
            tree.remove_all(name).expect("removed");
        }
        assert_eq!(std::fs::read_dir(&root).expect("listed").count(), 0);
        assert!(outside.join("work/deep/x").exists());
    }

    #[test]
    fn new_file_replaces_a_link_and_never_writes_through_it() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let (root, outside) = tree_and_outside(dir.path(), &["x"]);
        symlink(outside.join("x"), root.join("y")).expect("linked");
        std::fs::hard_link(outside.join("x"), root.join("z")).expect("linked");
        let tree = Folder::open(&root).expect("opened");
        for name in ["y", "z"] {
            std::io::Write::write_all(&mut tree.create(name).expect("created"), b"new")
                .expect("written");
            assert_eq!(std::fs::read(root.join(name)).expect("read"), b"new");
        }
        assert_eq!(std::fs::read(outside.join("x")).expect("read"), b"keep");
    }

    #[test]
    fn working_folder_that_is_swapped_for_a_link_is_no_history() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let (root, outside) = tree_and_outside(dir.path(), &[]);
        let tree = Folder::open(&root).expect("opened");
        let begun = tree.begin_history(|work| {
            swap(&root.join(unborn()), &outside);
            work.create("0001_x.mhl").map(drop)
        });
        assert!(matches!(begun, Err(MhlError::Linked(_))), "{begun:?}");
        assert_eq!(std::fs::read_dir(&outside).expect("listed").count(), 0);
    }

    #[test]
    fn only_regular_files_are_opened_and_links_to_them_where_they_count() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let (root, _) = tree_and_outside(dir.path(), &["a/x", "y"]);
        symlink("../y", root.join("a/link")).expect("linked");
        rustix::fs::mkfifoat(CWD, root.join("a/pipe"), Mode::from_raw_mode(0o600)).expect("made");
        let tree = Folder::open(&root).expect("opened");
        assert!(tree.open_file("a/x", false).is_ok() && tree.open_file("a/link", true).is_ok());
        assert!(matches!(
            tree.open_file("a/link", false),
            Err(MhlError::Linked(_))
        ));
        for other in ["a", "a/pipe"] {
            assert!(
                matches!(tree.open_file(other, false), Err(MhlError::Io { .. })),
                "{other}"
            );
        }
    }

    #[test]
    fn folder_that_is_missing_is_told_from_what_is_none() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let tree = Folder::open(dir.path()).expect("opened");
        assert!(tree.find(FOLDER).expect("may be missing").is_none());
        std::fs::write(dir.path().join(FOLDER), "a file").expect("written");
        assert!(matches!(tree.find(FOLDER), Err(MhlError::Io { .. })));
    }
}
