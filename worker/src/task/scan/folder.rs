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
use std::collections::BinaryHeap;
use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use storage::{Roots, is_unfinished};

/// Names of one directory held at a time.
const NAMES_MAX: usize = 250_000;

/// Reads a folder to its end or until it is stopped.
pub(super) fn scan(path: &str, roots: &Roots, meaning: Names, pager: Pager) -> Result<(), Stop> {
    roots.check(Path::new(path)).map_err(|error| closed(path, &error))?;
    let meta = fs::metadata(path).map_err(|error| cannot_open(path, &error))?;
    if !meta.is_dir() {
        let message = format!("{path} is not a directory: write `manifest:` for a file that lists assets");
        return Err(Stop::Failed(Failure::permanent("library_unreadable", message)));
    }
    let real = fs::canonicalize(path).map_err(|error| cannot_open(path, &error))?;
    let inside = Roots::new(&[path.into()]);
    let names = next_names(Path::new(path), None, NAMES_MAX, &mut || pager.stop().is_cancelled());
    let names = names.map_err(|error| cannot_open(path, &error))?;
    let start = Directory { path: path.into(), names, last: None };
    FolderListing {
        base: path.into(),
        inside,
        real,
        root: Root::new(path),
        meaning,
        pager,
        files: 0,
        open: vec![start],
    }
    .run()
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
    path: &Path,
    after: Option<&OsString>,
    max: usize,
    stopped: &mut dyn FnMut() -> bool,
) -> std::io::Result<Batch> {
    let mut smallest = BinaryHeap::new();
    let mut more = false;
    for (count, entry) in fs::read_dir(path)?.enumerate() {
        if count % 1024 == 0 && stopped() {
            break;
        }
        let name = entry?.file_name();
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
    /// What sidecars are read below.
    inside: Roots,
    /// The base without links, which the targets of links have to stay below.
    real: PathBuf,
    root: Root,
    meaning: Names,
    pager: Pager,
    files: u64,
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
        let pager = &self.pager;
        match next_names(path, after, NAMES_MAX, &mut || pager.stop().is_cancelled()) {
            Ok(names) => Ok(Some(names)),
            Err(error) => {
                self.complain(path, format!("the directory cannot be listed: {error}; nothing below it was read"))?;
                Ok(None)
            }
        }
    }

    fn entry(&mut self, path: PathBuf) -> Result<(), Stop> {
        let relative = path.strip_prefix(&self.base).unwrap_or(&path).to_string_lossy().into_owned();
        let mut meta = match fs::symlink_metadata(&path) {
            Ok(meta) => meta,
            Err(_) if self.meaning.excludes(&relative) => return Ok(()),
            Err(error) => return self.complain(&path, format!("the entry cannot be looked at: {error}")),
        };
        if meta.is_symlink() {
            // A link to a directory may have led to files that are included: only what is excluded needs no word.
            if self.meaning.excludes(&relative) {
                return Ok(());
            }
            meta = match self.follow(&path) {
                Ok(meta) => meta,
                Err(message) => return self.complain(&path, message),
            };
        }
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if meta.is_dir() {
            if OWN_DIRECTORIES.contains(&name) || self.meaning.excludes_folder(&relative) {
                return Ok(());
            }
            if let Some(names) = self.list(&path, None)? {
                self.open.push(Directory { path, names, last: None });
            }
            return Ok(());
        }
        if name == ".DS_Store" || is_unfinished(name) || !self.meaning.selects(&relative) {
            return Ok(());
        }
        if !meta.is_file() {
            return self.complain(&path, format!("{} is not a file with content: it was skipped", special(&meta)));
        }
        self.file(&path, meta.len())
    }

    /// What a link leads to, when it is a file of this library.
    fn follow(&self, path: &Path) -> Result<Metadata, String> {
        let target =
            fs::canonicalize(path).map_err(|error| format!("the link leads nowhere: {error}; mend or remove it"))?;
        let meta =
            fs::metadata(&target).map_err(|error| format!("the target of the link cannot be looked at: {error}"))?;
        if meta.is_dir() {
            return Err(
                "the link leads to a directory, and those are not followed: list that directory itself".to_owned()
            );
        }
        match target.starts_with(&self.real) {
            true => Ok(meta),
            false => Err("the link leads out of the folder and was not followed: copy the file into it".to_owned()),
        }
    }

    fn file(&mut self, path: &Path, bytes: u64) -> Result<(), Stop> {
        let relative = path.strip_prefix(&self.base).unwrap_or(path);
        let Some(relative) = relative.to_str() else {
            return self.complain(path, "the name is not UTF-8: rename the file".to_owned());
        };
        self.files += 1;
        let declared = sidecar::beside(path, &self.inside, |extension| self.is_listed(path, extension));
        let hash = match declared {
            Ok(hash) => hash,
            Err(message) => {
                self.complain(path, message)?;
                None
            }
        };
        let root = &self.root;
        let entry = Entry { relative, bytes, hash, pattern: self.meaning.pattern.as_ref() };
        let row = entry.describe(|| root.inside(relative.to_owned()));
        self.pager.row(None, self.files, row)
    }

    /// Whether the directory being listed has a file of this name with an extension more. Names behind the batch in
    /// hand are looked for on disk.
    fn is_listed(&self, path: &Path, extension: &str) -> bool {
        let Some((directory, name)) = self.open.last().zip(path.file_name()) else { return false };
        // Between a name and that name with an extension there are only names that begin with it.
        let next = directory.names.names.last();
        if next.is_some_and(|next| !next.as_bytes().starts_with(name.as_bytes())) {
            return false;
        }
        let mut wanted = name.to_owned();
        wanted.push(extension);
        let names = &directory.names;
        match names.names.first() {
            Some(largest) if *largest >= wanted => names.names.binary_search_by(|probe| wanted.cmp(probe)).is_ok(),
            _ => names.more && fs::symlink_metadata(path.with_file_name(wanted)).is_ok(),
        }
    }

    fn complain(&mut self, path: &Path, message: String) -> Result<(), Stop> {
        let relative = path.strip_prefix(&self.base).unwrap_or(path).to_string_lossy().into_owned();
        let message = format!("{relative:?}: {message}");
        self.pager.row(None, 0, Err(RowError { line: 0, column: None, asset: Some(relative), message, title: None }))
    }
}

fn special(meta: &Metadata) -> &'static str {
    let kind = meta.file_type();
    match () {
        () if kind.is_fifo() => "a pipe",
        () if kind.is_socket() => "a socket",
        () => "a device",
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
        for max in [1, 4, 24, 25, 26] {
            let (mut seen, mut last) = (Vec::new(), None);
            loop {
                let mut batch = next_names(dir.path(), last.as_ref(), max, &mut || false).expect("readable");
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
