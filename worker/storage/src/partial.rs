//! Files on their way: written under no name or a hidden one, visible under their own in one step, never replacing
//! anything (EFF-1).
use super::Directory;
use rustix::fs::{
    AtFlags, CWD, FlockOperation, Mode, OFlags, RenameFlags, flock, fstat, linkat, openat,
    renameat_with,
};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::AsRawFd;
use std::sync::{Arc, OnceLock};

/// How the hidden names of unfinished files end.
pub const PARTIAL_SUFFIX: &str = ".sr-part";
/// How the hidden names of uploads to a directory end: of the content, and of its ledger.
pub(super) const UPLOAD_SUFFIX: &str = ".sr-upload";
pub(super) const LEDGER_SUFFIX: &str = ".sr-ledger";

/// How all hidden names of unfinished content end: what one of them names is no asset, no object and no part of a
/// history.
pub const UNFINISHED_SUFFIXES: [&str; 3] = [PARTIAL_SUFFIX, UPLOAD_SUFFIX, LEDGER_SUFFIX];

/// Whether a file of this name, without its directory, is an unfinished one of ours and no content.
pub fn is_unfinished(name: &str) -> bool {
    name.starts_with('.')
        && UNFINISHED_SUFFIXES
            .iter()
            .any(|suffix| name.ends_with(suffix))
}

/// Whether a path leads to or through an unfinished entry of ours: what lies in an unfinished directory is no content.
pub fn is_unfinished_path(path: &str) -> bool {
    path.split('/').any(is_unfinished)
}

/// Longest file name that still fits into a hidden name with its marks (255 bytes is what filesystems allow).
const NAME_BYTES_MAX: usize = 200;
const NEW_FILE: Mode = Mode::from_raw_mode(0o666);
/// Another process may publish or remove a hidden file between our opening and our locking it; then we look again.
const LOCK_TRIES: usize = 100;

/// A file being written. Dropped without [`Partial::publish`] or [`Partial::keep`], it is removed.
pub struct Partial {
    file: File,
    directory: Arc<Directory>,
    /// `None` while it has no name at all.
    name: Option<OsString>,
    remove: bool,
}

