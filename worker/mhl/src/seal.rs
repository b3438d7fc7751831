//! Writes the next generation of a tree from the journal of a job.
//!
//! A file with a matching journal record is not read again. A file that is unchanged since an earlier generation is not
//! listed again, since nothing was verified; its recorded hash goes into the hashes of its directories. Everything else
//! is hashed. Nested histories get their own generation, referenced by the one above.
//!
//! Killed at any point, the next seal finds either no trace, or a generation that no chain lists and that it removes, or
//! a finished generation whose records it recognises by hash and date and does not write again.
use super::FOLDER;
use super::entry::{EntryAction, EntryOutcome, ScannedFile};
use super::folder::Folder;
use super::generation::{clear_leftovers, commit};
use super::history::History;
use super::ignore::Ignore;
use super::journal::{self, Copied, Record};
use super::model::{MhlError, Reference};
use super::scope::Scope;
use super::source::Source;
use super::tree::{Child, DirectoryHash, FileState, Listed, children, has_history, join};
use protocol::model::hash::HashAlgorithm;
use rustix::fs::{FlockOperation, flock};
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use storage::Roots;
use storage::hash::{Digest, HashError, hash_open_file};
use tokio_util::sync::CancellationToken;

/// A file that changes while it is hashed is hashed again this often.
const HASH_TRIES: usize = 3;

/// What a seal did.
#[derive(Debug, Default)]
pub struct SealReport {
    /// The generation of the tree itself, when one was written.
    pub generation: Option<PathBuf>,
    /// Files recorded in new generations.
    pub files: u64,
    /// Bytes that had to be hashed because no journal vouched for them.
    pub hashed_bytes: u64,
    /// Files that do not agree with an earlier generation, or have gone since they landed, as `path: what is wrong`.
    pub failed: Vec<String>,
    /// Files whose names have no form in XML: they are not recorded.
    pub unrecordable: Vec<PathBuf>,
}

/// Writes the generation of the tree below `root` for `job`, and removes the job's journal.
pub fn seal(
    root: &Path,
    job: &str,
    algorithm: HashAlgorithm,
    cancel: &CancellationToken,
) -> Result<SealReport, MhlError> {
    seal_copy(
        (root, &Roots::default()),
        job,
        algorithm,
        &Source::default(),
        cancel,
    )
}

/// The copies below `root` whose sources may have a history: those of the job, and those that an earlier seal refused.
pub fn copies((root, roots): (&Path, &Roots), job: &str) -> Result<Vec<Copied>, MhlError> {
    journal::copies(&open(root, roots)?, job)
}

/// Opens the root of a tree. Without roots it gets its real path, whose last part names the tree in its generations.
fn open(root: &Path, roots: &Roots) -> Result<Folder, MhlError> {
    match roots.is_empty() {
        true => Folder::open(&root.canonicalize().map_err(MhlError::io(root))?),
        false => Folder::open_within(root, roots),
    }
}

/// The same for a tree that is a copy: no file that contradicts the history of its source is sealed as an original.
/// Nothing outside of the directories that local files must be below is opened.
pub fn seal_copy(
    (root, roots): (&Path, &Roots),
    job: &str,
    algorithm: HashAlgorithm,
    source: &Source,
    cancel: &CancellationToken,
) -> Result<SealReport, MhlError> {
    let root = open(root, roots)?;
    // Locked until the root is closed, by the kernel when the process dies.
    let locked = flock(&root, FlockOperation::NonBlockingLockExclusive);
    locked.map_err(|_| MhlError::Busy(root.shown().to_owned()))?;
    let scratch = journal::open(&root, job)?;
    let mut records = HashMap::new();
    journal::read(&scratch, |mut record| {
        record.hashes.shrink_to_fit();
        record.source = None;
        records.insert(std::mem::take(&mut record.path), record);
    })?;
    let (root, scratch, report) = (&root, &scratch, SealReport::default());
    let (ignores, refused) = (Vec::new(), Vec::new());
    let mut sealer = Sealer {
        root,
        algorithm,
        cancel,
        source,
        scratch,
        records,
        refused,
        ignores,
        scopes: 0,
        report,
    };
    sealer.seal_history(root, "")?;
    let gone = sealer.records.keys().filter(|path| !root.has(path));
    let mut gone: Vec<String> = gone
        .map(|path| format!("{path}: landed by this job and no longer there"))
        .collect();
    gone.sort();
    sealer.report.failed.extend(gone);
    journal::keep_refused(root, &sealer.refused)?;
    journal::remove(root, job)?;
    Ok(sealer.report)
}

