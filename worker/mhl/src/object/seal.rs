//! Writes the next generation of a tree of objects. What is decided about each file is decided where it is for
//! directories ([`Scope`]).
use super::super::folder::Folder;
use super::super::frames::below;
use super::super::history::History;
use super::super::ignore::Ignore;
use super::super::journal::{Copied, Record};
use super::super::model::{MhlError, Reference};
use super::super::scope::{Draft, Found, Recorded, Scope, Verdict};
use super::super::seal::SealReport;
use super::super::source::Source;
use super::super::tree::{DirectoryHash, join};
use super::super::{CHAIN_FILE, FOLDER, TOOL};
use super::mirror::{Survey, mirror, put, survey, upload};
use super::records::{keep_refused, records, refused, some_at_once};
use super::scratch::Scratch;
use super::walk::{Visitor, walk};
use super::{ObjectTree, blocking, hash};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::FutureExt;
use protocol::model::hash::HashAlgorithm;
use protocol::time::Timestamp;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use storage::hash::Digest;
use storage::retry::{RetryBudget, retry};
use storage::{Body, ObjectState, Precondition, StorageError, Version};
use tokio_util::sync::CancellationToken;

/// Objects of one directory that wait to be read together.
const BATCH_OBJECTS: usize = 64;
/// File of the scratch directory that a generation is written to.
const GENERATION: &str = "generation";

/// Writes the generation of a tree for `job`, and removes the job's journal.
pub async fn seal(
    tree: &ObjectTree,
    job: &str,
    algorithm: HashAlgorithm,
    cancel: &CancellationToken,
) -> Result<SealReport, MhlError> {
    seal_copy(tree, job, algorithm, &Source::default(), cancel).await
}

/// The same for a tree that is a copy: no object that contradicts the history of its source is sealed as an original.
pub async fn seal_copy(
    tree: &ObjectTree,
    job: &str,
    algorithm: HashAlgorithm,
    source: &Source,
    cancel: &CancellationToken,
) -> Result<SealReport, MhlError> {
    let scratch = Scratch::new()?;
    let sealed = seal_in(tree, job, algorithm, source, cancel, &scratch).await;
    sealed.map_err(|error| error.seen_at(scratch.path(), &tree.place()))
}

async fn seal_in(
    tree: &ObjectTree,
    job: &str,
    algorithm: HashAlgorithm,
    source: &Source,
    cancel: &CancellationToken,
    scratch: &Scratch,
) -> Result<SealReport, MhlError> {
    let Survey {
        histories, journal, ..
    } = survey(tree, Some(job), cancel).await?;
    let records = records(tree, &journal, cancel).await?;
    let mut sealer = Sealer {
        tree,
        algorithm,
        source,
        cancel,
        scratch: scratch.path().to_owned(),
        histories,
        records,
        open: Vec::new(),
        scopes: Vec::new(),
        batch: Vec::new(),
        refused: Vec::new(),
        begun: 0,
        report: SealReport::default(),
    };
    walk(tree, &mut sealer, cancel).await?;
    let mut report = sealer.report;
    let before = refused(tree, cancel).await?.map(|(_, state)| state);
    keep_refused(tree, &sealer.refused, before).await?;
    let mut gone = Vec::new();
    for path in sealer.records.into_keys() {
        let key = tree.key(&path);
        match retry(RetryBudget::default(), || tree.storage.stat(&key)).await {
            Err(StorageError::NotFound(_)) => {
                gone.push(format!("{path}: landed by this job and no longer there"))
            }
            looked => drop(looked?),
        }
    }
    gone.sort();
    report.failed.extend(gone);
    let remove = |state: ObjectState| async move {
        Ok::<_, MhlError>(
            retry(RetryBudget::default(), || {
                tree.storage.delete(&state.key, None)
            })
            .await?,
        )
    };
    some_at_once(
        journal
            .into_iter()
            .map(|state| remove(state).boxed())
            .collect(),
    )
    .await?;
    Ok(report)
}

