//! The generations of one tree, folded into what is known about each of its files.
use super::chain::{self, Link, c4_of};
use super::folder::Folder;
use super::ignore::{add_own, default_patterns};
use super::model::{Action, Entry, EntryKind, Header, MhlError, Recorded, Referred};
use super::read::read_generation_in;
use super::{CHAIN_FILE, FOLDER};
use protocol::model::hash::HashAlgorithm;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::PathBuf;
use storage::hash::Digest;
use tokio_util::sync::CancellationToken;

/// What a history knows about one file. There are as many of these in memory as a tree has files, so nothing is in it
/// twice.
#[derive(Debug, Clone, Default)]
pub(super) struct Known {
    /// Every hash that counts, each once.
    hashes: Vec<Held>,
    /// Which of them later ones are held against: the first one called original.
    original: Option<u8>,
    bytes: Option<u64>,
    modified: Option<jiff::Timestamp>,
    /// In a bucket: what the other side called the state that was hashed last.
    state: Option<Box<str>>,
    /// Whether it was met in the tree.
    pub(super) seen: bool,
}

/// One hash of a file.
#[derive(Debug, Clone)]
struct Held {
    digest: Digest,
    /// Whether it is the first of its algorithm.
    first: bool,
    /// What the last generation that has the file says of it, and when it was computed.
    latest: Option<(Option<Action>, Option<jiff::Timestamp>)>,
}

/// Hashes over the directories of a tree, as the last generation has them.
#[derive(Debug, Default)]
pub(super) struct Sealed {
    /// The algorithm that is compared; a generation may have several.
    pub(super) algorithm: Option<HashAlgorithm>,
    /// Content hash and, where it is recorded, structure hash of each directory; the root is the empty path.
    pub(super) directories: HashMap<String, (Digest, Option<Digest>)>,
}

/// A loaded history; empty when the tree has none.
pub(super) struct History {
    /// Generations, first to last.
    pub(super) links: Vec<Link>,
    /// Files by path relative to the root.
    pub(super) files: HashMap<String, Known>,
    /// Directories by path relative to the root, and whether they were met in the tree.
    pub(super) directories: HashMap<String, bool>,
    /// Generations of nested histories that the generations include.
    pub(super) references: Vec<Referred>,
    /// Directory hashes of the last generation.
    pub(super) sealed: Sealed,
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
    /// With the first hashes of a history; the first one is the original.
    pub(super) fn of(hashes: impl Iterator<Item = Digest>) -> Known {
        let hashes: Vec<Held> = hashes
            .map(|digest| Held {
                digest,
                first: true,
                latest: None,
            })
            .collect();
        Known {
            original: (!hashes.is_empty()).then_some(0),
            hashes,
            ..Known::default()
        }
    }

    /// The hash that later ones are held against.
    pub(super) fn original(&self) -> Option<&Digest> {
        self.hashes
            .get(usize::from(self.original?))
            .map(|held| &held.digest)
    }

    /// The first hash of an algorithm.
    pub(super) fn first(&self, algorithm: HashAlgorithm) -> Option<&Digest> {
        self.firsts().find(|digest| digest.algorithm == algorithm)
    }

    /// The first hashes, one of each algorithm.
    pub(super) fn firsts(&self) -> impl Iterator<Item = &Digest> {
        self.hashes
            .iter()
            .filter(|held| held.first)
            .map(|held| &held.digest)
    }

    /// The algorithm a file must be hashed with to be held against its history, when `wanted` alone does not do.
    pub(super) fn needed(&self, wanted: &[Digest]) -> Option<HashAlgorithm> {
        let held = wanted
            .iter()
            .any(|digest| self.first(digest.algorithm).is_some());
        if held {
            None
        } else {
            self.firsts().next().map(|digest| digest.algorithm)
        }
    }

    /// The last recorded hash of an algorithm.
    pub(super) fn latest(&self, algorithm: HashAlgorithm) -> Option<&Digest> {
        let latest = self
            .hashes
            .iter()
            .filter(|held| held.latest.is_some())
            .map(|held| &held.digest);
        latest
            .into_iter()
            .find(|digest| digest.algorithm == algorithm)
    }

    /// Whether exactly this hash, computed at exactly this moment, is recorded already.
    pub(super) fn has_stamp(&self, digest: &Digest, date: jiff::Timestamp) -> bool {
        let stamped = |held: &Held| held.latest.is_some_and(|(_, at)| at == Some(date));
        self.hashes
            .iter()
            .any(|held| held.digest == *digest && stamped(held))
    }

    /// Whether the last generation that has the file found it altered.
    pub(super) fn has_failed(&self) -> bool {
        self.hashes.iter().any(|held| {
            held.latest
                .is_some_and(|(action, _)| action == Some(Action::Failed))
        })
    }

