//! Writes the next generation of a tree from the journal of a job.
//!
//! A file with a matching journal record is not read again. A file that is unchanged since an earlier generation is not
//! listed again, since nothing was verified; its recorded hash goes into the hashes of its directories. Everything else
//! is hashed. Nested histories get their own generation, referenced by the one above.
//!
//! Killed at any point, the next seal finds either no trace, or a generation that no chain lists and that it removes, or
//! a finished generation whose records it recognises by hash and date and does not write again.
use super::folder::OwnFolder;
use super::history::History;
use super::ignore::Ignore;
use super::import::Source;
use super::journal::{self, Record};
use super::model::{MhlError, Reference};
use super::scope::{Found, Scope, Verdict};
use super::tree::{Child, DirectoryHash, Listed, children, has_history, join};
use super::{CHAIN_FILE, FOLDER, TOOL};
use protocol::wire::unit::HashAlgorithm;
use rustix::fs::{FlockOperation, flock};
use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use storage::PARTIAL_SUFFIX;
use storage::hash::{Digest, HashError, hash_file};
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
    seal_copy(root, job, algorithm, &Source::default(), cancel)
}

/// The same for a tree that is a copy: no file that contradicts the history of its source is sealed as an original.
pub fn seal_copy(
    root: &Path,
    job: &str,
    algorithm: HashAlgorithm,
    source: &Source,
    cancel: &CancellationToken,
) -> Result<SealReport, MhlError> {
    let root = root.canonicalize().map_err(MhlError::io(root))?;
    // Held until the end; the kernel lets go of it when we die.
    let lock = File::open(&root).map_err(MhlError::io(&root))?;
    flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|_| MhlError::Busy(root.clone()))?;
    let scratch = journal::own_directory(&root, job)?;
    std::fs::create_dir_all(&scratch).map_err(MhlError::io(&scratch))?;
    let mut records = HashMap::new();
    let read = journal::read(&root, job, |mut record| {
        record.hashes.shrink_to_fit();
        records.insert(std::mem::take(&mut record.path), record);
    });
    read.map_err(MhlError::io(&scratch))?;
    let report = SealReport::default();
    let mut sealer = Sealer { algorithm, cancel, source, scratch, records, ignores: Vec::new(), scopes: 0, report };
    sealer.seal_history(&root, "")?;
    let gone = sealer.records.keys().filter(|path| !root.join(path).exists());
    let mut gone: Vec<String> = gone.map(|path| format!("{path}: landed by this job and no longer there")).collect();
    gone.sort();
    sealer.report.failed.extend(gone);
    journal::remove(&root, job).map_err(MhlError::io(&root))?;
    Ok(sealer.report)
}

struct Sealer<'a> {
    algorithm: HashAlgorithm,
    cancel: &'a CancellationToken,
    /// What the histories of the source say that those of the copy do not.
    source: &'a Source,
    /// Directory for bodies, removed with the journal.
    scratch: PathBuf,
    /// Journal records by path relative to the root.
    records: HashMap<String, Record>,
    /// Patterns of the histories around the current directory, with their roots relative to the root.
    ignores: Vec<(String, Ignore)>,
    scopes: usize,
    report: SealReport,
}

/// What a parent needs of a finished history.
struct Sealed {
    content: Digest,
    structure: Digest,
    reference: Option<Reference>,
    new: bool,
}

