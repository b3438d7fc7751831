//! Hashes a tree against its history: every file, every directory, every generation, nested histories and the references to
//! them included.
use super::folder::Folder;
use super::frames::Frames;
use super::history::History;
use super::model::MhlError;
pub use super::report::{Mismatch, VerifyReport};
use super::tally::Tally;
use super::tree::{children, has_history, join};
use super::{CHAIN_FILE, legacy};
use parking_lot::Mutex;
use protocol::model::hash::HashAlgorithm;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use storage::hash::{Digest, HashError, hash_open_file};
use tokio_util::sync::CancellationToken;

/// Files found but not hashed yet.
const QUEUE_FILES: usize = 256;

/// Verifies the tree below `root` with `threads` threads that hash (at least one). A tree without a history is compared
/// with the MHL 1.1 lists in it, and reported as broken when there are none; an error means that the verification itself
/// could not be done.
pub fn verify(
    root: &Path,
    threads: usize,
    cancel: &CancellationToken,
) -> Result<VerifyReport, MhlError> {
    let root = Folder::open(&root.canonicalize().map_err(MhlError::io(root))?)?;
    let Some((mut report, histories)) = legacy::directory::verify(&root, threads, cancel)? else {
        return verify_history(&root, threads, cancel);
    };
    for directory in histories {
        report.take(
            verify_history(&root.below(&directory)?, threads, cancel)?,
            &directory,
        );
    }
    report.sort();
    Ok(report)
}

/// Verifies a tree against the history of its root.
fn verify_history(
    root: &Folder,
    threads: usize,
    cancel: &CancellationToken,
) -> Result<VerifyReport, MhlError> {
    let (report, hashed) = (Mutex::new(VerifyReport::default()), Mutex::new(Vec::new()));
    let (files, queue) = sync_channel(QUEUE_FILES);
    let queue = Mutex::new(queue);
    let (walked, frames, mut tally) = std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| hash_files(root, &queue, &report, &hashed, cancel));
        }
        let (frames, tally) = (Frames::default(), Tally::default());
        let mut walker = Walker {
            root,
            files,
            report: &report,
            cancel,
            frames,
            tally,
        };
        let walked = root.again().and_then(|root| walker.history(root, ""));
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
    /// Relative to the root.
    path: String,
    /// Whether its name is a symbolic link.
    linked: bool,
    number: usize,
    recorded: Digest,
    algorithms: Vec<HashAlgorithm>,
}

struct Walker<'a> {
    root: &'a Folder,
    files: SyncSender<Check>,
    report: &'a Mutex<VerifyReport>,
    cancel: &'a CancellationToken,
    frames: Frames,
    tally: Tally,
}

