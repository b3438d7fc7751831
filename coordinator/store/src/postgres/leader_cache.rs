//! The cache of a leader between transactions: open jobs, their counters, and when the next retry is due. The leader writes
//! them itself. While the count of writes by other processes is unchanged, the cache equals the database.
use super::tx::Seen;
use crate::job::JobRow;
use crate::step::StepRow;
use foldhash::HashMap as IdMap;
use protocol::id::JobNo;
use protocol::time::Timestamp;

/// The state that the last transaction of this generation committed.
#[derive(Debug, Default)]
pub(super) struct LeaderCache {
    /// The generation and the count of other writes for which it is valid.
    valid_for: String,
    open: Option<Vec<JobNo>>,
    jobs: IdMap<JobNo, JobRow>,
    steps: IdMap<JobNo, Vec<StepRow>>,
    due: Option<Option<Timestamp>>,
}

impl LeaderCache {
    /// Whether it is valid in a transaction that began with this answer.
    pub(super) fn is_for(&self, valid_for: &str) -> bool {
        self.valid_for == valid_for
    }

    /// The initial memory of a transaction: empty unless the leader is the same and no other process has written.
    pub(super) fn recall(&mut self, valid_for: &str) -> Seen {
        let cache = std::mem::take(self);
        if !cache.is_for(valid_for) {
            return Seen::default();
        }
        Seen {
            open: cache.open,
            jobs: cache.jobs,
            steps: cache.steps,
            due: cache.due,
            ..Seen::default()
        }
    }

    /// Stores the memory of a committed transaction.
    pub(super) fn keep(&mut self, valid_for: String, mut seen: Seen) {
        let open = |job: &JobNo, jobs: &IdMap<JobNo, JobRow>| {
            jobs.get(job)
                .is_some_and(|row: &JobRow| row.ended_at.is_none())
        };
        seen.steps.retain(|job, _| open(job, &seen.jobs));
        seen.jobs.retain(|_, row| row.ended_at.is_none());
        if let Some(list) = &mut seen.open {
            list.retain(|job| open(job, &seen.jobs));
        }
        *self = LeaderCache {
            valid_for,
            open: seen.open,
            jobs: seen.jobs,
            steps: seen.steps,
            due: seen.due,
        };
    }
}
