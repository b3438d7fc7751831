//! Parameters of a step, compiled from the workflow: one file per group of step kinds.
pub mod archive;
pub mod checksum;
pub mod multipart;
pub mod noop;
pub mod purge;
pub mod qc;
pub mod scan;
pub mod seal;
pub mod transfer;

use crate::media::path_filter::PathFilter;
use crate::wire::step::archive::{ArchiveTask, RestoreTask};
use crate::wire::step::checksum::ChecksumTask;
use crate::wire::step::multipart::{BeginUploadsTask, CompleteUploadsTask, SliceTask};
use crate::wire::step::noop::NoopTask;
use crate::wire::step::purge::PurgeTask;
use crate::wire::step::qc::{JudgeTask, QcTask};
use crate::wire::step::scan::ScanTask;
use crate::wire::step::seal::SealTask;
use crate::wire::step::transfer::TransferTask;
use serde::{Deserialize, Serialize};

/// What a step does, compiled from the workflow: paths absolute, policies resolved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum TaskSpec {
    /// List a library.
    Scan(ScanTask),
    /// Copy and verify.
    Transfer(TransferTask),
    /// Measure and judge.
    Qc(QcTask),
    /// Takes time and moves nothing.
    Noop(NoopTask),
    /// Write the ASC MHL generation of a destination tree, once everything for it has arrived.
    Seal(SealTask),
    /// Do this while nothing else runs in the worker: the unit is suspected of killing the workers it runs in.
    Alone(Box<TaskSpec>),
    /// Move to another storage class.
    Archive(ArchiveTask),
    /// Bring content back from an archive, and wait for it.
    Restore(RestoreTask),
    /// Remove what is proven to be elsewhere.
    Purge(PurgeTask),
    /// Seal a tree that is a copy of another as a whole: it continues the history that the other came with.
    SealCopy {
        /// What is sealed.
        seal: SealTask,
        /// The tree it is a copy of: `file:`, `s3://` or `gs://`.
        from: String,
    },
    /// Judge, and measure only what is not known yet.
    Judge(Box<JudgeTask>),
    /// Copy and verify; other content at the destination stays there as an older version and is replaced.
    Replace(TransferTask),
    /// Copy and verify; begin what is large, and leave it to several workers.
    #[serde(rename = "Cut")]
    BeginUploads(Box<BeginUploadsTask>),
    /// Carry one slice of a large asset.
    Slice(Box<SliceTask>),
    /// Copy and verify; of what is large all slices have been carried.
    #[serde(rename = "Assemble")]
    CompleteUploads(Box<CompleteUploadsTask>),
    /// List those files of a folder or bucket that a filter selects. A worker that does not know it cannot list everything.
    ScanSelected {
        /// Parameters of the listing.
        scan: ScanTask,
        /// Which of its files are assets.
        filter: PathFilter,
    },
    /// Read content where it is, and record its hash.
    Checksum(ChecksumTask),
    /// List a folder, and pass over links that do not lead to a file of it. A worker that does not know it would report them.
    ScanWithoutLinks {
        /// Parameters of the listing.
        scan: ScanTask,
        /// Which of its files are assets.
        filter: PathFilter,
    },
}

impl TaskSpec {
    /// The word of its step kind, where that is not the word of its capacity class.
    pub fn word(&self) -> Option<&'static str> {
        match self {
            TaskSpec::Archive(_) => Some("archive"),
            TaskSpec::Restore(_) => Some("restore"),
            TaskSpec::Purge(_) => Some("purge"),
            TaskSpec::Checksum(_) => Some("checksum"),
            _ => None,
        }
    }

    /// The listing of a library that this is.
    pub fn scan(&self) -> Option<&ScanTask> {
        match self {
            TaskSpec::Scan(task)
            | TaskSpec::ScanSelected { scan: task, .. }
            | TaskSpec::ScanWithoutLinks { scan: task, .. } => Some(task),
            _ => None,
        }
    }

    /// The same listing with another scan: from another place on.
    #[must_use]
    pub fn with_scan(&self, scan: ScanTask) -> TaskSpec {
        match self {
            TaskSpec::ScanSelected { filter, .. } => TaskSpec::ScanSelected {
                scan,
                filter: filter.clone(),
            },
            TaskSpec::ScanWithoutLinks { filter, .. } => TaskSpec::ScanWithoutLinks {
                scan,
                filter: filter.clone(),
            },
            _ => TaskSpec::Scan(scan),
        }
    }

    /// The transfer that this is, or is a piece of.
    pub fn transfer(&self) -> Option<&TransferTask> {
        match self {
            TaskSpec::Transfer(task) | TaskSpec::Replace(task) => Some(task),
            TaskSpec::BeginUploads(task) => Some(&task.transfer),
            TaskSpec::Slice(task) => Some(&task.transfer),
            TaskSpec::CompleteUploads(task) => Some(&task.transfer),
            TaskSpec::Alone(task) => task.transfer(),
            _ => None,
        }
    }
}