struct Sealer<'a> {
    tree: &'a ObjectTree,
    algorithm: HashAlgorithm,
    /// What the histories of the source say that those of the copy do not.
    source: &'a Source,
    cancel: &'a CancellationToken,
    scratch: PathBuf,
    histories: BTreeMap<String, Vec<(String, ObjectState)>>,
    records: HashMap<String, Record>,
    /// Directories around the current object, the root first.
    open: Vec<Open>,
    /// Histories around it.
    scopes: Vec<Continued>,
    /// Objects of the current directory that must be read.
    batch: Vec<(Draft, ObjectState, String)>,
    /// Copies that contradict the history of their source.
    refused: Vec<Copied>,
    begun: usize,
    report: SealReport,
}

/// A directory that has begun.
struct Open {
    path: String,
    hash: DirectoryHash,
    scoped: bool,
}

/// A history that is being continued.
struct Continued {
    scope: Scope,
    ignore: Ignore,
    /// The state its chain was read in; `None` when there was none.
    chain: Option<Version>,
    /// Generations of ours that no chain lists.
    leftovers: Vec<String>,
    /// Recorded directories without a recorded file: no object shows that they are there.
    empty: Vec<String>,
}

#[async_trait]
impl Visitor for Sealer<'_> {
    fn ignores(&self, path: &str, directory: bool) -> bool {
        self.scopes.iter().any(|continued| {
            let relative = below(&continued.scope.prefix, path);
            relative.is_some_and(|relative| continued.ignore.matches(relative, directory))
        })
    }

    async fn enter(&mut self, path: &str) -> Result<(), MhlError> {
        self.read_batch().await?;
        if let Some(continued) = self.scopes.last_mut()
            && let Some(relative) = below(&continued.scope.prefix, path)
        {
            continued.scope.history.see(relative);
        }
        let scoped = path.is_empty() || self.histories.contains_key(path);
        if scoped {
            self.begin(path).await?;
        }
        self.open.push(Open {
            path: path.to_owned(),
            hash: DirectoryHash::new(self.algorithm),
            scoped,
        });
        Ok(())
    }

    async fn object(&mut self, path: &str, state: ObjectState) -> Result<(), MhlError> {
        let Some(continued) = self.scopes.last_mut() else {
            return Ok(());
        };
        let relative = below(&continued.scope.prefix, path)
            .unwrap_or(path)
            .to_owned();
        continued.scope.history.see(&relative);
        let record = self.records.remove(path);
        let same = |record: &Record| {
            record.bytes == state.bytes && record.tag.as_ref() == Some(&state.version.tag)
        };
        let (bytes, modified, tag) = (
            state.bytes,
            modified(state.modified),
            Some(state.version.tag.clone()),
        );
        let found = Found {
            path: relative,
            bytes,
            modified,
            state: tag,
            record: record.filter(same),
        };
        match continued
            .scope
            .consider(found, self.algorithm, &self.source.known(path))
        {
            Verdict::Unchanged { digest, failed } => {
                let failed = failed.then(|| {
                    format!("{path}: failed in an earlier generation and was not restored")
                });
                self.report.failed.extend(failed);
                self.count(path, &digest);
            }
            Verdict::Record(draft) if draft.wanted.is_empty() => self.record(draft, path)?,
            Verdict::Record(draft) => self.batch.push((draft, state, path.to_owned())),
        }
        if self.batch.len() >= BATCH_OBJECTS {
            self.read_batch().await
        } else {
            Ok(())
        }
    }

    fn unrecordable(&mut self, path: &str) {
        self.report.unrecordable.push(PathBuf::from(
            self.tree.storage.location(&self.tree.key(path)),
        ));
    }

    async fn leave(&mut self) -> Result<(), MhlError> {
        self.read_batch().await?;
        let Some(mut open) = self.open.pop() else {
            return Ok(());
        };
        if let Some(Continued {
            scope,
            ignore,
            empty,
            ..
        }) = self.scopes.last_mut()
        {
            let at = below(&scope.prefix, &open.path)
                .unwrap_or_default()
                .to_owned();
            empty.retain(|directory| !ignore.covers(directory) && !ignore.matches(directory, true));
            record_empty(scope, empty, &at, self.algorithm, &mut open.hash)?;
        }
        let (content, structure) = open.hash.finish();
        let nested = if open.scoped {
            self.end(&open.path, &content, &structure).await?
        } else {
            None
        };
        let (Some(parent), Some(continued)) = (self.open.last_mut(), self.scopes.last_mut()) else {
            return Ok(());
        };
        let at = below(&continued.scope.prefix, &open.path)
            .unwrap_or(&open.path)
            .to_owned();
        if let Some((reference, new)) = nested {
            // What lies below may be recorded here as well, from before it had a history of its own.
            continued.scope.history.see_below(&at);
            continued.scope.news += u64::from(new);
            continued.scope.references.push(Reference {
                path: join(&at, &reference.path),
                ..reference
            });
        }
        continued.scope.directory(at, None, &content, &structure)?;
        parent.hash.push(last(&open.path), &content, &structure);
        Ok(())
    }
}

