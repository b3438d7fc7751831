//! The generations of one tree, folded into what is known about each of its files.
use super::chain::{self, Link};
use super::ignore::{add_own, default_patterns};
use super::model::{Action, Entry, EntryKind, MhlError, Recorded};
use super::read::read_generation;
use super::{CHAIN_FILE, FOLDER};
use crate::hash::{Digest, hash_file};
use protocol::wire::unit::HashAlgorithm;
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use tokio_util::sync::CancellationToken;

/// What a history knows about one file.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// The hash that later ones are held against: the first one called original.
    pub(super) original: Option<Digest>,
    /// The first hash of each algorithm.
    first: Vec<Digest>,
    /// Hashes of the last generation that has the file.
    latest: Vec<Recorded>,
    bytes: Option<u64>,
    modified: Option<String>,
    /// In a bucket: what the other side called the state that was hashed last.
    state: Option<String>,
    /// Whether it was met in the tree.
    pub(super) seen: bool,
}

/// A loaded history; empty when the tree has none.
pub(super) struct History {
    /// Generations, first to last.
    pub(super) links: Vec<Link>,
    /// Files by path relative to the root.
    pub(super) files: HashMap<String, Known>,
    /// Directories by path relative to the root, and whether they were met in the tree.
    pub(super) directories: HashMap<String, bool>,
    /// Algorithms that files are recorded with.
    pub(super) algorithms: BTreeSet<HashAlgorithm>,
    /// Patterns of the last generation, with ours.
    pub(super) ignore: Vec<String>,
    /// What is wrong with the chain and its generations.
    pub(super) problems: Vec<String>,
    /// Generation files that the chain does not list, with the tool that wrote them where that can be read.
    pub(super) unlisted: Vec<(PathBuf, Option<String>)>,
}

impl Known {
    /// The first hash of an algorithm.
    pub(super) fn first(&self, algorithm: HashAlgorithm) -> Option<&Digest> {
        self.first.iter().find(|digest| digest.algorithm == algorithm)
    }

    /// The first hashes, one of each algorithm.
    pub(super) fn firsts(&self) -> &[Digest] {
        &self.first
    }

    /// The algorithm a file must be hashed with to be held against its history, when `wanted` alone does not do.
    pub(super) fn needed(&self, wanted: &[Digest]) -> Option<HashAlgorithm> {
        let held = wanted.iter().any(|digest| self.first(digest.algorithm).is_some());
        if held { None } else { self.first.first().map(|digest| digest.algorithm) }
    }

    /// The last recorded hash of an algorithm.
    pub(super) fn latest(&self, algorithm: HashAlgorithm) -> Option<&Digest> {
        self.latest.iter().map(|recorded| &recorded.digest).find(|digest| digest.algorithm == algorithm)
    }

    /// Whether exactly this hash, computed at exactly this moment, is recorded already.
    pub(super) fn has_stamp(&self, digest: &Digest, date: &str) -> bool {
        self.latest.iter().any(|recorded| recorded.digest == *digest && recorded.date.as_deref() == Some(date))
    }

    /// Whether the last generation that has the file found it altered.
    pub(super) fn has_failed(&self) -> bool {
        self.latest.iter().any(|recorded| recorded.action == Some(Action::Failed))
    }

    /// Whether size and time are those recorded. Others write whole seconds; ours are exact. In a bucket times are too
    /// coarse to tell anything: there the state counts.
    pub(super) fn is_unchanged(&self, bytes: u64, modified: jiff::Timestamp, state: Option<&str>) -> bool {
        if state.is_some() {
            return self.state.as_deref() == state && self.bytes.unwrap_or(0) == bytes;
        }
        let recorded = self.modified.as_deref().and_then(|text| text.parse::<jiff::Timestamp>().ok());
        let same_time = recorded.is_some_and(|recorded| match recorded.subsec_nanosecond() {
            0 => recorded.as_second() == modified.as_second(),
            _ => recorded == modified,
        });
        // The reference tool leaves the size of empty files out.
        self.bytes.unwrap_or(0) == bytes && same_time
    }

    fn add(&mut self, entry: Entry) {
        if let EntryKind::File { bytes } = entry.kind {
            self.bytes = bytes;
        }
        self.modified = entry.modified;
        self.state = entry.state;
        self.latest.clear();
        for recorded in entry.hashes {
            if self.original.is_none() && recorded.action == Some(Action::Original) {
                self.original = Some(recorded.digest.clone());
            }
            if self.first(recorded.digest.algorithm).is_none() {
                self.first.push(recorded.digest.clone());
            }
            self.latest.push(recorded);
        }
    }
}