    /// Whether size and time are those recorded. Others write whole seconds; ours are exact. In a bucket times are too
    /// coarse to tell anything: there the state counts.
    pub(super) fn is_unchanged(
        &self,
        bytes: u64,
        modified: jiff::Timestamp,
        state: Option<&str>,
    ) -> bool {
        if state.is_some() {
            return self.state.as_deref() == state && self.bytes.unwrap_or(0) == bytes;
        }
        let same_time = self
            .modified
            .is_some_and(|recorded| match recorded.subsec_nanosecond() {
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
        let moment = |text: &String| text.parse::<jiff::Timestamp>().ok();
        self.modified = entry.modified.as_ref().and_then(moment);
        self.state = entry.state.map(String::into_boxed_str);
        self.hashes.iter_mut().for_each(|held| held.latest = None);
        self.forget_others();
        for recorded in entry.hashes {
            self.add_hash(
                recorded.digest,
                recorded.action,
                recorded.date.as_ref().and_then(moment),
            );
        }
    }

    /// What is neither first nor original nor latest says nothing any more.
    fn forget_others(&mut self) {
        if self.hashes.iter().all(|held| held.first) {
            return;
        }
        let original = self.original.take().map(usize::from);
        for (at, held) in std::mem::take(&mut self.hashes).into_iter().enumerate() {
            if original == Some(at) {
                self.original = u8::try_from(self.hashes.len()).ok();
            }
            if held.first || original == Some(at) {
                self.hashes.push(held);
            }
        }
    }

    fn add_hash(&mut self, digest: Digest, action: Option<Action>, date: Option<jiff::Timestamp>) {
        let at = match self.hashes.iter().position(|held| held.digest == digest) {
            Some(at) => at,
            None => {
                let first = self.first(digest.algorithm).is_none();
                // One hash is the rule: room for more would be most of what this takes.
                self.hashes.reserve_exact(1);
                self.hashes.push(Held {
                    digest,
                    first,
                    latest: None,
                });
                self.hashes.len() - 1
            }
        };
        self.hashes[at].latest = Some((action, date));
        if self.original.is_none() && action == Some(Action::Original) {
            self.original = u8::try_from(at).ok();
        }
    }
}

impl History {
    /// Of a tree that has none.
    pub(super) fn empty() -> History {
        History {
            links: Vec::new(),
            files: HashMap::new(),
            directories: HashMap::new(),
            references: Vec::new(),
            sealed: Sealed::default(),
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
        let mut sealed = Sealed::default();
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

impl Sealed {
    /// Takes over the hashes of a directory, in the algorithm of the first that comes.
    fn add(&mut self, path: &str, content: &[Recorded], structure: &[Recorded]) {
        let Some(algorithm) = self
            .algorithm
            .or(content.first().map(|first| first.digest.algorithm))
        else {
            return;
        };
        self.algorithm = Some(algorithm);
        let of = |recorded: &[Recorded]| {
            recorded
                .iter()
                .map(|recorded| &recorded.digest)
                .find(|digest| digest.algorithm == algorithm)
                .cloned()
        };
        if let Some(content) = of(content) {
            self.directories
                .insert(path.to_owned(), (content, of(structure)));
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
    files: &mut HashMap<String, Known>,
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
    use crate::Recorded;
    use storage::hash::hash_bytes;

    fn entry(hashes: &[(HashAlgorithm, &[u8], Option<Action>)]) -> Entry {
        let date = Some("2026-03-05T10:00:00.5Z".to_owned());
        let recorded =
            |(algorithm, content, action): &(HashAlgorithm, &[u8], Option<Action>)| Recorded {
                digest: hash_bytes(*algorithm, content),
                action: *action,
                date: date.clone(),
            };
        Entry {
            kind: EntryKind::File { bytes: Some(3) },
            path: "a".into(),
            modified: Some("2026-03-05T10:00:00Z".into()),
            hashes: hashes.iter().map(recorded).collect(),
            structure: Vec::new(),
            previous_path: None,
            state: None,
        }
    }

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
            history.files.insert(path.to_owned(), Known::default());
        }
        assert_eq!(history.empty_directories(), ["Voice", "Voice/old"]);
    }

    #[test]
    fn every_generation_adds_to_what_is_known_and_a_failure_is_forgotten_once_it_is_mended() {
        use HashAlgorithm::{Md5, Xxh128};
        let digest = |algorithm, content: &[u8]| hash_bytes(algorithm, content);
        let mut known = Known::default();
        // A hash without an action comes first, the original after it.
        known.add(entry(&[
            (Md5, b"x", None),
            (Md5, b"a", Some(Action::Original)),
        ]));
        assert_eq!(
            (known.original(), known.first(Md5)),
            (Some(&digest(Md5, b"a")), Some(&digest(Md5, b"x")))
        );
        known.add(entry(&[
            (Md5, b"b", Some(Action::Failed)),
            (Xxh128, b"a", Some(Action::Verified)),
        ]));
        assert!(known.has_failed() && known.latest(Md5) == Some(&digest(Md5, b"b")));
        assert_eq!(known.original(), Some(&digest(Md5, b"a")));
        known.add(entry(&[(Md5, b"a", Some(Action::Verified))]));
        assert!(!known.has_failed() && known.latest(Xxh128).is_none());
        assert_eq!(
            known.firsts().collect::<Vec<_>>(),
            [&digest(Md5, b"x"), &digest(Xxh128, b"a")]
        );
        assert_eq!(
            (known.hashes.len(), known.original()),
            (3, Some(&digest(Md5, b"a")))
        );
        let date: jiff::Timestamp = "2026-03-05T10:00:00.5Z".parse().expect("a moment");
        assert!(
            known.has_stamp(&digest(Md5, b"a"), date)
                && !known.has_stamp(&digest(Xxh128, b"a"), date)
        );
        let moment = |text: &str| text.parse::<jiff::Timestamp>().expect("a moment");
        assert!(
            known.is_unchanged(3, moment("2026-03-05T10:00:00.7Z"), None),
            "whole seconds"
        );
        assert!(
            !known.is_unchanged(3, moment("2026-03-05T10:00:01Z"), None)
                && !known.is_unchanged(4, date, None)
        );
    }
}
