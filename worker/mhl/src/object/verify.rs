//! Hashes a tree of objects against its history: every file, every generation, nested histories included.
use super::super::CHAIN_FILE;
use super::super::folder::Folder;
use super::super::frames::{Frames, join_below};
use super::super::history::History;
use super::super::model::MhlError;
use super::super::report::{Mismatch, VerifyReport};
use super::super::tally::Tally;
use super::mirror::{Survey, mirror, survey};
use super::scratch::{Scratch, at_place};
use super::walk::{Visitor, walk};
use super::{ObjectTree, blocking, hash, legacy};
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::path::PathBuf;
use storage::hash::Digest;
use storage::{ObjectState, StorageError};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Verifies a tree, `at_once` objects at a time (at least one). A tree without a history is compared with the MHL 1.1
/// lists in it, and reported as broken when there are none; an error means that the verification itself could not be done.
pub async fn verify(
    tree: &ObjectTree,
    at_once: usize,
    cancel: &CancellationToken,
) -> Result<VerifyReport, MhlError> {
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
    let Survey {
        histories, lists, ..
    } = survey(tree, None, cancel).await?;
    if histories.contains_key("") || lists.is_empty() {
        return verify_history(tree, histories, at_once, cancel, scratch).await;
    }
    let outermost = legacy::outermost(&histories);
    let mut report = legacy::verify((tree, &lists, &outermost), at_once, cancel, scratch).await?;
    for directory in outermost {
        let below = Scratch::new()?;
        let tree = tree.below(&directory);
        let Survey { histories, .. } = survey(&tree, None, cancel).await?;
        let verified = verify_history(&tree, histories, at_once, cancel, &below).await;
        report.take(
            verified.map_err(|error| error.seen_at(below.path(), &tree.place()))?,
            &directory,
        );
    }
    report.sort();
    Ok(report)
}

/// Verifies a tree against the history of its root.
async fn verify_history(
    tree: &ObjectTree,
    histories: BTreeMap<String, Vec<(String, ObjectState)>>,
    at_once: usize,
    cancel: &CancellationToken,
    scratch: &Scratch,
) -> Result<VerifyReport, MhlError> {
    let mut checker = Checker {
        tree,
        cancel,
        scratch: scratch.path().to_owned(),
        histories,
        at_once: at_once.max(1),
        open: Vec::new(),
        frames: Frames::default(),
        tally: Tally::default(),
        reads: JoinSet::new(),
        report: VerifyReport::default(),
    };
    walk(tree, &mut checker, cancel).await?;
    while !checker.reads.is_empty() {
        checker.take_one().await?;
    }
    let mut report = checker.report;
    checker.frames.judge(&checker.tally, &mut report);
    report.sort();
    Ok(report)
}

/// How reading one object ended.
struct Read {
    path: String,
    number: usize,
    bytes: u64,
    recorded: Digest,
    digests: Result<Vec<Digest>, MhlError>,
}

struct Checker<'a> {
    tree: &'a ObjectTree,
    cancel: &'a CancellationToken,
    scratch: PathBuf,
    histories: BTreeMap<String, Vec<(String, ObjectState)>>,
    at_once: usize,
    /// Whether each directory around the current object has a history.
    open: Vec<bool>,
    frames: Frames,
    tally: Tally,
    reads: JoinSet<Read>,
    report: VerifyReport,
}