impl Partial {
    /// A file without a name, which vanishes with its process; one with a private name where the filesystem has no
    /// such files. For content that is written too quickly to be worth resuming.
    pub fn unnamed(directory: &Arc<Directory>, target: &str) -> Result<Partial, Errno> {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        if !can_name_later() {
            return Partial::private(directory, target, fastrand::u64(..));
        }
        match openat(directory, ".", flags, NEW_FILE) {
            Ok(fd) => Ok(Partial::new(File::from(fd), directory, None)),
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOSYS) => {
                Partial::private(directory, target, fastrand::u64(..))
            }
            Err(errno) => Err(errno),
        }
    }

    /// The file that an earlier, interrupted copy of the same source left, or a new one of that name; locked. When
    /// another copier has it locked, a new file under a private name.
    pub fn resumable(
        directory: &Arc<Directory>,
        target: &str,
        identity: u64,
    ) -> Result<Partial, Errno> {
        let name = OsString::from(format!(".{}.{identity:016x}{PARTIAL_SUFFIX}", stem(target)));
        let flags = OFlags::CREATE | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        for _ in 0..LOCK_TRIES {
            let file = match openat(directory, &name, flags, NEW_FILE) {
                Ok(fd) => File::from(fd),
                Err(Errno::LOOP) => return Partial::private(directory, target, identity),
                Err(errno) => return Err(errno),
            };
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(Errno::WOULDBLOCK) => return Partial::private(directory, target, identity),
                Err(errno) => return Err(errno),
            }
            let held = fstat(&file)?;
            if directory
                .entry(&name)?
                .is_none_or(|entry| entry.st_ino != held.st_ino)
            {
                continue;
            }
            if held.st_nlink > 1 {
                // Published by link() in a process that died before unlink(): these bytes are an asset.
                directory.remove(&name)?;
                continue;
            }
            return Ok(Partial::new(file, directory, Some(name)));
        }
        Partial::private(directory, target, identity)
    }

    /// Removes unfinished files of `target` that no process has locked and that belong to another source than `identity`.
    pub fn remove_stale(
        directory: &Arc<Directory>,
        target: &str,
        identity: u64,
    ) -> Result<(), Errno> {
        let (prefix, own) = (format!(".{}.", stem(target)), format!("{identity:016x}"));
        for name in directory.leftovers(PARTIAL_SUFFIX) {
            let marks = name
                .to_str()
                .and_then(|n| n.strip_prefix(&prefix)?.strip_suffix(PARTIAL_SUFFIX));
            let Some(marks) = marks.filter(|m| *m != own && is_marks(m)) else {
                continue;
            };
            let Ok(file) = directory.open_file(name) else {
                continue;
            };
            if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
                tracing::debug!(file = marks, "removing an abandoned partial file");
                directory.remove(name)?;
            }
        }
        Ok(())
    }

    /// The open file, readable and writable.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// The directory it becomes visible in.
    pub fn directory(&self) -> &Arc<Directory> {
        &self.directory
    }

    /// Leaves the file for a later attempt to resume, when it has a name.
    pub fn keep(mut self) {
        self.remove = false;
    }

    /// Makes the file visible as `target`; [`Errno::EXIST`] when something is there already, which stays untouched.
    pub fn publish(mut self, target: &str) -> Result<(), Errno> {
        let Some(name) = &self.name else {
            let path = format!("/proc/self/fd/{}", self.file.as_raw_fd());
            return linkat(CWD, path, &self.directory, target, AtFlags::SYMLINK_FOLLOW);
        };
        match renameat_with(
            &self.directory,
            name,
            &self.directory,
            target,
            RenameFlags::NOREPLACE,
        ) {
            Ok(()) => {
                self.remove = false;
                Ok(())
            }
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => linkat(
                &self.directory,
                name,
                &self.directory,
                target,
                AtFlags::empty(),
            ),
            Err(errno) => Err(errno),
        }
    }

    /// Makes the file visible as `target`, in the place of whatever is there.
    pub(super) fn publish_over(mut self, target: &str) -> Result<(), Errno> {
        let name = self.hidden_name(target)?;
        rustix::fs::renameat(&self.directory, &name, &self.directory, target)?;
        self.remove = false;
        Ok(())
    }

    /// Makes the file visible as `target`, in the place of what `is_expected` of what is there, which loses this name.
    /// `false` when something else is there or nothing, and all is as it was.
    pub(super) fn publish_in_place(
        mut self,
        target: &str,
        is_expected: impl Fn(&rustix::fs::Stat) -> bool,
    ) -> Result<bool, Errno> {
        let name = self.hidden_name(target)?;
        if !self
            .directory
            .entry(target.as_ref())?
            .is_some_and(|there| is_expected(&there))
        {
            return Ok(false);
        }
        let exchange = || {
            renameat_with(
                &self.directory,
                &name,
                &self.directory,
                target,
                RenameFlags::EXCHANGE,
            )
        };
        match exchange() {
            Ok(()) => {}
            Err(Errno::NOENT) => return Ok(false),
            // Network filesystems cannot exchange names; what was looked at just now is replaced then.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                rustix::fs::renameat(&self.directory, &name, &self.directory, target)?;
                self.remove = false;
                return Ok(true);
            }
            Err(errno) => return Err(errno),
        }
        if !self
            .directory
            .entry(&name)?
            .is_some_and(|taken| is_expected(&taken))
        {
            // Another process was faster.
            exchange()?;
            return Ok(false);
        }
        self.remove = false;
        self.directory.remove(&name)?;
        Ok(true)
    }

    /// What has no name cannot take the place of what has one: it gets a hidden one first.
    fn hidden_name(&mut self, target: &str) -> Result<OsString, Errno> {
        if let Some(name) = &self.name {
            return Ok(name.clone());
        }
        let mark = fastrand::u64(..);
        let hidden = OsString::from(format!(".{}.{mark:016x}{PARTIAL_SUFFIX}", stem(target)));
        let path = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        linkat(CWD, path, &self.directory, &hidden, AtFlags::SYMLINK_FOLLOW)?;
        (self.name, self.remove) = (Some(hidden.clone()), true);
        Ok(hidden)
    }

    /// Takes over a hidden file that others wrote; dropped without being published, it stays.
    pub(super) fn adopt(file: File, directory: &Arc<Directory>, name: OsString) -> Partial {
        Partial {
            file,
            directory: Arc::clone(directory),
            name: Some(name),
            remove: false,
        }
    }

    fn private(directory: &Arc<Directory>, target: &str, identity: u64) -> Result<Partial, Errno> {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC;
        loop {
            let mark = fastrand::u32(..);
            let name = OsString::from(format!(
                ".{}.{identity:016x}.{mark:08x}{PARTIAL_SUFFIX}",
                stem(target)
            ));
            match openat(directory, &name, flags, NEW_FILE) {
                Ok(fd) => {
                    let partial = Partial::new(File::from(fd), directory, Some(name));
                    flock(partial.file(), FlockOperation::NonBlockingLockExclusive)?;
                    return Ok(partial);
                }
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno),
            }
        }
    }

    fn new(file: File, directory: &Arc<Directory>, name: Option<OsString>) -> Partial {
        Partial {
            file,
            directory: Arc::clone(directory),
            name,
            remove: true,
        }
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if let (true, Some(name)) = (self.remove, self.name.as_deref()) {
            remove_quietly(&self.directory, name);
        }
    }
}