impl Sealer<'_> {
    /// Takes the history of a directory up.
    async fn begin(&mut self, path: &str) -> Result<(), MhlError> {
        let files = self.histories.get(path).cloned().unwrap_or_default();
        let root = mirror(self.tree, path, &files, &self.scratch, self.cancel).await?;
        let cancel = self.cancel.clone();
        let folder = root.join(FOLDER);
        let history = blocking(move || History::load(&Folder::open(&root)?, &cancel)).await?;
        let broken = |problem: String| MhlError::Broken {
            folder: folder.clone(),
            problem: at_place(&problem, &self.scratch, &self.tree.place()),
        };
        if let Some(problem) = history.problems.first() {
            return Err(broken(problem.clone()));
        }
        let mut leftovers = Vec::new();
        for (leftover, tool) in &history.unlisted {
            let name = leftover
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            if tool.as_deref() != Some(TOOL) {
                return Err(broken(format!("{name} is not listed in {CHAIN_FILE}")));
            }
            leftovers.push(name);
        }
        let chain = files
            .iter()
            .find(|(name, _)| name == CHAIN_FILE)
            .map(|(_, state)| state.version.clone());
        let (ignore, empty) = (Ignore::new(&history.ignore), history.empty_directories());
        self.begun += 1;
        let scope = Scope::new(
            path.to_owned(),
            history,
            &Folder::open(&self.scratch)?,
            self.begun,
        )?;
        self.scopes.push(Continued {
            scope,
            ignore,
            chain,
            leftovers,
            empty,
        });
        Ok(())
    }

    /// Writes the generation of a directory, when there is something new. Returns how to refer to its last one.
    async fn end(
        &mut self,
        path: &str,
        content: &Digest,
        structure: &Digest,
    ) -> Result<Option<(Reference, bool)>, MhlError> {
        let Some(Continued {
            scope,
            chain,
            leftovers,
            ..
        }) = self.scopes.pop()
        else {
            return Ok(None);
        };
        let last = scope.last_reference();
        if !scope.has_news() {
            return Ok(last.map(|last| (last, false)));
        }
        let (tree, name, scratch) = (self.tree, self.tree.name(path), self.scratch.clone());
        let (content, structure) = (content.clone(), structure.clone());
        let (written, file) = blocking(move || {
            let folder = Folder::open(&scratch)?;
            let written = scope.write(&name, &content, &structure, &folder, GENERATION)?;
            Ok((
                written,
                (folder.open_file(GENERATION, false)?, folder.at(GENERATION)),
            ))
        })
        .await?;
        let inside = |name: &str| join(path, &join(FOLDER, name));
        let overtaken = |error| match error {
            MhlError::Storage(StorageError::Precondition { .. }) => {
                MhlError::Busy(PathBuf::from(tree.place()))
            }
            error => error,
        };
        let generation = inside(&written.file);
        upload(tree, &generation, file, &Precondition::IfAbsent)
            .await
            .map_err(overtaken)?;
        let condition = chain.map_or(Precondition::IfAbsent, Precondition::IfMatch);
        let body = Body::new(
            vec![Bytes::from(written.chain)],
            tree.storage.capabilities().checksum,
        );
        if let Err(error) = put(tree, &inside(CHAIN_FILE), &body, &condition).await {
            if matches!(error, StorageError::Precondition { .. }) {
                // Another writer continued the chain first, so no chain lists this generation.
                tree.storage.delete(&tree.key(&generation), None).await?;
            }
            return Err(overtaken(error.into()));
        }
        // Only now: before the chain is in place, a concurrent writer may be about to list them.
        for leftover in leftovers {
            let key = tree.key(&inside(&leftover));
            retry(RetryBudget::default(), || tree.storage.delete(&key, None)).await?;
        }
        if path.is_empty() {
            self.report.generation = Some(PathBuf::from(format!("{}/{generation}", tree.place())));
        }
        Ok(Some((written.reference, true)))
    }

    /// Reads what must be read of the current directory, several objects at a time.
    async fn read_batch(&mut self) -> Result<(), MhlError> {
        let (tree, cancel) = (self.tree, self.cancel);
        let read = |(mut draft, state, path): (Draft, ObjectState, String)| async move {
            let hashed = hash(&tree.storage, &state, &draft.wanted, cancel).await?;
            draft.digests.extend(hashed);
            Ok::<_, MhlError>((draft, path))
        };
        let batch = std::mem::take(&mut self.batch);
        let read = some_at_once(batch.into_iter().map(|one| read(one).boxed()).collect()).await?;
        for (draft, path) in read {
            self.report.hashed_bytes += draft.bytes;
            self.record(draft, &path)?;
        }
        Ok(())
    }

    fn record(&mut self, draft: Draft, path: &str) -> Result<(), MhlError> {
        let Some(continued) = self.scopes.last_mut() else {
            return Ok(());
        };
        let recorded = continued
            .scope
            .record(draft, self.algorithm, &self.source.known(path))?;
        let Recorded {
            digest,
            failed,
            refused,
        } = recorded;
        self.report
            .failed
            .extend(failed.iter().map(|what| format!("{path}: {what}")));
        self.report.files += u64::from(!refused);
        self.refused
            .extend(self.source.refused(path).filter(|_| refused));
        self.count(path, &digest);
        Ok(())
    }

    /// Adds a file to the hashes of its directory.
    fn count(&mut self, path: &str, digest: &Digest) {
        if let Some(open) = self.open.last_mut() {
            open.hash.push(last(path), digest, digest);
        }
    }
}

