//! One history being continued: what its next generation says of each file and directory, wherever the tree is.
//!
//! Paths that no earlier generation knows are set aside until the tree has been seen to its end: only then is it known
//! which recorded files have gone, and whether one of the new ones is such a file under another name.
use super::action;
use super::chain::c4_of_file;
use super::entry::{EntryAction, EntryOutcome, PendingEntry, ScannedFile};
use super::file_history::FileHistory;
use super::folder::Folder;
use super::history::History;
use super::journal::Record;
use super::model::{self, Action, Entry, EntryKind, Header, MhlError, Reference};
use super::renames::Renames;
use super::write::{Body, Spool, chain_xml};
use super::{FOLDER, TOOL, is_recordable};
use protocol::model::hash::HashAlgorithm;
use storage::hash::Digest;

/// One history being continued.
pub(super) struct Scope {
    /// Its root, relative to the root of the seal.
    pub(super) prefix: String,
    pub(super) history: History,
    body: Body,
    late: Spool,
    /// Files in the new generation, and references to new generations below.
    pub(super) news: u64,
    pub(super) references: Vec<Reference>,
}

/// A generation that has been written.
pub(super) struct Written {
    /// Name of its file.
    pub(super) file: String,
    /// The chain with it.
    pub(super) chain: String,
    /// How the history above refers to it, relative to the root of this one.
    pub(super) reference: Reference,
}

impl Scope {
    /// Continues `history`; what is collected meanwhile lies in `scratch` under names that begin with `number`.
    pub(super) fn new(
        prefix: String,
        history: History,
        scratch: &Folder,
        number: usize,
    ) -> Result<Scope, MhlError> {
        let body = Body::create(scratch, &format!("{number}.body"))?;
        let late = Spool::create(scratch, &format!("{number}.late"))?;
        Ok(Scope {
            prefix,
            history,
            body,
            late,
            news: 0,
            references: Vec::new(),
        })
    }

    /// Says what is to be done about a file. `sources` is what histories of its source know of it, which counts where
    /// this history knows nothing.
    pub(super) fn consider(
        &self,
        found: ScannedFile,
        algorithm: HashAlgorithm,
        sources: &[&FileHistory],
    ) -> EntryAction {
        let ScannedFile {
            path,
            bytes,
            modified,
            state,
            record,
        } = found;
        let nothing = FileHistory::default();
        let known = self.history.files.get(&path).unwrap_or(&nothing);
        let date = record
            .as_ref()
            .and_then(|r| jiff::Timestamp::from_microsecond(r.hashed_at_us).ok());
        let mut digests: Vec<Digest> = record.iter().flat_map(Record::digests).collect();
        digests.retain(|digest| is_recordable(digest.algorithm));
        let date = date.unwrap_or_else(jiff::Timestamp::now);
        let said = digests.iter().any(|digest| known.has_stamp(digest, date));
        let date = date.to_string();
        let unchanged =
            said || digests.is_empty() && known.is_unchanged(bytes, modified, state.as_deref());
        if let Some(digest) = known.latest(algorithm).filter(|_| unchanged) {
            return EntryAction::Unchanged {
                digest: digest.clone(),
                failed: known.has_failed(),
            };
        }
        let mut wanted: Vec<HashAlgorithm> = Vec::new();
        if !digests.iter().any(|digest| digest.algorithm == algorithm) {
            wanted.push(algorithm);
        }
        let own = [known];
        for vouching in if known.original().is_none() {
            sources
        } else {
            &own
        } {
            let would_have = digests
                .iter()
                .cloned()
                .chain(wanted.iter().map(|a| placeholder(*a)));
            wanted.extend(vouching.needed(&would_have.collect::<Vec<_>>()));
        }
        // A file without a record here or in a source may be a renamed one: its earlier record may use another algorithm.
        if record.is_none() && known.original().is_none() {
            let others = self
                .history
                .algorithms
                .iter()
                .filter(|other| !wanted.contains(other))
                .copied();
            let others: Vec<HashAlgorithm> = others.filter(|other| is_recordable(*other)).collect();
            if !self.history.algorithms.contains(&algorithm) {
                wanted.extend(others.first());
            }
        }
        EntryAction::Record(PendingEntry {
            path,
            bytes,
            modified,
            state,
            digests,
            date,
            wanted,
        })
    }

    /// Records a file that has been hashed. A file that this history does not know and that contradicts a history of its
    /// source is not recorded: it would be an original.
    pub(super) fn record(
        &mut self,
        pending: PendingEntry,
        algorithm: HashAlgorithm,
        sources: &[&FileHistory],
    ) -> Result<EntryOutcome, MhlError> {
        let PendingEntry {
            path,
            bytes,
            modified,
            state,
            digests,
            date,
            ..
        } = pending;
        let digest = digests
            .iter()
            .find(|digest| digest.algorithm == algorithm)
            .cloned();
        let digest = digest.unwrap_or_else(|| placeholder(algorithm));
        let nothing = FileHistory::default();
        let known = self.history.files.get(&path).unwrap_or(&nothing);
        if known.original().is_none() {
            let failed: Vec<String> = sources
                .iter()
                .flat_map(|source| contradictions(source, &digests))
                .collect();
            if !failed.is_empty() {
                return Ok(EntryOutcome {
                    digest,
                    failed,
                    refused: true,
                });
            }
        }
        let hashes = action::recorded(known, &digests, &date);
        let failed = hashes
            .iter()
            .filter(|recorded| recorded.action == Some(Action::Failed))
            .map(|failed| {
                let recorded = known
                    .first(failed.digest.algorithm)
                    .map_or_else(String::new, Digest::to_string);
                format!("recorded {recorded}, found {}", failed.digest)
            });
        let failed = failed.collect();
        let new = !self.history.files.contains_key(&path);
        let kind = EntryKind::File { bytes: Some(bytes) };
        let modified = Some(modified.to_string());
        self.push(
            new,
            Entry {
                kind,
                path,
                modified,
                hashes,
                structure: Vec::new(),
                previous_path: None,
                state,
            },
        )?;
        self.news += 1;
        Ok(EntryOutcome {
            digest,
            failed,
            refused: false,
        })
    }