impl History {
    /// Loads the history of the tree below `root`. What is broken is listed in `problems`; only what cannot be read at
    /// all is an error.
    pub(super) fn load(root: &Path, cancel: &CancellationToken) -> Result<History, MhlError> {
        let mut history = History {
            links: Vec::new(),
            files: HashMap::new(),
            directories: HashMap::new(),
            algorithms: BTreeSet::new(),
            ignore: default_patterns(),
            problems: Vec::new(),
            unlisted: Vec::new(),
        };
        let folder = root.join(FOLDER);
        let generations = generation_files(&folder)?;
        let chain = folder.join(CHAIN_FILE);
        if chain.exists() {
            history.links = chain::read(&chain)?;
            history.links.sort_by_key(|link| link.number);
        } else if !generations.is_empty() {
            history.problems.push(format!("there are generations but no {CHAIN_FILE}"));
        }
        for index in 0..history.links.len() {
            if cancel.is_cancelled() {
                return Err(MhlError::Cancelled);
            }
            history.load_generation(&folder, index);
        }
        for file in generations {
            if !history.links.iter().any(|link| link.file == file) {
                let path = folder.join(&file);
                let tool = read_generation(&path, |_| {}).ok().map(|(header, _)| header.tool);
                history.unlisted.push((path, tool));
            }
        }
        Ok(history)
    }

    /// A file or directory of this path is in the tree.
    pub(super) fn see(&mut self, path: &str) {
        if let Some(known) = self.files.get_mut(path) {
            known.seen = true;
        } else if let Some(seen) = self.directories.get_mut(path) {
            *seen = true;
        }
    }

    /// Number the next generation gets.
    pub(super) fn next_number(&self) -> u64 {
        self.links.last().map_or(1, |link| link.number.saturating_add(1))
    }

    fn load_generation(&mut self, folder: &Path, index: usize) {
        let Link { file, c4, .. } = self.links[index].clone();
        let path = folder.join(&file);
        match c4_of(&path) {
            Ok(found) if found == c4 => {}
            Ok(_) => self.problems.push(format!("generation {file} is not the one the chain lists: it was changed")),
            Err(MhlError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                self.problems.push(format!("generation {file} is missing"));
                return;
            }
            Err(error) => {
                self.problems.push(error.to_string());
                return;
            }
        }
        let (files, directories, algorithms) = (&mut self.files, &mut self.directories, &mut self.algorithms);
        let read = read_generation(&path, |entry| {
            algorithms.extend(entry.hashes.iter().map(|recorded| recorded.digest.algorithm));
            add_entry(files, directories, entry);
        });
        match read {
            Ok((header, _)) if !header.ignore.is_empty() => {
                self.ignore = header.ignore;
                add_own(&mut self.ignore);
            }
            Ok(_) => {}
            Err(error) => self.problems.push(error.to_string()),
        }
    }
}

/// C4 id of a file of a history.
pub(super) fn c4_of(path: &Path) -> Result<String, MhlError> {
    let hashed = hash_file(path, &[HashAlgorithm::C4], &CancellationToken::new());
    match hashed {
        Ok((digests, _)) => Ok(digests.into_iter().next().map_or_else(String::new, |digest| digest.text)),
        Err(crate::hash::HashError::Read(source)) => Err(MhlError::Io { path: path.to_owned(), source }),
        Err(crate::hash::HashError::Cancelled) => Err(MhlError::Cancelled),
    }
}

fn add_entry(files: &mut HashMap<String, Known>, directories: &mut HashMap<String, bool>, entry: Entry) {
    if let Some(previous) = entry.previous_path.as_deref().filter(|previous| *previous != entry.path) {
        directories.remove(previous);
        if let Some(known) = files.remove(previous) {
            files.insert(entry.path.clone(), known);
        }
    }
    match entry.kind {
        EntryKind::Directory => {
            directories.insert(entry.path, false);
        }
        EntryKind::File { .. } => files.entry(entry.path.clone()).or_default().add(entry),
    }
}

/// Names of the generations in a history folder, sorted; none when there is no folder.
fn generation_files(folder: &Path) -> Result<Vec<String>, MhlError> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(MhlError::io(folder)(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(MhlError::io(folder))?.file_name().to_string_lossy().into_owned();
        let number = name.bytes().take_while(u8::is_ascii_digit).count();
        // `._` files are what macOS leaves on foreign disks.
        if number >= 4 && name.ends_with(".mhl") && !name.starts_with("._") {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}