impl Sealer<'_> {
    fn seal_history(&mut self, root: &Path, prefix: &str) -> Result<Sealed, MhlError> {
        let history = History::load(root, self.cancel)?;
        clear_leftovers(root, &history)?;
        let broken = |problem: &String| MhlError::Broken { folder: root.join(FOLDER), problem: problem.clone() };
        history.problems.first().map_or(Ok(()), |problem| Err(broken(problem)))?;
        self.scopes += 1;
        self.ignores.push((prefix.to_owned(), Ignore::new(&history.ignore)));
        let mut scope = Scope::new(prefix.to_owned(), history, &self.scratch, self.scopes)?;
        let hashed = self.walk(&mut scope, root, "");
        self.ignores.pop();
        let (content, structure) = hashed?;
        let (top, last) = (scope.prefix.is_empty(), scope.last_reference());
        let written = commit(scope, root, &content, &structure)?;
        if let (true, Some(written)) = (top, &written) {
            self.report.generation = Some(root.join(&written.path));
        }
        let new = written.is_some();
        Ok(Sealed { content, structure, reference: written.or(last), new })
    }

    /// Records a directory's files and subdirectories; returns its content and structure hash.
    fn walk(&mut self, scope: &mut Scope, path: &Path, relative: &str) -> Result<(Digest, Digest), MhlError> {
        let from_root = join_paths(&scope.prefix, relative);
        let found = self.list(path, &from_root)?;
        let mut hash = DirectoryHash::new(self.algorithm);
        // Subdirectories first and the directory itself last: the order of the reference tool.
        for child in found.iter().filter(|child| child.metadata.is_dir()) {
            let (below, at) = (path.join(&child.name), join(relative, &child.name));
            scope.history.see(&at);
            let (content, structure) = if has_history(&below) {
                let sealed = self.seal_history(&below, &join(&from_root, &child.name))?;
                // What lies below may be recorded here as well, from before it had a history of its own.
                scope.history.see_below(&at);
                scope.news += u64::from(sealed.new);
                scope.references.extend(sealed.reference.map(|r| Reference { path: join(&at, &r.path), ..r }));
                (sealed.content, sealed.structure)
            } else {
                self.walk(scope, &below, &at)?
            };
            scope.directory(at, Some(modified(&child.metadata)), &content, &structure)?;
            hash.push(&child.name, &content, &structure);
        }
        for child in found.iter().filter(|child| child.metadata.is_file()) {
            if self.cancel.is_cancelled() {
                return Err(MhlError::Cancelled);
            }
            let digest = self.file(scope, &path.join(&child.name), relative, child)?;
            hash.push(&child.name, &digest, &digest);
        }
        Ok(hash.finish())
    }

    /// Lists a directory. What cannot be recorded is named when everything else is.
    fn list(&mut self, path: &Path, from_root: &str) -> Result<Vec<Child>, MhlError> {
        let listed = children(path, |name, directory| self.is_ignored(&join(from_root, name), directory))?;
        let Listed { children, unrecordable, unreadable, left_out } = listed;
        if let Some((name, error)) = unreadable.into_iter().next() {
            return Err(MhlError::io(&path.join(name))(error));
        }
        for (name, what) in left_out {
            tracing::warn!(path = %path.join(name).display(), "left out of the history: {what}");
        }
        self.report.unrecordable.extend(unrecordable);
        Ok(children)
    }

    /// Records a file when there is something new to say about it; returns its hash.
    fn file(&mut self, scope: &mut Scope, path: &Path, parent: &str, child: &Child) -> Result<Digest, MhlError> {
        let relative = join(parent, &child.name);
        let from_root = join_paths(&scope.prefix, &relative);
        scope.history.see(&relative);
        let mut metadata = child.metadata.clone();
        let record = self.records.remove(&from_root);
        let record = record.filter(|r| r.bytes == metadata.len() && r.modified_ns == modified_ns(&metadata));
        let found = Found { path: relative, bytes: metadata.len(), modified: modified(&metadata), state: None, record };
        let source = self.source.known(&from_root);
        let mut draft = match scope.consider(found, self.algorithm, source) {
            Verdict::Unchanged { digest, failed } => {
                let failed =
                    failed.then(|| format!("{from_root}: failed in an earlier generation and was not restored"));
                self.report.failed.extend(failed);
                return Ok(digest);
            }
            Verdict::Record(draft) => draft,
        };
        if !draft.wanted.is_empty() {
            let hashed = self.hash(path, &draft.wanted, &mut metadata)?;
            draft.digests.extend(hashed);
            (draft.bytes, draft.modified) = (metadata.len(), modified(&metadata));
        }
        let (digest, failed) = scope.record(draft, self.algorithm, source)?;
        self.report.failed.extend(failed.iter().map(|what| format!("{from_root}: {what}")));
        self.report.files += 1;
        Ok(digest)
    }

    /// Hashes a file that rests while it is read; updates its metadata to the state that was hashed.
    fn hash(
        &mut self,
        path: &Path,
        algorithms: &[HashAlgorithm],
        metadata: &mut Metadata,
    ) -> Result<Vec<Digest>, MhlError> {
        for _ in 0..HASH_TRIES {
            let (digests, bytes) = hash_file(path, algorithms, self.cancel).map_err(|error| match error {
                HashError::Read(source) => MhlError::Io { path: path.to_owned(), source },
                HashError::Cancelled => MhlError::Cancelled,
            })?;
            self.report.hashed_bytes += bytes;
            let now = std::fs::metadata(path).map_err(MhlError::io(path))?;
            let rested = now.len() == metadata.len() && modified_ns(&now) == modified_ns(metadata);
            *metadata = now;
            if rested {
                return Ok(digests);
            }
        }
        Err(MhlError::io(path)(io::Error::other("the file keeps changing while it is hashed")))
    }

    fn is_ignored(&self, from_root: &str, directory: bool) -> bool {
        self.ignores.iter().any(|(prefix, ignore)| {
            let relative = from_root.strip_prefix(prefix.as_str()).map(|rest| rest.trim_start_matches('/'));
            relative.is_some_and(|relative| ignore.matches(relative, directory))
        })
    }
}

