//! Hashes a tree against its history: every file, every directory, every generation, nested histories and the references to
//! them included.
use super::frames::Frames;
use super::history::History;
use super::model::MhlError;
pub use super::report::{Mismatch, VerifyReport};
use super::tally::Tally;
use super::tree::{children, has_history, join};
use super::{CHAIN_FILE, legacy};
use parking_lot::Mutex;
use protocol::wire::unit::HashAlgorithm;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use storage::hash::{Digest, HashError, hash_file};
use tokio_util::sync::CancellationToken;

/// Files found but not hashed yet.
const QUEUE_FILES: usize = 256;

/// Verifies the tree below `root` with `threads` threads that hash (at least one). A tree without a history is held against
/// the MHL 1.1 files at its root, and reported as broken when there are none; an error means that the verification itself
/// could not be done.
pub fn verify(root: &Path, threads: usize, cancel: &CancellationToken) -> Result<VerifyReport, MhlError> {
    let root = root.canonicalize().map_err(MhlError::io(root))?;
    if let Some(report) = legacy::verify(&root, threads, cancel)? {
        return Ok(report);
    }
    let (report, hashed) = (Mutex::new(VerifyReport::default()), Mutex::new(Vec::new()));
    let (files, queue) = sync_channel(QUEUE_FILES);
    let queue = Mutex::new(queue);
    let (walked, frames, mut tally) = std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| hash_files(&queue, &report, &hashed, cancel));
        }
        let (frames, tally) = (Frames::default(), Tally::default());
        let mut walker = Walker { files, report: &report, cancel, frames, tally };
        let walked = walker.history(&root, "");
        (walked, walker.frames, walker.tally)
    });
    walked?;
    if cancel.is_cancelled() {
        return Err(MhlError::Cancelled);
    }
    for (number, digests) in hashed.into_inner() {
        tally.hashed(number, digests);
    }
    let mut report = report.into_inner();
    frames.judge(&tally, &mut report);
    report.sort();
    Ok(report)
}

/// A file to hash.
struct Check {
    path: PathBuf,
    relative: String,
    number: usize,
    recorded: Digest,
    algorithms: Vec<HashAlgorithm>,
}

struct Walker<'a> {
    files: SyncSender<Check>,
    report: &'a Mutex<VerifyReport>,
    cancel: &'a CancellationToken,
    frames: Frames,
    tally: Tally,
}

impl Walker<'_> {
    fn history(&mut self, root: &Path, prefix: &str) -> Result<(), MhlError> {
        let history = match History::load(root, self.cancel) {
            Ok(history) => history,
            Err(error @ (MhlError::Malformed { .. } | MhlError::Linked(_))) => {
                self.report.lock().broken.push(error.to_string());
                self.frames.see_below(prefix);
                return Ok(());
            }
            Err(MhlError::Io { path, source }) if !prefix.is_empty() => {
                self.report.lock().unreadable.push((path.display().to_string(), source.to_string()));
                self.frames.see_below(prefix);
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
            let nested = if prefix.is_empty() { String::new() } else { format!("{prefix}: ") };
            report.broken.extend(history.problems.iter().map(|problem| format!("{nested}{problem}")));
        }
        self.frames.enter(prefix, history);
        self.tally.directory(prefix);
        self.walk(root, prefix)?;
        let missing = self.frames.leave(false, &mut self.tally);
        self.report.lock().missing.extend(missing);
        Ok(())
    }

    fn walk(&mut self, path: &Path, from_root: &str) -> Result<(), MhlError> {
        let listed = children(path, |name, directory| self.frames.ignores(&join(from_root, name), directory));
        let listed = match listed {
            Ok(listed) => listed,
            // The root itself must be readable.
            Err(MhlError::Io { source, .. }) if !from_root.is_empty() => {
                self.report.lock().unreadable.push((from_root.to_owned(), source.to_string()));
                self.frames.see_below(from_root);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        self.report.lock().take_exceptions(from_root, &listed);
        for child in listed.children {
            if self.cancel.is_cancelled() {
                return Err(MhlError::Cancelled);
            }
            let (full, at) = (path.join(&child.name), join(from_root, &child.name));
            self.frames.see(&at);
            if child.metadata.is_dir() {
                self.tally.directory(&at);
                match has_history(&full) {
                    true => self.history(&full, &at)?,
                    false => self.walk(&full, &at)?,
                }
                continue;
            }
            let Some(recorded) = self.frames.recorded(&at) else {
                self.report.lock().new.push(at);
                continue;
            };
            let algorithms = self.frames.algorithms(&recorded);
            let check = Check { path: full, number: self.tally.file(&at), relative: at, recorded, algorithms };
            self.files.send(check).map_err(|_| MhlError::Cancelled)?;
        }
        Ok(())
    }
}

fn hash_files(
    queue: &Mutex<Receiver<Check>>,
    report: &Mutex<VerifyReport>,
    hashed: &Mutex<Vec<(usize, Vec<Digest>)>>,
    cancel: &CancellationToken,
) {
    loop {
        // The lock is released before the file is hashed.
        let Ok(Check { path, relative, number, recorded, algorithms }) = queue.lock().recv() else {
            return;
        };
        match hash_file(&path, &algorithms, cancel) {
            Ok((digests, bytes)) => {
                let mut report = report.lock();
                report.files += 1;
                report.bytes += bytes;
                let of_record = digests.iter().find(|digest| digest.algorithm == recorded.algorithm);
                let found = of_record.filter(|digest| **digest != recorded);
                report.mismatched.extend(found.map(|found| Mismatch {
                    path: relative,
                    recorded: recorded.to_string(),
                    found: found.to_string(),
                }));
                drop(report);
                hashed.lock().push((number, digests));
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
