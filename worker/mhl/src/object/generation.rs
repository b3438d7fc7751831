//! The history of one directory of objects, from the copy of its files to its next generation in place.
use super::super::folder::Folder;
use super::super::frames::below;
use super::super::history::History;
use super::super::ignore::Ignore;
use super::super::model::{MhlError, Reference};
use super::super::scope::{Scope, Written};
use super::super::tree::{DirectoryHash, join};
use super::super::{CHAIN_FILE, FOLDER, TOOL};
use super::mirror::{mirror, put, upload};
use super::scratch::at_place;
use super::{ObjectTree, blocking};
use bytes::Bytes;
use protocol::model::hash::HashAlgorithm;
use std::path::{Path, PathBuf};
use storage::hash::Digest;
use storage::retry::{RetryBudget, retry};
use storage::{Body, ObjectState, Precondition, StorageError, Version};
use tokio_util::sync::CancellationToken;

/// File of the scratch directory that a generation is written to.
const GENERATION: &str = "generation";

/// A history that is being continued.
pub(super) struct OpenHistory {
    pub(super) scope: Scope,
    pub(super) ignore: Ignore,
    /// The state its chain was read in; `None` when there was none.
    chain: Option<Version>,
    /// Generations of ours that no chain lists.
    leftovers: Vec<String>,
    /// Recorded directories without a recorded file: no object shows that they are there.
    empty: Vec<String>,
}

/// What the history above and the report need of a history that was continued.
pub(super) struct FinishedHistory {
    /// How to refer to its last generation.
    pub(super) reference: Reference,
    /// Location of that generation, when it is a new one.
    pub(super) written: Option<PathBuf>,
}

impl OpenHistory {
    /// Loads the history of the directory `path` from its files. `number` tells its scratch files from those of others.
    pub(super) async fn load(
        tree: &ObjectTree,
        path: &str,
        files: &[(String, ObjectState)],
        (scratch, number): (&Path, usize),
        cancel: &CancellationToken,
    ) -> Result<OpenHistory, MhlError> {
        let root = mirror(tree, path, files, scratch, cancel).await?;
        let cancel = cancel.clone();
        let folder = root.join(FOLDER);
        let history = blocking(move || History::load(&Folder::open(&root)?, &cancel)).await?;
        let broken = |problem: String| MhlError::Broken {
            folder: folder.clone(),
            problem: at_place(&problem, scratch, &tree.place()),
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
        let scope = Scope::new(path.to_owned(), history, &Folder::open(scratch)?, number)?;
        Ok(OpenHistory {
            scope,
            ignore,
            chain,
            leftovers,
            empty,
        })
    }

    /// Records the directories in `path` that hold nothing, as they were recorded before: a bucket cannot show them.
    pub(super) fn record_empty(
        &mut self,
        path: &str,
        algorithm: HashAlgorithm,
        hash: &mut DirectoryHash,
    ) -> Result<(), MhlError> {
        let OpenHistory {
            scope,
            ignore,
            empty,
            ..
        } = self;
        let at = below(&scope.prefix, path).unwrap_or_default().to_owned();
        empty.retain(|directory| !ignore.covers(directory) && !ignore.matches(directory, true));
        record_empty(scope, empty, &at, algorithm, hash)
    }

    /// Writes the next generation when there is something new; nothing for a history that has no generation then.
    pub(super) async fn finish(
        self,
        tree: &ObjectTree,
        scratch: &Path,
        content: &Digest,
        structure: &Digest,
    ) -> Result<Option<FinishedHistory>, MhlError> {
        let OpenHistory {
            scope,
            chain,
            leftovers,
            ..
        } = self;
        let last = scope.last_reference();
        if !scope.has_news() {
            return Ok(last.map(|reference| FinishedHistory {
                reference,
                written: None,
            }));
        }
        let path = scope.prefix.clone();
        let inside = |name: &str| join(&path, &join(FOLDER, name));
        let (name, scratch) = (tree.name(&path), scratch.to_owned());
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
        let Written {
            file: name,
            chain: listing,
            reference,
        } = written;
        let overtaken = |error| match error {
            MhlError::Storage(StorageError::Precondition { .. }) => {
                MhlError::Busy(PathBuf::from(tree.place()))
            }
            error => error,
        };
        let generation = inside(&name);
        upload(tree, &generation, file, &Precondition::IfAbsent)
            .await
            .map_err(overtaken)?;
        let condition = chain.map_or(Precondition::IfAbsent, Precondition::IfMatch);
        let checksum = tree.storage.capabilities().checksum;
        let body = Body::new(vec![Bytes::from(listing)], checksum);
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
        Ok(Some(FinishedHistory {
            reference,
            written: Some(PathBuf::from(format!("{}/{generation}", tree.place()))),
        }))
    }
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
        hash.push(last_name(directory), &content, &structure);
    }
    Ok(())
}

/// The last part of a path.
pub(super) fn last_name(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}
