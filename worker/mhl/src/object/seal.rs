//! Writes the next generation of a tree of objects. What is decided about each file is decided where it is for
//! directories ([`Scope`](crate::scope::Scope)).
use super::super::entry::{EntryAction, EntryOutcome, PendingEntry, ScannedFile};
use super::super::frames::below;
use super::super::journal::{Copied, Record};
use super::super::model::{MhlError, Reference};
use super::super::seal::SealReport;
use super::super::source::Source;
use super::super::tree::{DirectoryHash, join};
use super::generation::{FinishedHistory, OpenHistory, last_name};
use super::mirror::{Survey, survey};
use super::records::{keep_refused, records, refused, some_at_once};
use super::scratch::Scratch;
use super::walk::{Visitor, walk};
use super::{ObjectTree, hash};
use async_trait::async_trait;
use futures_util::FutureExt;
use protocol::model::hash::HashAlgorithm;
use protocol::time::Timestamp;
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use storage::hash::Digest;
use storage::retry::{RetryBudget, retry};
use storage::{ObjectState, StorageError};
use tokio_util::sync::CancellationToken;

/// Objects of one directory that wait to be read together.
const BATCH_OBJECTS: usize = 64;

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
    scopes: Vec<OpenHistory>,
    /// Objects of the current directory that must be read.
    batch: Vec<(PendingEntry, ObjectState, String)>,
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
        let found = ScannedFile {
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
            EntryAction::Unchanged { digest, failed } => {
                let failed = failed.then(|| {
                    format!("{path}: failed in an earlier generation and was not restored")
                });
                self.report.failed.extend(failed);
                self.count(path, &digest);
            }
            EntryAction::Record(pending) if pending.wanted.is_empty() => {
                self.record(pending, path)?
            }
            EntryAction::Record(pending) => self.batch.push((pending, state, path.to_owned())),
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
        if let Some(history) = self.scopes.last_mut() {
            history.record_empty(&open.path, self.algorithm, &mut open.hash)?;
        }
        let (content, structure) = open.hash.finish();
        let nested = match self.scopes.pop_if(|_| open.scoped) {
            Some(history) => {
                let (tree, scratch) = (self.tree, &self.scratch);
                history.finish(tree, scratch, &content, &structure).await?
            }
            None => None,
        };
        if open.path.is_empty() {
            self.report.generation = nested.as_ref().and_then(|nested| nested.written.clone());
        }
        let (Some(parent), Some(continued)) = (self.open.last_mut(), self.scopes.last_mut()) else {
            return Ok(());
        };
        let at = below(&continued.scope.prefix, &open.path)
            .unwrap_or(&open.path)
            .to_owned();
        if let Some(FinishedHistory { reference, written }) = nested {
            // What lies below may be recorded here as well, from before it had a history of its own.
            continued.scope.history.see_below(&at);
            continued.scope.news += u64::from(written.is_some());
            continued.scope.references.push(Reference {
                path: join(&at, &reference.path),
                ..reference
            });
        }
        continued.scope.directory(at, None, &content, &structure)?;
        parent
            .hash
            .push(last_name(&open.path), &content, &structure);
        Ok(())
    }
}

impl Sealer<'_> {
    /// Takes the history of a directory up.
    async fn begin(&mut self, path: &str) -> Result<(), MhlError> {
        let files = self.histories.get(path).cloned().unwrap_or_default();
        self.begun += 1;
        let scratch = (self.scratch.as_path(), self.begun);
        let history = OpenHistory::load(self.tree, path, &files, scratch, self.cancel).await?;
        self.scopes.push(history);
        Ok(())
    }

    /// Reads what must be read of the current directory, several objects at a time.
    async fn read_batch(&mut self) -> Result<(), MhlError> {
        let (tree, cancel) = (self.tree, self.cancel);
        let read = |(mut pending, state, path): (PendingEntry, ObjectState, String)| async move {
            let hashed = hash(&tree.storage, &state, &pending.wanted, cancel).await?;
            pending.digests.extend(hashed);
            Ok::<_, MhlError>((pending, path))
        };
        let batch = std::mem::take(&mut self.batch);
        let read = some_at_once(batch.into_iter().map(|one| read(one).boxed()).collect()).await?;
        for (pending, path) in read {
            self.report.hashed_bytes += pending.bytes;
            self.record(pending, &path)?;
        }
        Ok(())
    }

    fn record(&mut self, pending: PendingEntry, path: &str) -> Result<(), MhlError> {
        let Some(continued) = self.scopes.last_mut() else {
            return Ok(());
        };
        let recorded = continued
            .scope
            .record(pending, self.algorithm, &self.source.known(path))?;
        let EntryOutcome {
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
            open.hash.push(last_name(path), digest, digest);
        }
    }
}

fn modified(at: Option<Timestamp>) -> jiff::Timestamp {
    at.and_then(|at| jiff::Timestamp::from_microsecond(at.0).ok())
        .unwrap_or(jiff::Timestamp::UNIX_EPOCH)
}
