//! The claim of one step: slices of multipart uploads first, whole units after them.
use crate::dispatch::publisher::{self, Claim, Gate};
use crate::dispatch::work::Work;
use crate::dispatch::{Schedule, TurnContext, slices};
use crate::store::{StoreResult, Tx};
use protocol::id::PartNo;
use protocol::wire::unit::Unit;

impl Schedule {
    /// Claims slices, which are of units that were begun, and then units; `slices` of their large assets are wanted.
    pub(super) fn claim(
        &mut self,
        tx: &mut dyn Tx,
        work: &Work,
        units: u32,
        slices: Option<u32>,
        turn: &mut TurnContext<'_>,
    ) -> StoreResult<(Vec<Unit>, bool)> {
        let workflows = turn.workflows;
        let claimed = workflows.for_job(tx, work.job.no, |tx| {
            let claim = Claim {
                job: &work.job,
                workflow: &work.workflow,
                step: work.step,
                room: units,
            };
            let (mut claimed, mut gated) =
                slices::claim(tx, &claim, turn.multiparts, &mut self.book, turn.now)?;
            let room = units.saturating_sub(claimed.len() as u32);
            if room > 0 && !self.room.is_taken() {
                let (mut whole, passed_over) =
                    self.claim_whole(tx, work, &Claim { room, ..claim })?;
                slices::attach(tx, &mut whole, turn.multiparts, &self.slicing, slices)?;
                claimed.extend(whole);
                gated |= passed_over;
            }
            Ok((claimed, gated))
        })?;
        Ok(claimed.unwrap_or_default())
    }

    /// Claims units of a step; through the gate when endpoints have limits. Returns whether one was passed over.
    fn claim_whole(
        &mut self,
        tx: &mut dyn Tx,
        work: &Work,
        claim: &Claim<'_>,
    ) -> StoreResult<(Vec<Unit>, bool)> {
        // What an earlier claim of this turn has changed.
        let counter = tx
            .steps(work.job.no)?
            .into_iter()
            .find(|c| c.step == work.step)
            .unwrap_or(work.counter);
        if self.book.is_empty() {
            return Ok((
                publisher::claim_step(tx, claim, &counter, &mut self.room)?,
                false,
            ));
        }
        let after = self
            .ready_after
            .entry((work.job.no, work.step))
            .or_insert(PartNo::MIN);
        let mut gate = Gate {
            book: &mut self.book,
            after,
        };
        publisher::claim_admitted(tx, claim, &counter, &mut gate, &mut self.room)
    }
}
