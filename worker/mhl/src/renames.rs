//! Files of a history that stand in the tree under another name. A new file is an old one when it has the hash of a
//! recorded file that is no longer there; a directory follows the files that went from it.
use super::action;
use super::file_history::FileHistory;
use super::history::History;
use super::model::{Entry, EntryKind, MhlError};
use std::collections::{BTreeSet, HashMap, HashSet};
use storage::hash::Digest;

/// What has gone, and where it went.
pub(super) struct Renames<'a> {
    history: &'a History,
    /// Recorded files that are not in the tree, by hash.
    gone: HashMap<String, BTreeSet<String>>,
    /// Recorded directories that are not in the tree.
    gone_directories: HashSet<String>,
    /// New path to old path.
    files: HashMap<String, String>,
    directories: HashMap<String, String>,
    /// New directories, seen so far.
    new_directories: HashSet<String>,
    /// Parents of renamed files, new and old, to be settled once all directories are known.
    pairs: Vec<(String, String)>,
}

impl Renames<'_> {
    /// From a history whose files have all been looked for.
    pub(super) fn new(history: &History) -> Renames<'_> {
        let mut gone: HashMap<String, BTreeSet<String>> = HashMap::new();
        for (path, known) in history.files.iter().filter(|(_, known)| !known.seen) {
            for digest in known.firsts() {
                gone.entry(digest.to_string())
                    .or_default()
                    .insert(path.clone());
            }
        }
        let unseen = history.directories.iter().filter(|(_, seen)| !**seen);
        Renames {
            history,
            gone,
            gone_directories: unseen.map(|(path, _)| path.clone()).collect(),
            files: HashMap::new(),
            directories: HashMap::new(),
            new_directories: HashSet::new(),
            pairs: Vec::new(),
        }
    }

    /// Takes a new entry in.
    pub(super) fn look_at(&mut self, entry: &Entry) -> Result<(), MhlError> {
        match entry.kind {
            EntryKind::Directory => {
                self.new_directories.insert(entry.path.clone());
            }
            EntryKind::File { bytes } => {
                let digests: Vec<Digest> = entry
                    .hashes
                    .iter()
                    .map(|recorded| recorded.digest.clone())
                    .collect();
                if let Some(old) = self.take(&digests, &entry.path, bytes.unwrap_or(0)) {
                    self.pairs
                        .push((parent(&entry.path).to_owned(), parent(&old).to_owned()));
                    self.files.insert(entry.path.clone(), old);
                }
            }
        }
        Ok(())
    }

    /// The entry as it is recorded: with the path it had, and held against what was known under that path.
    pub(super) fn apply(&mut self, mut entry: Entry) -> Entry {
        self.settle_directories();
        match entry.kind {
            EntryKind::Directory => {
                entry.previous_path = self.directories.get(&entry.path).cloned()
            }
            EntryKind::File { .. } => {
                let old = self
                    .files
                    .get(&entry.path)
                    .and_then(|old| Some((old, self.history.files.get(old)?)));
                if let Some((old, known)) = old {
                    let digests: Vec<Digest> = entry
                        .hashes
                        .iter()
                        .map(|recorded| recorded.digest.clone())
                        .collect();
                    let date = entry
                        .hashes
                        .iter()
                        .find_map(|recorded| recorded.date.clone())
                        .unwrap_or_default();
                    entry.hashes = action::recorded(known, &digests, &date);
                    entry.previous_path = Some(old.clone());
                }
            }
        }
        entry
    }

    /// The recorded file a new one was; of several the one of the same name. Empty files are all alike: only a name
    /// tells them apart.
    fn take(&mut self, digests: &[Digest], path: &str, bytes: u64) -> Option<String> {
        let candidates = digests
            .iter()
            .find_map(|digest| self.gone.get(&digest.to_string()))?;
        let same_name = candidates.iter().find(|old| name(old) == name(path));
        let old = same_name
            .or_else(|| candidates.first().filter(|_| bytes > 0))?
            .clone();
        for digest in self
            .history
            .files
            .get(&old)
            .into_iter()
            .flat_map(FileHistory::firsts)
        {
            if let Some(paths) = self.gone.get_mut(&digest.to_string()) {
                paths.remove(&old);
            }
        }
        Some(old)
    }

    fn settle_directories(&mut self) {
        for (mut new, mut old) in std::mem::take(&mut self.pairs) {
            while !new.is_empty()
                && self.new_directories.contains(&new)
                && self.gone_directories.remove(&old)
            {
                self.directories.insert(new.clone(), old.clone());
                (new, old) = (parent(&new).to_owned(), parent(&old).to_owned());
            }
        }
    }
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

fn name(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}