/// Replaces the path of the scratch copy in a message by the location of the tree.
pub(super) fn at_place(problem: &str, scratch: &Path, place: &str) -> String {
    problem.replace(&*scratch.to_string_lossy(), place)
}

/// Records the directories in `at` that hold nothing, as they were recorded before: a bucket cannot show them.
fn record_empty(
    scope: &mut Scope,
    empty: &[String],
    at: &str,
    algorithm: HashAlgorithm,
    hash: &mut DirectoryHash,
) -> Result<(), MhlError> {
    let parent = |path: &str| {
        path.rsplit_once('/')
            .map_or("", |(parent, _)| parent)
            .to_owned()
    };
    for directory in empty.iter().filter(|directory| parent(directory) == at) {
        if scope
            .history
            .directories
            .get(directory)
            .is_none_or(|seen| *seen)
        {
            continue;
        }
        let mut own = DirectoryHash::new(algorithm);
        record_empty(scope, empty, directory, algorithm, &mut own)?;
        let (content, structure) = own.finish();
        scope.history.see(directory);
        scope.directory(directory.clone(), None, &content, &structure)?;
        hash.push(last(directory), &content, &structure);
    }
    Ok(())
}

fn last(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

fn modified(at: Option<Timestamp>) -> jiff::Timestamp {
    at.and_then(|at| jiff::Timestamp::from_microsecond(at.0).ok())
        .unwrap_or(jiff::Timestamp::UNIX_EPOCH)
}
