//! Hashes a tree of objects against its history: every file, every generation, nested histories included.
use super::super::CHAIN_FILE;
use super::super::history::History;
use super::super::ignore::Ignore;
use super::super::model::MhlError;
use super::super::tree::join;
use super::super::verify::{Mismatch, VerifyReport};
use super::mirror::{Survey, mirror, survey};
use super::scratch::Scratch;
use super::seal::{at_place, below};
use super::walk::{Visitor, walk};
use super::{ObjectTree, blocking, hash};
use crate::hash::Digest;
use crate::storage::{ObjectState, StorageError};
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::path::PathBuf;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Verifies a tree, `at_once` objects at a time (at least one). A tree without a history is reported as broken; an error
/// means that the verification itself could not be done.
pub async fn verify(tree: &ObjectTree, at_once: usize, cancel: &CancellationToken) -> Result<VerifyReport, MhlError> {
    let scratch = Scratch::new()?;
    let verified = verify_in(tree, at_once, cancel, &scratch).await;
    verified.map_err(|error| error.seen_at(scratch.path(), &tree.place()))
}

async fn verify_in(
    tree: &ObjectTree,
    at_once: usize,
    cancel: &CancellationToken,
    scratch: &Scratch,
) -> Result<VerifyReport, MhlError> {
    let Survey { histories, .. } = survey(tree, None, cancel).await?;
    let mut checker = Checker {
        tree,
        cancel,
        scratch: scratch.path().to_owned(),
        histories,
        at_once: at_once.max(1),
        open: Vec::new(),
        scopes: Vec::new(),
        reads: JoinSet::new(),
        report: VerifyReport::default(),
    };
    walk(tree, &mut checker, cancel).await?;
    while !checker.reads.is_empty() {
        checker.take_one().await?;
    }
    let mut report = checker.report;
    report.mismatched.sort();
    report.unreadable.sort();
    report.missing.sort();
    report.new.sort();
    Ok(report)
}

/// How reading one object ended.
type Read = (String, u64, Digest, Result<Vec<Digest>, MhlError>);

struct Checker<'a> {
    tree: &'a ObjectTree,
    cancel: &'a CancellationToken,
    scratch: PathBuf,
    histories: BTreeMap<String, Vec<(String, ObjectState)>>,
    at_once: usize,
    /// Whether each directory around the current object has a history.
    open: Vec<bool>,
    /// Histories around it with the directory each describes.
    scopes: Vec<(String, History, Ignore)>,
    reads: JoinSet<Read>,
    report: VerifyReport,
}

#[async_trait]
impl Visitor for Checker<'_> {
    fn ignores(&self, path: &str, directory: bool) -> bool {
        self.patterns(path).any(|(ignore, relative)| ignore.matches(relative, directory))
    }

    async fn enter(&mut self, path: &str) -> Result<(), MhlError> {
        if let Some((prefix, history, _)) = self.scopes.last_mut()
            && let Some(relative) = below(prefix, path)
        {
            history.see(relative);
        }
        let scoped = path.is_empty() || self.histories.contains_key(path);
        if scoped {
            self.begin(path).await?;
        }
        self.open.push(scoped);
        Ok(())
    }

    async fn object(&mut self, path: &str, state: ObjectState) -> Result<(), MhlError> {
        let Some((prefix, history, _)) = self.scopes.last_mut() else { return Ok(()) };
        let relative = below(prefix, path).unwrap_or(path);
        history.see(relative);
        let Some(recorded) = history.files.get(relative).and_then(|known| known.original().cloned()) else {
            self.report.new.push(path.to_owned());
            return Ok(());
        };
        while self.reads.len() >= self.at_once {
            self.take_one().await?;
        }
        let (storage, cancel, path) = (self.tree.storage.clone(), self.cancel.clone(), path.to_owned());
        self.reads.spawn(async move {
            let read = hash(&storage, &state, &[recorded.algorithm], &cancel).await;
            (path, state.bytes, recorded, read)
        });
        Ok(())
    }

    async fn leave(&mut self) -> Result<(), MhlError> {
        if self.open.pop() != Some(true) {
            return Ok(());
        }
        let Some((prefix, history, _)) = self.scopes.last() else { return Ok(()) };
        let files = history.files.iter().filter(|(_, known)| !known.seen).map(|(path, _)| path);
        let directories = history.directories.iter().filter(|(_, seen)| !**seen).map(|(path, _)| path);
        let missing = files.chain(directories).map(|path| join_below(prefix, path)).filter(|path| !self.covers(path));
        let missing: Vec<String> = missing.collect();
        self.report.missing.extend(missing);
        self.scopes.pop();
        Ok(())
    }
}

