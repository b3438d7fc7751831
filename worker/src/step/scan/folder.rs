//! Lists every regular file below a directory, always in the same order.
//!
//! A directory's names are sorted in batches of the next smallest ones, so that a flat directory of millions costs
//! passes over it and not memory. Directories are opened one at a time: deep trees exhaust no descriptors.
use super::entry::{Entry, Names, OWN_DIRECTORIES};
use super::location::Root;
use super::page::{Pager, Stop};
use super::sidecar;
use super::source::{cannot_open, closed};
use protocol::failure::Failure;
use protocol::wire::report::RowError;
use protocol::workflow::file::OnLink;
use rustix::fs::{FileType, Stat};
use std::collections::BinaryHeap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use storage::{DirectoryError, RootError, Roots, is_unfinished};

/// Names of one directory held at a time.
const NAMES_MAX: usize = 250_000;

/// Reads a folder to its end or until it is stopped. Every directory is opened from the folder: a link that replaces a
/// directory during the listing leads nowhere else.
pub(super) fn scan(path: &str, roots: &Roots, meaning: Names, pager: Pager) -> Result<(), Stop> {
    roots
        .check(Path::new(path))
        .map_err(|error| closed(path, &error))?;
    let meta = fs::metadata(path).map_err(|error| cannot_open(path, &error))?;
    if !meta.is_dir() {
        let message =
            format!("{path} is not a directory: write `manifest:` for a file that lists assets");
        return Err(Stop::Failed(Failure::permanent(
            "library_unreadable",
            message,
        )));
    }
    let tree = storage::Root::existing_within(Path::new(path), roots);
    let tree = tree.map_err(|error| cannot_open(path, &system(&error)))?;
    let start = tree
        .find(Path::new(""))
        .map_err(|error| cannot_open(path, &system(&error)))?;
    let names = next_names(&start, None, NAMES_MAX, &mut || pager.stop().is_cancelled());
    let names = names.map_err(|error| cannot_open(path, &error))?;
    FolderListing {
        base: path.into(),
        roots: roots.clone(),
        tree,
        root: Root::new(path),
        meaning,
        pager,
        files: 0,
        current: Some((path.into(), start)),
        open: vec![Directory {
            path: path.into(),
            names,
            last: None,
        }],
    }
    .run()
}

/// The error of the system behind a directory that cannot be used.
fn system(error: &DirectoryError) -> io::Error {
    match error {
        DirectoryError::Io { source, .. } => (*source).into(),
        DirectoryError::NotADirectory(_) => io::ErrorKind::NotADirectory.into(),
        error => io::Error::new(io::ErrorKind::PermissionDenied, error.to_string()),
    }
}

/// A directory being listed: a batch of its names, smallest last so that the next one is popped.
struct Directory {
    path: PathBuf,
    names: Batch,
    last: Option<OsString>,
}

struct Batch {
    names: Vec<OsString>,
    more: bool,
}

/// The `max` smallest names after `after`.
fn next_names(
    directory: &storage::Directory,
    after: Option<&OsString>,
    max: usize,
    stopped: &mut dyn FnMut() -> bool,
) -> io::Result<Batch> {
    let mut smallest = BinaryHeap::new();
    let mut more = false;
    for (count, name) in directory.names()?.enumerate() {
        if count % 1024 == 0 && stopped() {
            break;
        }
        let name = name?;
        if after.is_some_and(|after| name <= *after) {
            continue;
        }
        smallest.push(name);
        if smallest.len() > max {
            smallest.pop();
            more = true;
        }
    }
    let mut names = smallest.into_sorted_vec();
    names.reverse();
    Ok(Batch { names, more })
}

struct FolderListing {
    base: PathBuf,
    /// Directories that the base must be below.
    roots: Roots,
    /// The base, open.
    tree: storage::Root,
    root: Root,
    meaning: Names,
    pager: Pager,
    files: u64,
    /// The directory that was used last, open. A stack of open ones would take a descriptor for each level.
    current: Option<(PathBuf, Arc<storage::Directory>)>,
    open: Vec<Directory>,
}

