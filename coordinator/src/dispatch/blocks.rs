//! Why ready units of a step were not dispatched, and since when: kept in memory at every turn, and in the store once the
//! reason has lasted, for explanations (WAIT-1).
use crate::store::{StoreResult, Tx, WithheldRow};
use protocol::id::{JobNo, StepNo};
use protocol::rules::schedule::wait_reason::WaitReason;
use protocol::time::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;

/// A reason that lasted less than this gets no row.
const LASTING: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
pub(super) struct DispatchBlocks {
    now: BTreeMap<(JobNo, StepNo), WithheldRow>,
    written: BTreeMap<JobNo, Vec<WithheldRow>>,
}

impl DispatchBlocks {
    /// Notes what a turn found.
    pub(super) fn note(
        &mut self,
        job: JobNo,
        step: StepNo,
        why: Option<(WaitReason, Option<Timestamp>)>,
        now: Timestamp,
    ) {
        // Waiting for a slot is what units do that are passed over for no other reason: it needs no row.
        let Some((reason, until)) = why.filter(|(reason, _)| *reason != WaitReason::NoSlot) else {
            self.now.remove(&(job, step));
            return;
        };
        let row = self.now.entry((job, step)).or_insert(WithheldRow {
            step,
            reason,
            since: now,
            until,
        });
        if row.reason != reason {
            (row.reason, row.since) = (reason, now);
        }
        row.until = until;
    }

    /// Forgets an ended job.
    pub(super) fn forget(&mut self, job: JobNo) {
        self.now.retain(|(no, _), _| *no != job);
        self.written.remove(&job);
    }

    /// Writes what has changed and has lasted.
    pub(super) fn flush(&mut self, tx: &mut dyn Tx, now: Timestamp) -> StoreResult<()> {
        let mut wanted: BTreeMap<JobNo, Vec<WithheldRow>> = BTreeMap::new();
        for ((job, _), row) in self
            .now
            .iter()
            .filter(|(_, row)| now.since(row.since) >= LASTING)
        {
            wanted.entry(*job).or_default().push(*row);
        }
        let gone = self
            .written
            .keys()
            .filter(|job| !wanted.contains_key(job))
            .copied()
            .collect::<Vec<_>>();
        for job in gone {
            tx.put_withheld(job, &[])?;
            self.written.remove(&job);
        }
        for (job, rows) in wanted {
            let essence = |rows: &[WithheldRow]| {
                rows.iter()
                    .map(|r| (r.step, r.reason, r.since))
                    .collect::<Vec<_>>()
            };
            if self
                .written
                .get(&job)
                .is_none_or(|before| essence(before) != essence(&rows))
            {
                tx.put_withheld(job, &rows)?;
                self.written.insert(job, rows);
            }
        }
        Ok(())
    }
}
