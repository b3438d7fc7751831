//! Durability: the bytes of a file are on disk before its name appears, and its name is on disk before the file is
//! reported.
use super::Directory;
use rustix::fs::{fdatasync, fsync, syncfs};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

/// Up to this many files or directories are synced one by one; above, their whole filesystem is synced once. A single
/// sync costs a flush of the disk's cache; a filesystem sync costs one flush and all other unwritten data.
const SINGLE_SYNCS_MAX: usize = 8;

/// What a finished transfer survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// A power loss: reported files are on disk.
    PowerLoss,
    /// The end of this process only. For benchmarks and load tests.
    PageCache,
}

/// Puts the content of open files on disk.
pub fn sync_files(files: &[(&File, u64)]) -> Result<(), Errno> {
    let files: Vec<(BorrowedFd<'_>, u64)> = files
        .iter()
        .map(|(file, device)| (file.as_fd(), *device))
        .collect();
    sync(&files, |file| fdatasync(file))
}

/// Puts the entries of directories on disk.
pub fn sync_directories(directories: &[Arc<Directory>]) -> Result<(), Errno> {
    let mut known: Vec<(u64, &std::path::Path)> = Vec::new();
    let mut distinct = Vec::new();
    for directory in directories {
        let key = (directory.device(), directory.path());
        if known.len() <= SINGLE_SYNCS_MAX && known.contains(&key) {
            continue;
        }
        known.push(key);
        distinct.push((directory.as_fd(), directory.device()));
    }
    sync(&distinct, |directory| fsync(directory))
}

fn sync(
    items: &[(BorrowedFd<'_>, u64)],
    single: impl Fn(BorrowedFd<'_>) -> Result<(), Errno>,
) -> Result<(), Errno> {
    let mut by_device: BTreeMap<u64, Vec<BorrowedFd<'_>>> = BTreeMap::new();
    for (fd, device) in items {
        by_device.entry(*device).or_default().push(*fd);
    }
    for fds in by_device.into_values() {
        match fds.as_slice() {
            [first, ..] if fds.len() > SINGLE_SYNCS_MAX => syncfs(first)?,
            few => few.iter().try_for_each(|fd| single(*fd))?,
        }
    }
    Ok(())
}
