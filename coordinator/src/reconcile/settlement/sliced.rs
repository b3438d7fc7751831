//! Ends of slices, and the report that opens a multipart upload.
use crate::graph::Change;
use crate::reconcile::multipart;
use crate::reconcile::settlement::Group;
use crate::store::{StoreResult, UnitRow};
use protocol::id::UnitId;
use protocol::rules::unit::retry::RetryPolicy;
use protocol::rules::unit::settle::UnitFacts;
use protocol::rules::unit::transition::UnitState;
use protocol::wire::report::Outcome;
use protocol::wire::step::multipart::OpenUpload;

impl Group<'_, '_> {
    /// Settles ends of slices; returns those of units.
    pub(super) fn settle_slices(
        &mut self,
        outcomes: Vec<Outcome>,
        policy: &RetryPolicy,
        jitter: &mut dyn FnMut() -> f64,
    ) -> StoreResult<Vec<Outcome>> {
        let (slices, units): (Vec<_>, Vec<_>) =
            outcomes.into_iter().partition(|o| o.unit.slice.is_some());
        for outcome in slices {
            match multipart::settle(self.tx, &outcome, policy, self.now, jitter())? {
                multipart::Ended::Rejected => self.done.rejected += 1,
                _ => self.done.accepted += 1,
            }
        }
        Ok(units)
    }

    /// Takes the report that a unit's large assets have been begun. Whatever else of the unit is out speaks for it no more.
    pub(super) fn begin_multipart(
        &mut self,
        id: UnitId,
        from: Option<UnitState>,
        unit: UnitFacts,
        open_uploads: &[OpenUpload],
    ) -> StoreResult<Option<Change>> {
        let opened = match unit.state {
            UnitState::Leased => multipart::open(self.tx, id, open_uploads)?,
            _ => multipart::OpenOutcome::AlreadyOpen,
        };
        let state = match opened {
            multipart::OpenOutcome::AlreadyOpen => {
                self.done.rejected += 1;
                return Ok(None);
            }
            multipart::OpenOutcome::Opened => UnitState::Leased,
            multipart::OpenOutcome::NotDivisible => UnitState::Ready,
        };
        self.done.accepted += 1;
        self.done.multipart += u64::from(opened == multipart::OpenOutcome::Opened);
        let to = UnitRow {
            state,
            epoch: unit.epoch + 1,
            attempt: unit.attempt,
            due_at: None,
            duration_us: 0,
        };
        Ok(Some(Change {
            part: id.part,
            from,
            to,
            executed_us: None,
        }))
    }
}
