//! Which execution a report belongs to, and whether it may speak for its unit.
use super::Group;
use crate::reconcile::attribution::{Attribution, attribute};
use crate::store::{StoreResult, UnitRow};
use protocol::rules::unit::transition::UnitState;
use protocol::wire::report::{Outcome, UnitResult};

impl Group<'_, '_> {
    /// The attribution of a report. The usual one, a success under the epoch of the row, needs no look at copies.
    pub(super) fn attribution(
        &mut self,
        row: Option<UnitRow>,
        outcome: &Outcome,
    ) -> StoreResult<Attribution> {
        let usual = |epoch| {
            if outcome.epoch == epoch {
                Attribution::Current
            } else {
                Attribution::Stale
            }
        };
        let Some(row) = row else { return Ok(usual(1)) };
        let ends = matches!(
            outcome.result,
            UnitResult::Finished { .. } | UnitResult::UploadsBegun(_)
        );
        if row.state != UnitState::Leased
            || (ends && outcome.epoch == row.epoch && clean(&outcome.result))
        {
            return Ok(usual(row.epoch));
        }
        attribute(self.tx, outcome.unit, &row, outcome.epoch, ends)
    }
}

fn clean(result: &UnitResult) -> bool {
    matches!(result, UnitResult::Finished { failures, .. } if failures.is_empty())
}
