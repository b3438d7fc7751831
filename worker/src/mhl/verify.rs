//! Hashes a tree against its history: every file, every generation, nested histories included.
use super::history::History;
use super::ignore::Ignore;
use super::model::MhlError;
use super::tree::{children, join};
use super::{CHAIN_FILE, FOLDER};
use crate::hash::{Digest, HashError, hash_file};
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use tokio_util::sync::CancellationToken;

/// Files found but not hashed yet.
const QUEUE_FILES: usize = 256;

/// What a verification found. Paths are relative to the root.
#[derive(Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct VerifyReport {
    /// Generations read, those of nested histories included.
    pub generations: u64,
    /// Files hashed.
    pub files: u64,
    /// Bytes hashed.
    pub bytes: u64,
    /// Files whose content is not the recorded one.
    pub mismatched: Vec<Mismatch>,
    /// Recorded files and directories that are not there.
    pub missing: Vec<String>,
    /// Files that no generation records.
    pub new: Vec<String>,
    /// Files that could not be read, with the reason.
    pub unreadable: Vec<(String, String)>,
    /// Generations that are changed, missing, malformed or not in their chain.
    pub broken: Vec<String>,
}

/// A file whose content is not the recorded one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Mismatch {
    /// The file.
    pub path: String,
    /// The recorded hash, `algorithm:digest`.
    pub recorded: String,
    /// The hash of what is there.
    pub found: String,
}

impl VerifyReport {
    /// Whether the tree is exactly what its history says.
    pub fn is_intact(&self) -> bool {
        self.mismatched.is_empty()
            && self.missing.is_empty()
            && self.new.is_empty()
            && self.unreadable.is_empty()
            && self.broken.is_empty()
    }
}

/// Verifies the tree below `root` with `threads` threads that hash (at least one). A tree without a history is reported
/// as broken; an error means that the verification itself could not be done.
pub fn verify(root: &Path, threads: usize, cancel: &CancellationToken) -> Result<VerifyReport, MhlError> {
    let root = root.canonicalize().map_err(MhlError::io(root))?;
    let report = Mutex::new(VerifyReport::default());
    let (files, queue) = sync_channel(QUEUE_FILES);
    let queue = Mutex::new(queue);
    let walked = std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| hash_files(&queue, &report, cancel));
        }
        let mut walker = Walker { files, report: &report, cancel, ignores: Vec::new() };
        walker.history(&root, "")
    });
    walked?;
    if cancel.is_cancelled() {
        return Err(MhlError::Cancelled);
    }
    let mut report = report.into_inner();
    report.mismatched.sort();
    report.unreadable.sort();
    report.missing.sort();
    report.new.sort();
    Ok(report)
}

/// A file to hash.
struct Check {
    path: PathBuf,
    relative: String,
    recorded: Digest,
}

struct Walker<'a> {
    files: SyncSender<Check>,
    report: &'a Mutex<VerifyReport>,
    cancel: &'a CancellationToken,
    /// Patterns of the histories around, with their roots relative to the root.
    ignores: Vec<(String, Ignore)>,
}

impl Walker<'_> {
    fn history(&mut self, root: &Path, prefix: &str) -> Result<(), MhlError> {
        let history = match History::load(root, self.cancel) {
            Ok(history) => history,
            Err(error @ MhlError::Malformed { .. }) => {
                self.report.lock().broken.push(error.to_string());
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        {
            let mut report = self.report.lock();
            report.generations += history.links.len() as u64;
            let unlisted = history.unlisted.iter();
            report.broken.extend(unlisted.map(|(path, _)| format!("{} is not in {CHAIN_FILE}", path.display())));
            if history.links.is_empty() && history.problems.is_empty() {
                report.broken.push(format!("{} has no ASC MHL history", root.display()));
            }
            report.broken.extend(history.problems.iter().cloned());
        }
        self.ignores.push((prefix.to_owned(), Ignore::new(&history.ignore)));
        let mut unseen: BTreeSet<&str> = history.files.keys().map(String::as_str).collect();
        unseen.extend(history.directories.keys().map(String::as_str));
        let walked = self.walk(&history, &mut unseen, root, prefix, "");
        if walked.is_ok() {
            let missing = unseen.into_iter().map(|path| join(prefix, path)).filter(|path| !self.is_covered(path));
            self.report.lock().missing.extend(missing);
        }
        self.ignores.pop();
        walked
    }

    fn walk(
        &mut self,
        history: &History,
        unseen: &mut BTreeSet<&str>,
        path: &Path,
        prefix: &str,
        relative: &str,
    ) -> Result<(), MhlError> {
        let from_root = |name: &str| join(prefix, &join(relative, name));
        for child in children(path, |name, directory| self.is_ignored(&from_root(name), directory))? {
            if self.cancel.is_cancelled() {
                return Err(MhlError::Cancelled);
            }
            let (below, at) = (path.join(&child.name), join(relative, &child.name));
            unseen.remove(at.as_str());
            if child.metadata.is_dir() {
                match below.join(FOLDER).is_dir() {
                    true => self.history(&below, &from_root(&child.name))?,
                    false => self.walk(history, unseen, &below, prefix, &at)?,
                }
                continue;
            }
            let known = history.files.get(&at);
            match known.and_then(|known| known.original().cloned()) {
                Some(recorded) => {
                    let check = Check { path: below, relative: from_root(&child.name), recorded };
                    if self.files.send(check).is_err() {
                        return Err(MhlError::Cancelled);
                    }
                }
                None => self.report.lock().new.push(from_root(&child.name)),
            }
        }
        Ok(())
    }

    fn is_ignored(&self, from_root: &str, directory: bool) -> bool {
        self.patterns(from_root).any(|(ignore, relative)| ignore.matches(relative, directory))
    }

    fn is_covered(&self, from_root: &str) -> bool {
        self.patterns(from_root).any(|(ignore, relative)| ignore.covers(relative))
    }

    fn patterns<'b>(&'b self, from_root: &'b str) -> impl Iterator<Item = (&'b Ignore, &'b str)> {
        self.ignores.iter().filter_map(move |(prefix, ignore)| {
            let relative = from_root.strip_prefix(prefix.as_str())?;
            Some((ignore, relative.trim_start_matches('/')))
        })
    }
}

fn hash_files(queue: &Mutex<Receiver<Check>>, report: &Mutex<VerifyReport>, cancel: &CancellationToken) {
    loop {
        // The lock is released before the file is hashed.
        let Ok(Check { path, relative, recorded }) = queue.lock().recv() else {
            return;
        };
        match hash_file(&path, &[recorded.algorithm], cancel) {
            Ok((digests, bytes)) => {
                let mut report = report.lock();
                report.files += 1;
                report.bytes += bytes;
                let found = digests.into_iter().find(|digest| *digest != recorded);
                report.mismatched.extend(found.map(|found| Mismatch {
                    path: relative,
                    recorded: recorded.to_string(),
                    found: found.to_string(),
                }));
            }
            // What is left in the queue is drained without reading, so that the walker never waits for us.
            Err(HashError::Cancelled) => {}
            Err(error @ HashError::Read(_)) => {
                let reason = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
                report.lock().unreadable.push((relative, reason));
            }
        }
    }
}
