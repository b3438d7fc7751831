//! MHL 1.1: lists of hashes next to the media, as tools wrote them before ASC MHL. They are verified, never continued. Paths
//! in a list are relative to its own directory, so each card of a folder may have its list.
pub(super) mod directory;

use super::FOLDER;
use super::folder::Folder;
use super::model::MhlError;
use super::read::{append_text, parse, relative};
use super::report::{Mismatch, VerifyReport};
use super::tree::join;
use protocol::model::hash::{HashAlgorithm, parse_hash};
use quick_xml::events::Event;
use quick_xml::reader::Reader;
use std::collections::{BTreeMap, BTreeSet};
use std::io::BufReader;
use std::path::Path;
use storage::hash::Digest;

/// The entry of one file in the lists of a tree.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Listed {
    bytes: Option<u64>,
    digests: Vec<Digest>,
    /// Whether there is a hash by an algorithm that is not computed here.
    other: bool,
}

/// The lists of a tree.
#[derive(Debug, Default)]
pub(super) struct Lists {
    /// Listed files by path relative to the root.
    pub(super) files: BTreeMap<String, Listed>,
    /// The lists themselves.
    own: BTreeSet<String>,
    broken: Vec<String>,
}

impl Lists {
    /// Reads the list `name` of the directory `relative` of the tree.
    pub(super) fn read(
        &mut self,
        folder: &Folder,
        relative: &str,
        name: &str,
    ) -> Result<(), MhlError> {
        let files = &mut self.files;
        let read = read(folder, name, |path, listed| {
            files.entry(join(relative, &path)).or_default().add(listed)
        });
        // A link in the place of a list is no list.
        if !matches!(read, Err(MhlError::Linked(_))) {
            self.own.insert(join(relative, name));
        }
        match read {
            Err(error @ MhlError::Malformed { .. }) => {
                self.broken.push(error.to_string());
                Ok(())
            }
            read => read,
        }
    }

    /// Names the place of the tree where problems name the copy of a list below `scratch`.
    pub(super) fn speak_of(&mut self, scratch: &Path, place: &str) {
        let scratch = scratch.to_string_lossy();
        self.broken
            .iter_mut()
            .for_each(|problem| *problem = problem.replace(&*scratch, place));
    }

    /// Whether the lists say nothing of a file that is no list.
    pub(super) fn is_new(&self, path: &str) -> bool {
        !self.files.contains_key(path) && !self.own.contains(path)
    }

    /// The report of a verification that begins.
    pub(super) fn report(&self) -> VerifyReport {
        let generations = self.own.len() as u64;
        VerifyReport {
            generations,
            broken: self.broken.clone(),
            ..VerifyReport::default()
        }
    }
}

impl Listed {
    fn add(&mut self, other: Listed) {
        self.bytes = other.bytes.or(self.bytes);
        self.other |= other.other;
        self.digests.extend(other.digests);
    }

    /// The algorithms that a file of this size is hashed with; none when it is judged without being read.
    pub(super) fn algorithms(
        &self,
        path: &str,
        size: u64,
        report: &mut VerifyReport,
    ) -> Vec<HashAlgorithm> {
        if let Some(recorded) = self.bytes.filter(|recorded| *recorded != size) {
            let (recorded, found) = (format!("{recorded} bytes"), format!("{size} bytes"));
            report.mismatched.push(Mismatch {
                path: path.to_owned(),
                recorded,
                found,
            });
            return Vec::new();
        }
        let mut algorithms: Vec<HashAlgorithm> =
            self.digests.iter().map(|digest| digest.algorithm).collect();
        algorithms.sort_unstable();
        algorithms.dedup();
        if algorithms.is_empty() {
            let why = if self.other {
                "only a hash by XXH32 is listed, which is not computed here"
            } else {
                "no hash is listed"
            };
            report.unreadable.push((path.to_owned(), why.to_owned()));
        }
        algorithms
    }

    /// Compares the hashes of a file with those that are listed.
    pub(super) fn compare(
        &self,
        path: &str,
        digests: &[Digest],
        bytes: u64,
        report: &mut VerifyReport,
    ) {
        report.files += 1;
        report.bytes += bytes;
        let differs = |recorded: &&Digest| digests.iter().all(|digest| digest != *recorded);
        if let Some(recorded) = self.digests.iter().find(differs) {
            let found = digests
                .iter()
                .find(|digest| digest.algorithm == recorded.algorithm);
            let found = found.map_or_else(String::new, Digest::to_string);
            report.mismatched.push(Mismatch {
                path: path.to_owned(),
                recorded: recorded.to_string(),
                found,
            });
        }
    }
}

/// Whether a file is an MHL 1.1 list by its path. Generations of ASC MHL are in folders of their own, and macOS leaves
/// `._` files on foreign disks.
pub(super) fn is_list(path: &str) -> bool {
    let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
    let named = Path::new(name)
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("mhl"));
    named && !name.starts_with("._") && directory.rsplit('/').next() != Some(FOLDER)
}

/// Reads a list; hands each file to `each`.
fn read(folder: &Folder, name: &str, mut each: impl FnMut(String, Listed)) -> Result<(), MhlError> {
    let (file, path) = (folder.open_file(name, false)?, folder.at(name));
    let mut reader = Reader::from_reader(BufReader::new(file));
    let (mut stack, mut text): (Vec<String>, String) = (Vec::new(), String::new());
    let (mut name, mut listed, mut complete) = (String::new(), Listed::default(), false);
    parse(&mut reader, &path, |event| {
        match event {
            Event::Start(start) => {
                text.clear();
                stack.push(start.local_name().as_ref().to_owned());
            }
            Event::End(_) => {
                let element = stack.pop().unwrap_or_default();
                let value = text.trim();
                match (stack.last().map(String::as_str), element.as_str()) {
                    (None, "hashlist") => complete = true,
                    (Some("hashlist"), "hash") if !name.is_empty() => {
                        each(std::mem::take(&mut name), std::mem::take(&mut listed));
                    }
                    (Some("hash"), "file") => name = relative(text.clone())?,
                    (Some("hash"), "size") => {
                        listed.bytes = Some(
                            value
                                .parse()
                                .map_err(|_| format!("size {value:?} is no number"))?,
                        );
                    }
                    (Some("hash"), kind) => take_hash(&mut listed, kind, value)?,
                    _ => {}
                }
                text.clear();
            }
            other => append_text(other, &mut text)?,
        }
        Ok(())
    })?;
    if complete {
        return Ok(());
    }
    let problem = "this is no complete MHL 1.1 list".to_owned();
    Err(MhlError::Malformed {
        path,
        position: reader.buffer_position(),
        problem,
    })
}

fn take_hash(listed: &mut Listed, kind: &str, value: &str) -> Result<(), String> {
    let algorithm = match kind {
        "md5" => HashAlgorithm::Md5,
        "sha1" => HashAlgorithm::Sha1,
        "xxhash64be" | "xxhash64" => HashAlgorithm::Xxh64,
        "xxhash" => {
            listed.other = true;
            return Ok(());
        }
        _ => return Ok(()),
    };
    let (algorithm, text) = parse_hash(&format!("{}:{value}", algorithm.as_str()))?;
    let digest = Digest { algorithm, text };
    // Without `be` the byte order is little-endian.
    let digest = match (kind, digest.bytes()) {
        ("xxhash64", Some(bytes)) => {
            let text = bytes
                .iter()
                .rev()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            Digest { algorithm, text }
        }
        _ => digest,
    };
    listed.digests.push(digest);
    Ok(())
}
