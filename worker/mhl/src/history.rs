//! The generations of one tree, folded into what is known about each of its files.
use super::chain::{self, Link, c4_of};
use super::directory_hashes::DirectoryHashes;
use super::file_history::FileHistory;
use super::folder::Folder;
use super::ignore::{add_own, default_patterns};
use super::model::{Entry, EntryKind, Header, MhlError, Referred};
use super::read::read_generation_in;
use super::{CHAIN_FILE, FOLDER};
use protocol::model::hash::HashAlgorithm;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::PathBuf;
use tokio_util::sync::CancellationToken;

/// A loaded history; empty when the tree has none.
pub(super) struct History {
    /// Generations, first to last.
    pub(super) links: Vec<Link>,
    /// Files by path relative to the root.
    pub(super) files: HashMap<String, FileHistory>,
    /// Directories by path relative to the root, and whether they were met in the tree.
    pub(super) directories: HashMap<String, bool>,
    /// Generations of nested histories that the generations include.
    pub(super) references: Vec<Referred>,
    /// Directory hashes of the last generation.
    pub(super) sealed: DirectoryHashes,
    /// Algorithms that files are recorded with.
    pub(super) algorithms: BTreeSet<HashAlgorithm>,
    /// Patterns of the last generation, with ours.
    pub(super) ignore: Vec<String>,
    /// What is wrong with the chain and its generations.
    pub(super) problems: Vec<String>,
    /// Generation files that the chain does not list, with the tool that wrote them where that can be read.
    pub(super) unlisted: Vec<(PathBuf, Option<String>)>,
}

impl History {
    /// Of a tree that has none.
    pub(super) fn empty() -> History {
        History {
            links: Vec::new(),
            files: HashMap::new(),
            directories: HashMap::new(),
            references: Vec::new(),
            sealed: DirectoryHashes::default(),
            algorithms: BTreeSet::new(),
            ignore: default_patterns(),
            problems: Vec::new(),
            unlisted: Vec::new(),
        }
    }

    /// Loads the history of a directory. What is broken is listed in `problems`; only what cannot be read at all is an
    /// error.
    pub(super) fn load(
        directory: &Folder,
        cancel: &CancellationToken,
    ) -> Result<History, MhlError> {
        let mut history = History::empty();
        if let Some(folder) = directory.find(FOLDER)? {
            history.read(&folder, cancel)?;
        }
        Ok(history)
    }

    fn read(&mut self, folder: &Folder, cancel: &CancellationToken) -> Result<(), MhlError> {
        let generations = generation_files(folder)?;
        if folder.entry(CHAIN_FILE).is_ok() {
            self.links = chain::read(folder, CHAIN_FILE)?;
            self.links.sort_by_key(|link| link.number);
            self.problems.extend(gaps(&self.links));
        } else if !generations.is_empty() {
            self.problems
                .push(format!("there are generations but no {CHAIN_FILE}"));
        }
        for index in 0..self.links.len() {
            if cancel.is_cancelled() {
                return Err(MhlError::Cancelled);
            }
            self.load_generation(folder, index);
        }
        for file in generations {
            if !self.links.iter().any(|link| link.file == file) {
                let tool = read_generation_in(folder, &file, |_| {})
                    .ok()
                    .map(|(header, _)| header.tool);
                self.unlisted.push((folder.at(&file), tool));
            }
        }
        Ok(())
    }

    /// A file or directory of this path is in the tree.
    pub(super) fn see(&mut self, path: &str) {
        if let Some(known) = self.files.get_mut(path) {
            known.seen = true;
        } else if let Some(seen) = self.directories.get_mut(path) {
            *seen = true;
        }
    }

