//! Updates the catalogue and the counts of a job from a batch of reports.
use super::Group;
use crate::rows::job_row;
use crate::store::{Carried, StoreResult};
use protocol::media::asset::AssetFact;
use protocol::workflow::Step;

impl Group<'_, '_> {
    /// Puts facts of assets into the catalogue, and counts their bytes.
    pub(super) fn learn(&mut self, facts: &[AssetFact], carried: Carried) -> StoreResult<()> {
        if facts.is_empty() {
            return Ok(());
        }
        self.tx.put_facts(self.job.no, facts, self.now)?;
        let step = self.workflow.step(self.step);
        let first_step = step.is_some_and(|s| s.needs.is_empty());
        let carries = step.is_some_and(Step::carries);
        if first_step || carries {
            let mut row = job_row(self.tx, self.job.no)?;
            // Later steps read the same bytes again; they are counted once.
            if first_step {
                row.bytes = facts
                    .iter()
                    .filter_map(|f| f.bytes)
                    .fold(row.bytes, u64::saturating_add);
            }
            if carries {
                row.carried = row.carried + carried;
            }
            self.tx.update_job(&row)?;
            self.job = row;
        }
        Ok(())
    }
}