#[async_trait]
impl Visitor for Checker<'_> {
    fn ignores(&self, path: &str, directory: bool) -> bool {
        self.frames.ignores(path, directory)
    }

    async fn enter(&mut self, path: &str) -> Result<(), MhlError> {
        self.frames.see(path);
        self.tally.directory(path);
        let scoped = path.is_empty() || self.histories.contains_key(path);
        if scoped {
            self.begin(path).await?;
        }
        self.open.push(scoped);
        Ok(())
    }

    async fn object(&mut self, path: &str, state: ObjectState) -> Result<(), MhlError> {
        self.frames.see(path);
        let Some(recorded) = self.frames.recorded(path) else {
            self.report.new.push(path.to_owned());
            return Ok(());
        };
        let algorithms = self.frames.algorithms(&recorded);
        let number = self.tally.file(path);
        while self.reads.len() >= self.at_once {
            self.take_one().await?;
        }
        let (storage, cancel, path) = (
            self.tree.storage.clone(),
            self.cancel.clone(),
            path.to_owned(),
        );
        self.reads.spawn(async move {
            let digests = hash(&storage, &state, &algorithms, &cancel).await;
            Read {
                path,
                number,
                bytes: state.bytes,
                recorded,
                digests,
            }
        });
        Ok(())
    }

    fn unrecordable(&mut self, path: &str) {
        self.report.unrecordable(path.to_owned());
    }

    async fn leave(&mut self) -> Result<(), MhlError> {
        if self.open.pop() == Some(true) {
            let missing = self.frames.leave(true, &mut self.tally);
            self.report.missing.extend(missing);
        }
        Ok(())
    }
}

impl Checker<'_> {
    async fn begin(&mut self, path: &str) -> Result<(), MhlError> {
        let files = self.histories.get(path).cloned().unwrap_or_default();
        let root = mirror(self.tree, path, &files, &self.scratch, self.cancel).await?;
        let (cancel, loaded) = (self.cancel.clone(), root.clone());
        let history = match blocking(move || History::load(&Folder::open(&loaded)?, &cancel)).await
        {
            Ok(history) => history,
            Err(error @ MhlError::Malformed { .. }) => {
                let error = error.seen_at(&self.scratch, &self.tree.place());
                self.report.broken.push(error.to_string());
                // Without its history everything in it is new, which the broken one explains.
                History::empty()
            }
            Err(error) => return Err(error),
        };
        let place = join_below(&self.tree.place(), path);
        let report = &mut self.report;
        report.generations += history.links.len() as u64;
        for (unlisted, _) in &history.unlisted {
            let name = unlisted.file_name().unwrap_or_default().to_string_lossy();
            report.broken.push(format!(
                "{place}/{}/{name} is not in {CHAIN_FILE}",
                super::super::FOLDER
            ));
        }
        if files.is_empty() {
            report
                .broken
                .push(format!("{place} has no ASC MHL history"));
        }
        let problems = history.problems.iter();
        report
            .broken
            .extend(problems.map(|problem| at_place(problem, &self.scratch, &self.tree.place())));
        self.frames.enter(path, history);
        Ok(())
    }

    /// Waits for one object to be read and takes in what was found.
    async fn take_one(&mut self) -> Result<(), MhlError> {
        let Some(read) = self
            .cancel
            .run_until_cancelled(self.reads.join_next())
            .await
            .ok_or(MhlError::Cancelled)?
        else {
            return Ok(());
        };
        let Read {
            path,
            number,
            bytes,
            recorded,
            digests,
        } = match read {
            Ok(read) => read,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => return Err(MhlError::Cancelled),
        };
        match digests {
            Ok(digests) => {
                self.report.files += 1;
                self.report.bytes += bytes;
                let of_record = digests
                    .iter()
                    .find(|digest| digest.algorithm == recorded.algorithm);
                let found = of_record.filter(|digest| **digest != recorded);
                self.report.mismatched.extend(found.map(|found| Mismatch {
                    path,
                    recorded: recorded.to_string(),
                    found: found.to_string(),
                }));
                self.tally.hashed(number, digests);
            }
            // It went while the tree was walked.
            Err(MhlError::Storage(StorageError::NotFound(_))) => self.report.missing.push(path),
            Err(MhlError::Storage(error)) => self.report.unreadable.push((path, error.to_string())),
            Err(error) => return Err(error),
        }
        Ok(())
    }
}
