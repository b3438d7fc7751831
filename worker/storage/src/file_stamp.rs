//! States of files that credentials come from: a file that was replaced has another stamp.
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

/// Files are examined again after this time at the earliest, so that many small requests cost few examinations.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Credentials that the server refuses are loaded again after this time at the earliest: mostly their rights are the cause.
pub(super) const REFUSED_EVERY: Duration = Duration::from_secs(30);

/// Inode, size and modification time of each file; `None` for a file that is missing.
pub(super) type Stamp = Vec<Option<(u64, u64, i64, i64)>>;

/// The present states of files.
pub(super) fn stamp(files: &[PathBuf]) -> Stamp {
    let of = |path: &PathBuf| {
        let meta = std::fs::metadata(path).ok()?;
        Some((meta.ino(), meta.size(), meta.mtime(), meta.mtime_nsec()))
    };
    files.iter().map(of).collect()
}