/// Writes the generation and lists it in the chain, unless nothing is new. Returns how to refer to it.
fn commit(scope: Scope, root: &Path, content: &Digest, structure: &Digest) -> Result<Option<Reference>, MhlError> {
    if !scope.has_news() {
        return Ok(None);
    }
    let folder = OwnFolder::of(root)?;
    if folder.is_there() {
        return write(scope, root, &folder, content, structure).map(Some);
    }
    // The first generation appears together with its chain: a folder without a chain is an error to every reader.
    let work = root.join(format!(".{FOLDER}{PARTIAL_SUFFIX}"));
    std::fs::create_dir(&work).map_err(MhlError::io(&work))?;
    let reference = write(scope, root, &OwnFolder::hold(work.clone())?, content, structure)?;
    rename(&work, &root.join(FOLDER))?;
    Ok(Some(reference))
}

/// Writes the generation and the chain into an open folder.
fn write(
    scope: Scope,
    root: &Path,
    folder: &OwnFolder,
    content: &Digest,
    structure: &Digest,
) -> Result<Reference, MhlError> {
    let name = root.file_name().map_or_else(|| "root".to_owned(), |n| n.to_string_lossy().into_owned());
    let temporary = folder.entry(&format!(".{:04}{PARTIAL_SUFFIX}", scope.history.next_number()));
    let into_place = || {
        let written = scope.write(&name, content, structure, &temporary)?;
        rename(&temporary, &folder.entry(&written.file))?;
        replace(&folder.entry(CHAIN_FILE), &written.chain)?;
        Ok(written.reference)
    };
    into_place().map_err(|error| folder.named(error))
}

/// Removes what an interrupted seal left. A generation that somebody else wrote and did not list is not ours to remove.
fn clear_leftovers(root: &Path, history: &History) -> Result<(), MhlError> {
    let folder = OwnFolder::of(root)?;
    let unborn = root.join(format!(".{FOLDER}{PARTIAL_SUFFIX}"));
    ignore_missing(std::fs::remove_dir_all(&unborn)).map_err(MhlError::io(&unborn))?;
    for (path, tool) in &history.unlisted {
        if tool.as_deref() != Some(TOOL) {
            let problem = format!("{} is not listed in {CHAIN_FILE}", path.display());
            return Err(MhlError::Broken { folder: folder.shown().to_owned(), problem });
        }
        let name = path.file_name().unwrap_or_default();
        ignore_missing(std::fs::remove_file(folder.path().join(name))).map_err(MhlError::io(path))?;
    }
    let Ok(entries) = std::fs::read_dir(folder.path()) else {
        return Ok(());
    };
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().ends_with(PARTIAL_SUFFIX) {
            let shown = folder.shown().join(entry.file_name());
            ignore_missing(std::fs::remove_file(entry.path())).map_err(MhlError::io(&shown))?;
        }
    }
    Ok(())
}

fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Replaces a file by `content`, on disk before it is visible.
fn replace(path: &Path, content: &str) -> Result<(), MhlError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let temporary = path.with_file_name(format!(".{name}{PARTIAL_SUFFIX}"));
    let written = std::fs::write(&temporary, content).and_then(|()| File::open(&temporary)?.sync_all());
    written.map_err(MhlError::io(&temporary))?;
    rename(&temporary, path)
}

/// Renames, and puts the new name on disk.
fn rename(from: &Path, to: &Path) -> Result<(), MhlError> {
    std::fs::rename(from, to).map_err(MhlError::io(to))?;
    let parent = to.parent().unwrap_or(Path::new("/"));
    File::open(parent).and_then(|directory| directory.sync_all()).map_err(MhlError::io(parent))
}

fn join_paths(prefix: &str, relative: &str) -> String {
    if relative.is_empty() { prefix.to_owned() } else { join(prefix, relative) }
}

fn modified(metadata: &Metadata) -> jiff::Timestamp {
    jiff::Timestamp::from_nanosecond(modified_ns(metadata)).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
}

fn modified_ns(metadata: &Metadata) -> i128 {
    i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec())
}