    /// Marks everything below a directory as seen: an unreadable directory says nothing about its entries.
    pub(super) fn see_below(&mut self, directory: &str) {
        let below = |path: &str| {
            directory.is_empty()
                || path
                    .strip_prefix(directory)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.files
            .iter_mut()
            .filter(|(path, _)| below(path))
            .for_each(|(_, known)| known.seen = true);
        self.directories
            .iter_mut()
            .filter(|(path, _)| below(path))
            .for_each(|(_, seen)| *seen = true);
    }

    /// Recorded files and directories that were not met.
    pub(super) fn unseen(&self) -> impl Iterator<Item = &str> {
        let files = self
            .files
            .iter()
            .filter(|(_, known)| !known.seen)
            .map(|(path, _)| path.as_str());
        files.chain(
            self.directories
                .iter()
                .filter(|(_, seen)| !**seen)
                .map(|(path, _)| path.as_str()),
        )
    }

    /// Whether a directory is recorded.
    pub(super) fn has_directory(&self, path: &str) -> bool {
        self.directories.contains_key(path)
    }

    /// Recorded directories that no recorded file lies in, parents first: nothing but the history knows of them in a bucket.
    pub(super) fn empty_directories(&self) -> Vec<String> {
        let mut filled: HashSet<&str> = HashSet::new();
        for path in self.files.keys() {
            let mut above = path.as_str();
            while let Some((parent, _)) = above.rsplit_once('/') {
                if !filled.insert(parent) {
                    break;
                }
                above = parent;
            }
        }
        let mut empty: Vec<String> = self
            .directories
            .keys()
            .filter(|path| !filled.contains(path.as_str()))
            .cloned()
            .collect();
        empty.sort();
        empty
    }

    /// Number the next generation gets.
    pub(super) fn next_number(&self) -> u64 {
        self.links
            .last()
            .map_or(1, |link| link.number.saturating_add(1))
    }

    fn load_generation(&mut self, folder: &Folder, index: usize) {
        let Link { file, c4, .. } = self.links[index].clone();
        match c4_of(folder, &file) {
            Ok(found) if found == c4 => {}
            Ok(_) => self.problems.push(format!(
                "generation {file} is not the one the chain lists: it was changed"
            )),
            Err(MhlError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                self.problems.push(format!("generation {file} is missing"));
                return;
            }
            Err(error) => {
                self.problems.push(error.to_string());
                return;
            }
        }
        let last = index + 1 == self.links.len();
        let mut sealed = DirectoryHashes::default();
        let (files, directories, algorithms) =
            (&mut self.files, &mut self.directories, &mut self.algorithms);
        let read = read_generation_in(folder, &file, |entry| {
            algorithms.extend(
                entry
                    .hashes
                    .iter()
                    .map(|recorded| recorded.digest.algorithm),
            );
            if last && entry.kind == EntryKind::Directory {
                sealed.add(&entry.path, &entry.hashes, &entry.structure);
            }
            add_entry(files, directories, entry);
        });
        match read {
            Ok((header, references)) => {
                let referred = |reference| Referred {
                    reference,
                    generation: file.clone(),
                    last,
                };
                self.references.extend(references.into_iter().map(referred));
                sealed.add("", &header.root_content, &header.root_structure);
                self.sealed = sealed;
                self.take_ignore(header);
            }
            Err(error) => self.problems.push(error.to_string()),
        }
    }

    fn take_ignore(&mut self, header: Header) {
        if !header.ignore.is_empty() {
            self.ignore = header.ignore;
            add_own(&mut self.ignore);
        }
    }
}

/// What is wrong with the numbers of a chain: they count from 1, each once.
fn gaps(links: &[Link]) -> Vec<String> {
    let mut expected = 1;
    let mut problems = Vec::new();
    for link in links {
        let (number, file) = (link.number, &link.file);
        if number < expected {
            problems.push(format!(
                "{CHAIN_FILE} lists two generations with the number {number}"
            ));
        } else if number > expected {
            let missing = if number - expected == 1 {
                format!("generation {expected} is")
            } else {
                format!("generations {expected} to {} are", number - 1)
            };
            problems.push(format!(
                "{missing} missing: the next one in {CHAIN_FILE} is {file}"
            ));
        }
        expected = expected.max(number.saturating_add(1));
    }
    problems
}

fn add_entry(
    files: &mut HashMap<String, FileHistory>,
    directories: &mut HashMap<String, bool>,
    entry: Entry,
) {
    if let Some(previous) = entry
        .previous_path
        .as_deref()
        .filter(|previous| *previous != entry.path)
    {
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

/// Names of the generations in the folder of a history, sorted.
fn generation_files(folder: &Folder) -> Result<Vec<String>, MhlError> {
    let mut names = Vec::new();
    for (name, _) in folder.entries()? {
        let name = name.to_string_lossy().into_owned();
        let number = name.bytes().take_while(u8::is_ascii_digit).count();
        // `._` files are what macOS leaves on foreign disks.
        if number >= 4 && name.ends_with(".mhl") && !name.starts_with("._") {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gap_in_the_numbers_of_a_chain_is_a_problem() {
        let chain = |numbers: &[u64]| {
            let link = |number: &u64| Link {
                number: *number,
                file: format!("{number:04}_a.mhl"),
                c4: String::new(),
            };
            gaps(&numbers.iter().map(link).collect::<Vec<_>>())
        };
        assert!(chain(&[]).is_empty() && chain(&[1, 2, 3]).is_empty());
        assert!(
            chain(&[1, 3])[0].starts_with("generation 2 is missing"),
            "{:?}",
            chain(&[1, 3])
        );
        assert!(chain(&[4])[0].starts_with("generations 1 to 3 are missing"));
        assert!(chain(&[1, 2, 2, 3])[0].contains("two generations with the number 2"));
        assert_eq!(chain(&[1, 2, 2, 3]).len(), 1);
        assert_eq!(chain(&[1, u64::MAX]).len(), 1);
    }

    #[test]
    fn empty_directories_are_those_without_a_recorded_file() {
        let mut history = History::empty();
        for path in ["Clips", "Voice", "Voice/old", "a", "a/b"] {
            history.directories.insert(path.to_owned(), false);
        }
        for path in ["Clips/x.mov", "a/b/c/y.mov", "z.mov"] {
            history
                .files
                .insert(path.to_owned(), FileHistory::default());
        }
        assert_eq!(history.empty_directories(), ["Voice", "Voice/old"]);
    }
}
