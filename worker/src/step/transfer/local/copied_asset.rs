//! An asset of a batch, from its staged content to its fact and its record in the journal.
use super::plan::Plan;
use super::source::Source;
use crate::step::transfer::error_map;
use ::mhl::journal::{self, Action, Record};
use protocol::failure::Failure;
use protocol::media::asset::{Asset, AssetFact};
use rustix::fs::{Timespec, Timestamps, futimens};
use rustix::io::Errno;
use std::fs::File;
use std::sync::Arc;
use storage::hash::Digest;
use storage::{Directory, Partial, file_location};

/// An asset whose content is in place or about to be.
pub(super) struct CopiedAsset {
    /// Place of the asset in its batch.
    pub(super) index: usize,
    pub(super) plan: Plan,
    pub(super) directory: Arc<Directory>,
    pub(super) digests: Vec<Digest>,
    pub(super) bytes: u64,
    pub(super) modified_ns: i128,
    pub(super) content: CopyState,
}

/// How far the content of an asset is.
pub(super) enum CopyState {
    /// Proven, not visible, not synced. Its source stays open to settle a conflict.
    Staged(Partial, Source),
    /// Visible and its content on disk.
    Published,
    /// An existing file, possibly of an attempt that ended before its sync.
    Found(File),
}

impl CopiedAsset {
    /// An asset whose file was there before.
    pub(super) fn found(
        index: usize,
        plan: Plan,
        directory: Arc<Directory>,
        file: File,
        digests: Vec<Digest>,
    ) -> Result<CopiedAsset, Errno> {
        let stat = rustix::fs::fstat(&file)?;
        let bytes = u64::try_from(stat.st_size).unwrap_or(0);
        let modified_ns = nanoseconds(
            stat.st_mtime,
            i64::try_from(stat.st_mtime_nsec).unwrap_or(0),
        );
        Ok(CopiedAsset {
            index,
            plan,
            directory,
            digests,
            bytes,
            modified_ns,
            content: CopyState::Found(file),
        })
    }

    /// The file that must be put on disk, with the number of its filesystem.
    pub(super) fn unsynced(&self) -> Option<(&File, u64)> {
        match &self.content {
            CopyState::Staged(partial, _) => Some((partial.file(), self.directory.device())),
            CopyState::Found(file) => Some((file, self.directory.device())),
            CopyState::Published => None,
        }
    }

    /// The failure of an asset whose file or name could not be put on disk.
    pub(super) fn sync_failure(&self, errno: Errno) -> Failure {
        error_map::destination(&self.directory.path().join(&self.plan.name), "sync", errno)
    }

    /// What is reported of the asset.
    pub(super) fn fact(&self, asset: &Asset) -> AssetFact {
        AssetFact {
            asset: asset.id.clone(),
            location: Some(file_location(&self.directory.path().join(&self.plan.name))),
            hash: self.plan.reported(&self.digests),
            bytes: Some(self.bytes),
            skipped: matches!(self.content, CopyState::Found(_)),
            ..AssetFact::default()
        }
    }

    /// What the journal says of the asset.
    pub(super) fn record(&self, asset: &Asset) -> Record {
        let path = self.plan.directory.join(&self.plan.name);
        let action = if matches!(self.content, CopyState::Found(_)) {
            Action::Verified
        } else {
            Action::Copied
        };
        Record {
            path: path.to_string_lossy().into_owned(),
            bytes: self.bytes,
            modified_ns: self.modified_ns,
            hashed_at_us: jiff::Timestamp::now().as_microsecond(),
            hashes: self.digests.iter().map(Digest::to_string).collect(),
            action,
            tag: None,
            source: journal::source_of(asset.origin()),
        }
    }
}

/// Gives the copy the modification time of its source; returns it as the destination keeps it, in nanoseconds.
pub(super) fn keep_modified(file: &File, source: &Source) -> Result<i128, Errno> {
    let (tv_sec, tv_nsec) = source.state.modified;
    let time = Timespec { tv_sec, tv_nsec };
    futimens(
        file,
        &Timestamps {
            last_access: time,
            last_modification: time,
        },
    )?;
    let stat = rustix::fs::fstat(file)?;
    Ok(nanoseconds(
        stat.st_mtime,
        i64::try_from(stat.st_mtime_nsec).unwrap_or(0),
    ))
}

fn nanoseconds(seconds: i64, nanoseconds: i64) -> i128 {
    i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds)
}