impl FolderListing {
    fn run(mut self) -> Result<(), Stop> {
        while let Some(directory) = self.open.last_mut() {
            if self.pager.stop().is_cancelled() {
                return Err(Stop::Revoked);
            }
            match directory.names.names.pop() {
                Some(name) => {
                    let path = directory.path.join(&name);
                    directory.last = Some(name);
                    self.entry(path)?;
                }
                None if directory.names.more => {
                    let path = directory.path.clone();
                    let after = directory.last.clone();
                    let names = self.list(&path, after.as_ref())?;
                    if let (Some(directory), Some(names)) = (self.open.last_mut(), names) {
                        directory.names = names;
                    } else {
                        self.open.pop();
                    }
                }
                None => {
                    self.open.pop();
                }
            }
        }
        self.pager.finish(None)
    }

    /// Lists a directory; one that cannot be listed is reported and passed over.
    fn list(&mut self, path: &Path, after: Option<&OsString>) -> Result<Option<Batch>, Stop> {
        let directory = self.directory(path);
        let pager = &self.pager;
        let stopped = &mut || pager.stop().is_cancelled();
        match directory.and_then(|directory| next_names(&directory, after, NAMES_MAX, stopped)) {
            Ok(names) => Ok(Some(names)),
            Err(error) => {
                self.complain(
                    path,
                    format!("the directory cannot be listed: {error}; nothing below it was read"),
                )?;
                Ok(None)
            }
        }
    }

    /// Opens a directory from the base.
    fn directory(&mut self, path: &Path) -> io::Result<Arc<storage::Directory>> {
        if let Some((_, directory)) = self.current.as_ref().filter(|(current, _)| current == path) {
            return Ok(Arc::clone(directory));
        }
        let relative = path.strip_prefix(&self.base).unwrap_or(Path::new(""));
        let directory = self.tree.find(relative).map_err(|error| system(&error))?;
        self.current = Some((path.to_owned(), Arc::clone(&directory)));
        Ok(directory)
    }

