//! Look-ups that lists of units are made of.
use crate::error::StoreResult;
use protocol::id::{JobNo, PartNo, StepNo};
use protocol::rules::unit::transition::UnitState;

/// Look-ups of units by state. Lists are read in pages of these, so each is a walk along a key.
pub(crate) trait Candidates {
    /// Partitions from `from` on whose unit has a row in this state, in order.
    fn parts_in_state(
        &mut self,
        job: JobNo,
        step: StepNo,
        state: UnitState,
        from: PartNo,
        limit: u32,
    ) -> StoreResult<Vec<PartNo>>;
    /// Runs of successes that end at or after `from`, first and last partition, in order. A unit of a run may have a row
    /// that is newer.
    fn runs_from(
        &mut self,
        job: JobNo,
        step: StepNo,
        from: PartNo,
        limit: u32,
    ) -> StoreResult<Vec<(PartNo, PartNo)>>;
    /// Partitions `from..=to` whose unit has no history, by a walk over the history of the others.
    fn walk_without_history(
        &mut self,
        job: JobNo,
        step: StepNo,
        from: PartNo,
        to: PartNo,
        limit: u32,
    ) -> StoreResult<Vec<PartNo>>;
    /// Partitions from `from` on.
    fn parts_from(&mut self, job: JobNo, from: PartNo, limit: u32) -> StoreResult<Vec<PartNo>>;
}