/// A file without a name is given one through `/proc`, which some containers do not mount.
fn can_name_later() -> bool {
    static KNOWN: OnceLock<bool> = OnceLock::new();
    *KNOWN.get_or_init(|| std::path::Path::new("/proc/self/fd").is_dir())
}

fn remove_quietly(directory: &Directory, name: &OsStr) {
    if let Err(errno) = directory.remove(name) {
        let path = directory.path().join(name);
        tracing::warn!(path = %path.display(), error = %errno, "a partial file could not be removed");
    }
}

/// The file name as it appears in hidden names: itself, or a prefix and a digest when it is too long.
pub(super) fn stem(target: &str) -> String {
    if target.len() <= NAME_BYTES_MAX {
        return target.to_owned();
    }
    let cut = (0..=NAME_BYTES_MAX - 20)
        .rev()
        .find(|i| target.is_char_boundary(*i))
        .unwrap_or(0);
    format!(
        "{}~{:016x}",
        &target[..cut],
        xxhash_rust::xxh3::xxh3_64(target.as_bytes())
    )
}

/// Whether text is the identity of a source, alone or with the mark of a private name.
fn is_marks(text: &str) -> bool {
    let hex = |part: &str, digits: usize| {
        part.len() == digits && part.bytes().all(|b| b.is_ascii_hexdigit())
    };
    match text.split_once('.') {
        Some((identity, mark)) => hex(identity, 16) && hex(mark, 8),
        None => hex(text, 16),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Root;
    use super::*;
    use std::io::Write as _;
    use std::path::Path;

    fn names(path: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(path).expect("readable");
        let mut names: Vec<String> = entries
            .map(|e| {
                e.expect("an entry")
                    .file_name()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect();
        names.sort();
        names
    }

    fn directory(path: &Path) -> Arc<Directory> {
        Root::create(path)
            .and_then(|root| root.directory(Path::new("")))
            .expect("opened")
    }

    #[test]
    fn publishing_never_replaces() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let here = directory(dir.path());
        for make in [
            Partial::unnamed(&here, "a"),
            Partial::resumable(&here, "a", 1),
        ] {
            std::fs::write(dir.path().join("a"), b"theirs").expect("written");
            assert_eq!(make.expect("created").publish("a"), Err(Errno::EXIST));
            assert_eq!(
                std::fs::read(dir.path().join("a")).expect("readable"),
                b"theirs"
            );
        }
        assert_eq!(names(dir.path()), ["a"]);
        let mut partial = Partial::resumable(&here, "b", 1).expect("created");
        partial.file.write_all(b"ours").expect("written");
        partial.publish("b").expect("free");
        Partial::unnamed(&here, "c")
            .expect("created")
            .publish("c")
            .expect("free");
        assert_eq!(names(dir.path()), ["a", "b", "c"]);
    }

    #[test]
    fn second_copier_gets_its_own_partial_file() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let here = directory(dir.path());
        let first = Partial::resumable(&here, "a", 1).expect("created");
        let second = Partial::resumable(&here, "a", 1).expect("created");
        assert_ne!(first.name, second.name);
        first.keep();
        drop(second);
        let third = Partial::resumable(&here, "a", 1).expect("resumed");
        assert_eq!(names(dir.path()), [".a.0000000000000001.sr-part"]);
        drop(third);
        assert!(names(dir.path()).is_empty());
    }

    #[test]
    fn only_abandoned_files_of_other_sources_are_stale() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let here = directory(dir.path());
        Partial::resumable(&here, "a", 1).expect("created").keep();
        Partial::resumable(&here, "a", 2).expect("created").keep();
        Partial::resumable(&here, "a.b", 2).expect("created").keep();
        let busy = Partial::resumable(&here, "a", 3).expect("created");
        let again = directory(dir.path());
        Partial::remove_stale(&again, "a", 1).expect("removed");
        let expected = [
            ".a.0000000000000001.sr-part",
            ".a.0000000000000003.sr-part",
            ".a.b.0000000000000002.sr-part",
        ];
        assert_eq!(names(dir.path()), expected);
        drop(busy);
    }

    #[test]
    fn file_published_by_link_is_not_written_again() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let here = directory(dir.path());
        let mut first = Partial::resumable(&here, "a", 1).expect("created");
        first.file.write_all(b"published").expect("written");
        let hidden = dir.path().join(first.name.clone().expect("named"));
        std::fs::hard_link(&hidden, dir.path().join("a")).expect("linked");
        first.keep();
        let second = Partial::resumable(&here, "a", 1).expect("created");
        second.file.set_len(0).expect("truncated");
        assert_eq!(
            std::fs::read(dir.path().join("a")).expect("readable"),
            b"published"
        );
    }

    #[test]
    fn the_longest_names_fit() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let here = directory(dir.path());
        let name = "ä".repeat(127);
        Partial::resumable(&here, &name, 7)
            .expect("fits")
            .publish(&name)
            .expect("free");
        assert_eq!(names(dir.path()), [name]);
    }
}
