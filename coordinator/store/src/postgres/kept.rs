//! What a leader remembers from one transaction to the next: open jobs, their counters, and when a retry is due next. It
//! writes them itself, and nobody else does while the count of other processes' writes stands still, so asking the
//! server again would bring the same answer.
use super::tx::Seen;
use crate::{JobRow, StepRow};
use foldhash::HashMap as IdMap;
use protocol::id::JobNo;
use protocol::time::Timestamp;

/// What was true when the last transaction of this generation committed.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// The leader and the count of other writes it holds for.
    valid_for: String,
    open: Option<Vec<JobNo>>,
    jobs: IdMap<JobNo, JobRow>,
    steps: IdMap<JobNo, Vec<StepRow>>,
    due: Option<Option<Timestamp>>,
}

impl Kept {
    /// Whether it holds in a transaction that began like this.
    pub(super) fn is_for(&self, valid_for: &str) -> bool {
        self.valid_for == valid_for
    }

    /// What a transaction has seen before it asks anything: nothing, unless this is still the same leader and nobody
    /// else has written.
    pub(super) fn recall(&mut self, valid_for: &str) -> Seen {
        let kept = std::mem::take(self);
        if !kept.is_for(valid_for) {
            return Seen::default();
        }
        Seen { open: kept.open, jobs: kept.jobs, steps: kept.steps, due: kept.due, ..Seen::default() }
    }

    /// Remembers what a committed transaction left.
    pub(super) fn keep(&mut self, valid_for: String, mut seen: Seen) {
        let open =
            |job: &JobNo, jobs: &IdMap<JobNo, JobRow>| jobs.get(job).is_some_and(|row: &JobRow| row.ended_at.is_none());
        seen.steps.retain(|job, _| open(job, &seen.jobs));
        seen.jobs.retain(|_, row| row.ended_at.is_none());
        if let Some(list) = &mut seen.open {
            list.retain(|job| open(job, &seen.jobs));
        }
        *self = Kept { valid_for, open: seen.open, jobs: seen.jobs, steps: seen.steps, due: seen.due };
    }
}