    /// Describes an entry, a link as itself.
    fn stat(&mut self, path: &Path) -> io::Result<Stat> {
        let parent = path.parent().unwrap_or(&self.base).to_owned();
        let name = path.file_name().unwrap_or_default();
        self.directory(&parent)?
            .entry(name)?
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn entry(&mut self, path: PathBuf) -> Result<(), Stop> {
        let relative = path
            .strip_prefix(&self.base)
            .unwrap_or(&path)
            .to_string_lossy()
            .into_owned();
        let mut meta = match self.stat(&path) {
            Ok(meta) => meta,
            Err(_) if self.meaning.excludes(&relative) => return Ok(()),
            Err(error) => {
                return self.complain(&path, format!("the entry cannot be looked at: {error}"));
            }
        };
        if kind(&meta) == FileType::Symlink {
            // A link to a directory may have led to files that are included: only what is excluded needs no word.
            if self.meaning.excludes(&relative) {
                return Ok(());
            }
            meta = match self.follow(&path) {
                Ok(meta) => meta,
                Err(_) if self.meaning.on_link == OnLink::Skip => return Ok(()),
                Err(message) => return self.complain(&path, message),
            };
        }
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        if kind(&meta) == FileType::Directory {
            if OWN_DIRECTORIES.contains(&name)
                || is_unfinished(name)
                || self.meaning.excludes_folder(&relative)
            {
                return Ok(());
            }
            if let Some(names) = self.list(&path, None)? {
                self.open.push(Directory {
                    path,
                    names,
                    last: None,
                });
            }
            return Ok(());
        }
        if name == ".DS_Store" || is_unfinished(name) || !self.meaning.selects(&relative) {
            return Ok(());
        }
        if kind(&meta) != FileType::RegularFile {
            return self.complain(
                &path,
                format!(
                    "{} is not a file with content: it was skipped",
                    special(&meta)
                ),
            );
        }
        self.file(&path, u64::try_from(meta.st_size).unwrap_or(0))
    }

    /// What a link leads to, when it is a file of this library.
    fn follow(&self, path: &Path) -> Result<Stat, String> {
        let meta = self
            .roots
            .stat_below(&self.base, path)
            .map_err(|error| match error {
                RootError::Escapes { .. } | RootError::Outside(_) => {
                    "the link leads out of the folder and was not followed: copy the file into it"
                        .to_owned()
                }
                error => format!(
                    "the link leads nowhere: {}; mend or remove it",
                    io::Error::from(error.errno())
                ),
            })?;
        match kind(&meta) {
            FileType::Directory => Err(
                "the link leads to a directory, and those are not followed: list that directory \
                                        itself"
                    .to_owned(),
            ),
            _ => Ok(meta),
        }
    }

    fn file(&mut self, path: &Path, bytes: u64) -> Result<(), Stop> {
        let relative = path.strip_prefix(&self.base).unwrap_or(path);
        let Some(relative) = relative.to_str() else {
            return self.complain(path, "the name is not UTF-8: rename the file".to_owned());
        };
        self.files += 1;
        let declared = match self.may_have_sidecar(path) {
            true => self.sidecar(path),
            false => Ok(None),
        };
        let hash = match declared {
            Ok(hash) => hash,
            Err(message) => {
                self.complain(path, message)?;
                None
            }
        };
        let root = &self.root;
        let entry = Entry {
            relative,
            bytes,
            hash,
            pattern: self.meaning.pattern.as_ref(),
        };
        let row = entry.describe(|| root.inside(relative.to_owned()));
        self.pager.row(None, self.files, row)
    }

    fn sidecar(&mut self, path: &Path) -> Result<Option<sidecar::Declared>, String> {
        let directory = path.parent().and_then(|parent| self.directory(parent).ok());
        let is_there = |extension: &str| self.is_listed(path, extension, directory.as_deref());
        sidecar::declared_for(
            path,
            |sidecar| self.roots.open_file_below(&self.base, sidecar),
            is_there,
        )
    }

    /// Whether a name with an extension more can follow in the directory being listed: between a name and that name with
    /// an extension there are only names that begin with it.
    fn may_have_sidecar(&self, path: &Path) -> bool {
        let Some((directory, name)) = self.open.last().zip(path.file_name()) else {
            return false;
        };
        let next = directory.names.names.last();
        next.map_or(directory.names.more, |next| {
            next.as_bytes().starts_with(name.as_bytes())
        })
    }

    /// Whether the directory being listed has a file of this name with an extension more. Names behind the batch in
    /// hand are looked for on disk.
    fn is_listed(&self, path: &Path, extension: &str, open: Option<&storage::Directory>) -> bool {
        let Some((directory, name)) = self.open.last().zip(path.file_name()) else {
            return false;
        };
        let mut wanted = name.to_owned();
        wanted.push(extension);
        let names = &directory.names;
        match names.names.first() {
            Some(largest) if *largest >= wanted => names
                .names
                .binary_search_by(|probe| wanted.cmp(probe))
                .is_ok(),
            _ => {
                names.more
                    && open
                        .is_some_and(|open| open.entry(&wanted).is_ok_and(|entry| entry.is_some()))
            }
        }
    }

    fn complain(&mut self, path: &Path, message: String) -> Result<(), Stop> {
        let relative = path
            .strip_prefix(&self.base)
            .unwrap_or(path)
            .to_string_lossy()
            .into_owned();
        let message = format!("{relative:?}: {message}");
        self.pager.row(
            None,
            0,
            Err(RowError {
                line: 0,
                column: None,
                asset: Some(relative),
                message,
                title: None,
            }),
        )
    }
}

fn kind(meta: &Stat) -> FileType {
    FileType::from_raw_mode(meta.st_mode)
}

fn special(meta: &Stat) -> &'static str {
    match kind(meta) {
        FileType::Fifo => "a pipe",
        FileType::Socket => "a socket",
        _ => "a device",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_of_names_are_sorted_and_leave_nothing_out() {
        let dir = tempfile::TempDir::new().expect("a directory");
        let mut expected: Vec<String> = (0..25).map(|n| format!("{}.mov", n * 7 % 25)).collect();
        for name in &expected {
            fs::write(dir.path().join(name), "").expect("a file");
        }
        expected.sort();
        let directory = storage::Root::existing(dir.path())
            .and_then(|root| root.find(Path::new("")))
            .expect("opened");
        for max in [1, 4, 24, 25, 26] {
            let (mut seen, mut last) = (Vec::new(), None);
            loop {
                let mut batch =
                    next_names(&directory, last.as_ref(), max, &mut || false).expect("readable");
                assert!(batch.names.len() <= max);
                while let Some(name) = batch.names.pop() {
                    seen.push(name.to_str().expect("ASCII").to_owned());
                    last = Some(name);
                }
                if !batch.more {
                    break;
                }
            }
            assert_eq!(seen, expected, "in batches of {max}");
        }
    }
}