impl Walker<'_> {
    fn history(&mut self, directory: Folder, prefix: &str) -> Result<(), MhlError> {
        let history = match History::load(&directory, self.cancel) {
            Ok(history) => history,
            Err(error @ (MhlError::Malformed { .. } | MhlError::Linked(_))) => {
                self.report.lock().broken.push(error.to_string());
                self.frames.see_below(prefix);
                return Ok(());
            }
            Err(MhlError::Io { path, source }) if !prefix.is_empty() => {
                self.report
                    .lock()
                    .unreadable
                    .push((path.display().to_string(), source.to_string()));
                self.frames.see_below(prefix);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        {
            let mut report = self.report.lock();
            report.generations += history.links.len() as u64;
            let unlisted = history.unlisted.iter();
            report.broken.extend(
                unlisted.map(|(path, _)| format!("{} is not in {CHAIN_FILE}", path.display())),
            );
            if history.links.is_empty() && history.problems.is_empty() {
                report.broken.push(format!(
                    "{} has no ASC MHL history",
                    directory.shown().display()
                ));
            }
            let nested = if prefix.is_empty() {
                String::new()
            } else {
                format!("{prefix}: ")
            };
            report.broken.extend(
                history
                    .problems
                    .iter()
                    .map(|problem| format!("{nested}{problem}")),
            );
        }
        self.frames.enter(prefix, history);
        self.tally.directory(prefix);
        self.walk(directory, prefix)?;
        let missing = self.frames.leave(false, &mut self.tally);
        self.report.lock().missing.extend(missing);
        Ok(())
    }

    fn walk(&mut self, directory: Folder, from_root: &str) -> Result<(), MhlError> {
        let listed = children(&directory, |name, directory| {
            self.frames.ignores(&join(from_root, name), directory)
        });
        let listed = match listed {
            Ok(listed) => listed,
            // The root itself must be readable.
            Err(error) if !from_root.is_empty() => return self.unreadable(from_root, error),
            Err(error) => return Err(error),
        };
        // Closed while what is below is walked: descriptors are few, and trees may be deep.
        drop(directory);
        self.report.lock().take_exceptions(from_root, &listed);
        for child in listed.children {
            if self.cancel.is_cancelled() {
                return Err(MhlError::Cancelled);
            }
            let at = join(from_root, &child.name);
            self.frames.see(&at);
            if child.directory {
                self.tally.directory(&at);
                match self.root.below(&at) {
                    Ok(below) if has_history(&below) => self.history(below, &at)?,
                    Ok(below) => self.walk(below, &at)?,
                    Err(error) => self.unreadable(&at, error)?,
                }
                continue;
            }
            let Some(recorded) = self.frames.recorded(&at) else {
                self.report.lock().new.push(at);
                continue;
            };
            let algorithms = self.frames.algorithms(&recorded);
            let number = self.tally.file(&at);
            let check = Check {
                path: at,
                linked: child.linked,
                number,
                recorded,
                algorithms,
            };
            self.files.send(check).map_err(|_| MhlError::Cancelled)?;
        }
        Ok(())
    }

    /// Notes a directory that cannot be looked into.
    fn unreadable(&mut self, path: &str, error: MhlError) -> Result<(), MhlError> {
        self.report
            .lock()
            .unreadable
            .push((path.to_owned(), reason(error)?));
        self.frames.see_below(path);
        Ok(())
    }
}

/// Why a file or directory cannot be read; an error that concerns more than it is passed on.
fn reason(error: MhlError) -> Result<String, MhlError> {
    match error {
        MhlError::Io { source, .. } => Ok(source.to_string()),
        error @ MhlError::Linked(_) => Ok(error.to_string()),
        error => Err(error),
    }
}

fn hash_files(
    root: &Folder,
    queue: &Mutex<Receiver<Check>>,
    report: &Mutex<VerifyReport>,
    hashed: &Mutex<Vec<(usize, Vec<Digest>)>>,
    cancel: &CancellationToken,
) {
    loop {
        // The lock is released before the file is hashed.
        let Ok(Check {
            path,
            linked,
            number,
            recorded,
            algorithms,
        }) = queue.lock().recv()
        else {
            return;
        };
        // What is left in the queue is drained without reading, so that the walker never waits for us.
        if cancel.is_cancelled() {
            continue;
        }
        let file = match root.open_file(&path, linked).map_err(reason) {
            Ok(file) => file,
            Err(reason) => {
                let reason = reason.unwrap_or_else(|error| error.to_string());
                report.lock().unreadable.push((path, reason));
                continue;
            }
        };
        match hash_open_file(&file, &algorithms, cancel) {
            Ok((digests, bytes)) => {
                let mut report = report.lock();
                report.files += 1;
                report.bytes += bytes;
                let of_record = digests
                    .iter()
                    .find(|digest| digest.algorithm == recorded.algorithm);
                let found = of_record.filter(|digest| **digest != recorded);
                report.mismatched.extend(found.map(|found| Mismatch {
                    path,
                    recorded: recorded.to_string(),
                    found: found.to_string(),
                }));
                drop(report);
                hashed.lock().push((number, digests));
            }
            Err(HashError::Cancelled) => {}
            Err(HashError::Read(error)) => report.lock().unreadable.push((path, error.to_string())),
        }
    }
}