impl Checker<'_> {
    async fn begin(&mut self, path: &str) -> Result<(), MhlError> {
        let files = self.histories.get(path).cloned().unwrap_or_default();
        let root = mirror(self.tree, path, &files, &self.scratch, self.cancel).await?;
        let (cancel, loaded) = (self.cancel.clone(), root.clone());
        let history = match blocking(move || History::load(&loaded, &cancel)).await {
            Ok(history) => history,
            Err(error @ MhlError::Malformed { .. }) => {
                let error = error.seen_at(&self.scratch, &self.tree.place());
                self.report.broken.push(error.to_string());
                let cancel = self.cancel.clone();
                // Without its history everything in it is new, which the broken one explains.
                let nothing = self.scratch.join("nothing");
                blocking(move || History::load(&nothing, &cancel)).await?
            }
            Err(error) => return Err(error),
        };
        let place = join_below(&self.tree.place(), path);
        let report = &mut self.report;
        report.generations += history.links.len() as u64;
        for (unlisted, _) in &history.unlisted {
            let name = unlisted.file_name().unwrap_or_default().to_string_lossy();
            report.broken.push(format!("{place}/{}/{name} is not in {CHAIN_FILE}", super::super::FOLDER));
        }
        if files.is_empty() {
            report.broken.push(format!("{place} has no ASC MHL history"));
        }
        let problems = history.problems.iter();
        report.broken.extend(problems.map(|problem| at_place(problem, &self.scratch, &self.tree.place())));
        let ignore = Ignore::new(&history.ignore);
        self.scopes.push((path.to_owned(), history, ignore));
        Ok(())
    }

    /// Waits for one object to be read and takes in what was found.
    async fn take_one(&mut self) -> Result<(), MhlError> {
        let Some(read) = self.cancel.run_until_cancelled(self.reads.join_next()).await.ok_or(MhlError::Cancelled)?
        else {
            return Ok(());
        };
        let (path, bytes, recorded, read) = match read {
            Ok(read) => read,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => return Err(MhlError::Cancelled),
        };
        match read {
            Ok(digests) => {
                self.report.files += 1;
                self.report.bytes += bytes;
                let found = digests.into_iter().find(|digest| *digest != recorded);
                self.report.mismatched.extend(found.map(|found| Mismatch {
                    path,
                    recorded: recorded.to_string(),
                    found: found.to_string(),
                }));
            }
            // It went while the tree was walked.
            Err(MhlError::Storage(StorageError::NotFound(_))) => self.report.missing.push(path),
            Err(MhlError::Storage(error)) => self.report.unreadable.push((path, error.to_string())),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn covers(&self, path: &str) -> bool {
        self.patterns(path).any(|(ignore, relative)| ignore.covers(relative))
    }

    fn patterns<'b>(&'b self, path: &'b str) -> impl Iterator<Item = (&'b Ignore, &'b str)> {
        self.scopes.iter().filter_map(move |(prefix, _, ignore)| Some((ignore, below(prefix, path)?)))
    }
}

fn join_below(prefix: &str, path: &str) -> String {
    if path.is_empty() { prefix.to_owned() } else { join(prefix, path) }
}