    /// Records a directory.
    pub(super) fn directory(
        &mut self,
        path: String,
        modified: Option<jiff::Timestamp>,
        content: &Digest,
        structure: &Digest,
    ) -> Result<(), MhlError> {
        let plain = |digest: &Digest| {
            vec![model::Recorded {
                digest: digest.clone(),
                action: None,
                date: None,
            }]
        };
        let new = !self.history.directories.contains_key(&path);
        let entry = Entry {
            kind: EntryKind::Directory,
            path,
            modified: modified.map(|at| at.to_string()),
            hashes: plain(content),
            structure: plain(structure),
            previous_path: None,
            state: None,
        };
        self.push(new, entry)
    }

    /// What is new to a history that knows other files waits for the end.
    fn push(&mut self, new: bool, entry: Entry) -> Result<(), MhlError> {
        if new && !self.history.files.is_empty() {
            self.late.push(&entry)
        } else {
            self.body.push(&entry)
        }
    }

    /// Whether there is anything to write.
    pub(super) fn has_news(&self) -> bool {
        self.news > 0 || self.history.links.is_empty()
    }

    /// Writes the generation of a tree called `name` to the file `out` of a folder.
    pub(super) fn write(
        self,
        name: &str,
        content: &Digest,
        structure: &Digest,
        folder: &Folder,
        out: &str,
    ) -> Result<Written, MhlError> {
        let Scope {
            history,
            mut body,
            late,
            references,
            ..
        } = self;
        if late.entries > 0 {
            let mut renames = Renames::new(&history);
            let mut entries = late.finish()?;
            entries.read(|entry| renames.look_at(&entry))?;
            entries.read(|entry| body.push(&renames.apply(entry)))?;
        }
        let now = jiff::Timestamp::now();
        let number = history.next_number();
        let name = fitting(name);
        let file = format!(
            "{number:04}_{name}_{}.mhl",
            now.strftime("%Y-%m-%d_%H%M%SZ")
        );
        let header = header(&history.ignore, now, content, structure);
        let generation = body.finish(&header, &references, folder, out)?;
        let c4 = c4_of_file(&generation, &folder.at(out))?;
        let links = history
            .links
            .iter()
            .map(|link| (link.number, link.file.as_str(), link.c4.as_str()));
        let chain = chain_xml(links.chain([(number, file.as_str(), c4.as_str())]));
        let reference = Reference {
            path: format!("{FOLDER}/{file}"),
            c4,
        };
        Ok(Written {
            file,
            chain,
            reference,
        })
    }

    /// How the history above refers to the last generation that exists.
    pub(super) fn last_reference(&self) -> Option<Reference> {
        let last = self.history.links.last()?;
        Some(Reference {
            path: format!("{FOLDER}/{}", last.file),
            c4: last.c4.clone(),
        })
    }
}

/// Hashes that are not those which the history of the source records.
fn contradictions(source: &FileHistory, digests: &[Digest]) -> Vec<String> {
    let differs = |digest: &Digest| {
        let recorded = source
            .first(digest.algorithm)
            .filter(|first| *first != digest)?;
        Some(format!(
            "the history of its source records {recorded}, found {digest}: it is not recorded"
        ))
    };
    digests.iter().filter_map(differs).collect()
}

/// Bytes of a tree's name in the names of its generations: 255 is what filesystems allow, and number, date and the suffix of
/// an unfinished file need their share.
const NAME_BYTES_MAX: usize = 200;

/// The name of a tree as far as it fits into the name of a generation.
fn fitting(name: &str) -> &str {
    let end = (0..=NAME_BYTES_MAX.min(name.len()))
        .rev()
        .find(|end| name.is_char_boundary(*end))
        .unwrap_or(0);
    &name[..end]
}

fn header(ignore: &[String], now: jiff::Timestamp, content: &Digest, structure: &Digest) -> Header {
    let root = |digest: &Digest| {
        vec![model::Recorded {
            digest: digest.clone(),
            action: None,
            date: Some(now.to_string()),
        }]
    };
    Header {
        creation_date: now.to_string(),
        host: rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned(),
        tool: TOOL.to_owned(),
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        comment: None,
        process: "transfer".to_owned(),
        root_content: root(content),
        root_structure: root(structure),
        ignore: ignore.to_vec(),
    }
}

/// A digest of which only the algorithm counts.
fn placeholder(algorithm: HashAlgorithm) -> Digest {
    ::storage::hash::hash_bytes(algorithm, b"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_of_trees_are_cut_between_characters() {
        assert_eq!(fitting("A001"), "A001");
        assert_eq!(fitting(&"n".repeat(255)).len(), NAME_BYTES_MAX);
        let umlauts = format!("x{}", "ü".repeat(127));
        assert_eq!(fitting(&umlauts), &umlauts[..NAME_BYTES_MAX - 1]);
    }
}