struct Sealer<'a> {
    root: &'a Folder,
    algorithm: HashAlgorithm,
    cancel: &'a CancellationToken,
    /// What the histories of the source say that those of the copy do not.
    source: &'a Source,
    /// Directory for bodies, removed with the journal.
    scratch: &'a Folder,
    /// Journal records by path relative to the root.
    records: HashMap<String, Record>,
    /// Copies that contradict the history of their source.
    refused: Vec<Copied>,
    /// Patterns of the histories around the current directory, with their roots relative to the root.
    ignores: Vec<(String, Ignore)>,
    scopes: usize,
    report: SealReport,
}

/// What a parent needs of a finished history.
struct FinishedHistory {
    content: Digest,
    structure: Digest,
    reference: Option<Reference>,
    new: bool,
}

impl Sealer<'_> {
    /// Continues the history of a directory, which stays open until its generation is written.
    fn seal_history(
        &mut self,
        directory: &Folder,
        prefix: &str,
    ) -> Result<FinishedHistory, MhlError> {
        let history = History::load(directory, self.cancel)?;
        clear_leftovers(directory, &history)?;
        let broken = |problem: &String| MhlError::Broken {
            folder: directory.at(FOLDER),
            problem: problem.clone(),
        };
        history
            .problems
            .first()
            .map_or(Ok(()), |problem| Err(broken(problem)))?;
        self.scopes += 1;
        self.ignores
            .push((prefix.to_owned(), Ignore::new(&history.ignore)));
        let mut scope = Scope::new(prefix.to_owned(), history, self.scratch, self.scopes)?;
        let hashed = directory
            .again()
            .and_then(|directory| self.walk(&mut scope, directory, ""));
        self.ignores.pop();
        let (content, structure) = hashed?;
        let (top, last) = (scope.prefix.is_empty(), scope.last_reference());
        let written = commit(scope, directory, &content, &structure)?;
        if let (true, Some(written)) = (top, &written) {
            self.report.generation = Some(directory.at(&written.path));
        }
        let new = written.is_some();
        Ok(FinishedHistory {
            content,
            structure,
            reference: written.or(last),
            new,
        })
    }

    /// Records a directory's files and subdirectories; returns its content and structure hash.
    fn walk(
        &mut self,
        scope: &mut Scope,
        directory: Folder,
        relative: &str,
    ) -> Result<(Digest, Digest), MhlError> {
        let from_root = join_paths(&scope.prefix, relative);
        let found = self.list(&directory, &from_root)?;
        // Closed while what is below is walked: descriptors are few, and trees may be deep.
        let mut open = Some(directory).filter(|_| !found.iter().any(|child| child.directory));
        let mut hash = DirectoryHash::new(self.algorithm);
        // Subdirectories first and the directory itself last: the order of the reference tool.
        for child in found.iter().filter(|child| child.directory) {
            let at = join(relative, &child.name);
            scope.history.see(&at);
            let below_root = join(&from_root, &child.name);
            let below = self.root.below(&below_root)?;
            let (content, structure) = if has_history(&below) {
                let sealed = self.seal_history(&below, &below_root)?;
                // What lies below may be recorded here as well, from before it had a history of its own.
                scope.history.see_below(&at);
                scope.news += u64::from(sealed.new);
                scope.references.extend(sealed.reference.map(|r| Reference {
                    path: join(&at, &r.path),
                    ..r
                }));
                (sealed.content, sealed.structure)
            } else {
                self.walk(scope, below, &at)?
            };
            scope.directory(at, Some(child.state.modified()), &content, &structure)?;
            hash.push(&child.name, &content, &structure);
        }
        for child in found.iter().filter(|child| !child.directory) {
            if self.cancel.is_cancelled() {
                return Err(MhlError::Cancelled);
            }
            let directory = match open.take() {
                Some(directory) => directory,
                None => self.root.below(&from_root)?,
            };
            let digest = self.file(scope, &directory, relative, child)?;
            open = Some(directory);
            hash.push(&child.name, &digest, &digest);
        }
        Ok(hash.finish())
    }

    /// Lists a directory. What cannot be recorded is named when everything else is.
    fn list(&mut self, folder: &Folder, from_root: &str) -> Result<Vec<Child>, MhlError> {
        let listed = children(folder, |name, directory| {
            self.is_ignored(&join(from_root, name), directory)
        })?;
        let Listed {
            children,
            unrecordable,
            unreadable,
            left_out,
        } = listed;
        if let Some((name, error)) = unreadable.into_iter().next() {
            return Err(MhlError::io(&folder.at(name))(error));
        }
        for (name, what) in left_out {
            tracing::warn!(path = %folder.at(name).display(), "left out of the history: {what}");
        }
        self.report.unrecordable.extend(unrecordable);
        Ok(children)
    }

    /// Records a file when there is something new to say about it; returns its hash.
    fn file(
        &mut self,
        scope: &mut Scope,
        directory: &Folder,
        parent: &str,
        child: &Child,
    ) -> Result<Digest, MhlError> {
        let relative = join(parent, &child.name);
        let from_root = join_paths(&scope.prefix, &relative);
        scope.history.see(&relative);
        let mut state = child.state;
        let record = self.records.remove(&from_root);
        let record =
            record.filter(|r| r.bytes == state.bytes && r.modified_ns == state.modified_ns);
        let found = ScannedFile {
            path: relative,
            bytes: state.bytes,
            modified: state.modified(),
            state: None,
            record,
        };
        let source = self.source.known(&from_root);
        let mut pending = match scope.consider(found, self.algorithm, &source) {
            EntryAction::Unchanged { digest, failed } => {
                let failed = failed.then(|| {
                    format!("{from_root}: failed in an earlier generation and was not restored")
                });
                self.report.failed.extend(failed);
                return Ok(digest);
            }
            EntryAction::Record(pending) => pending,
        };
        if !pending.wanted.is_empty() {
            let hashed = self.hash(directory, child, &pending.wanted, &mut state)?;
            pending.digests.extend(hashed);
            (pending.bytes, pending.modified) = (state.bytes, state.modified());
        }
        let EntryOutcome {
            digest,
            failed,
            refused,
        } = scope.record(pending, self.algorithm, &source)?;
        self.report
            .failed
            .extend(failed.iter().map(|what| format!("{from_root}: {what}")));
        self.report.files += u64::from(!refused);
        self.refused
            .extend(self.source.refused(&from_root).filter(|_| refused));
        Ok(digest)
    }

    /// Hashes a file that rests while it is read; updates `state` to the one that was hashed.
    fn hash(
        &mut self,
        directory: &Folder,
        child: &Child,
        algorithms: &[HashAlgorithm],
        state: &mut FileState,
    ) -> Result<Vec<Digest>, MhlError> {
        let path = directory.at(&child.name);
        for _ in 0..HASH_TRIES {
            let file = directory.open_file(&child.name, child.linked)?;
            let (digests, bytes) =
                hash_open_file(&file, algorithms, self.cancel).map_err(|error| match error {
                    HashError::Read(source) => MhlError::Io {
                        path: path.clone(),
                        source,
                    },
                    HashError::Cancelled => MhlError::Cancelled,
                })?;
            self.report.hashed_bytes += bytes;
            let now = FileState::read(directory, &child.name, child.linked)
                .map_err(MhlError::io(&path))?;
            let rested = now == *state;
            *state = now;
            if rested {
                return Ok(digests);
            }
        }
        Err(MhlError::io(&path)(io::Error::other(
            "the file keeps changing while it is hashed",
        )))
    }

    fn is_ignored(&self, from_root: &str, directory: bool) -> bool {
        self.ignores.iter().any(|(prefix, ignore)| {
            let relative = from_root
                .strip_prefix(prefix.as_str())
                .map(|rest| rest.trim_start_matches('/'));
            relative.is_some_and(|relative| ignore.matches(relative, directory))
        })
    }
}

fn join_paths(prefix: &str, relative: &str) -> String {
    if relative.is_empty() {
        prefix.to_owned()
    } else {
        join(prefix, relative)
    }
}
