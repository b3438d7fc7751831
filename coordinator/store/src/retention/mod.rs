//! Forgetting jobs that ended long ago, a few rows at a time.
mod memory;

use super::error::StoreResult;
use protocol::id::JobNo;
use protocol::time::Timestamp;

/// What one transaction removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Removed {
    /// Rows.
    pub rows: u64,
    /// Whether nothing of the job is left.
    pub gone: bool,
}

/// Tables whose rows belong to one job, with the rest of their keys. Lists over all jobs read the causes, so those go first;
/// then those that people look at last.
pub(super) const OF_A_JOB: [(&str, &[&str]); 15] = [
    ("cause", &["cause", "step"]),
    ("unit", &["step", "part"]),
    ("streak", &["step", "first"]),
    ("failure", &["step", "part", "asset"]),
    ("moved", &["asset"]),
    ("barrier", &["step", "key"]),
    ("partition", &["part"]),
    ("listing", &["asset"]),
    ("row_error", &["line", "message"]),
    ("loss", &["step", "part", "epoch"]),
    ("withheld", &["step"]),
    ("speculation", &["step", "part"]),
    ("slice", &["step", "part", "number"]),
    ("cut", &["step", "part"]),
    ("barrier_count", &["step"]),
];

/// Forgetting ended jobs. What was learned about assets stays in the catalogue, what operators did in the operations.
pub trait RetentionTx {
    /// Jobs that ended before this moment, in order of their numbers. Never the newest job of all: its number must not be
    /// given away again, since late reports speak of it. Nor one whose units a person has still to decide about.
    /// Those that are being removed are among them.
    fn ended_before(&mut self, before: Timestamp, limit: u32) -> StoreResult<Vec<JobNo>>;
    /// Removes at most `limit` rows of a job, and the job itself when nothing else is left of it. From the first call on
    /// nobody finds the job any more.
    fn remove_job(&mut self, job: JobNo, limit: u32) -> StoreResult<Removed>;
}
