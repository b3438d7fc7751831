//! Stragglers: units that run far longer than others of their kind get a second execution where slots are free.
use crate::dispatch::kind_turn::KindTurn;
use crate::dispatch::load::Running;
use crate::dispatch::work::Work;
use crate::dispatch::{Claimed, Schedule, TurnContext, speculator};
use crate::store::{StoreResult, Tx};
use protocol::rules::schedule::speculation::{Straggler, should_speculate};
use protocol::wire::unit::Unit;

impl Schedule {
    /// Dispatches stragglers of a kind a second time, where slots would stand empty.
    pub(super) fn copy_stragglers(
        &self,
        tx: &mut dyn Tx,
        of: &KindTurn<'_>,
        turn: &TurnContext<'_>,
        claimed: &mut Claimed,
    ) -> StoreResult<()> {
        let mut free_slots = of.free_slots();
        for running in turn
            .load
            .running
            .iter()
            .filter(|running| running.kind == of.kind)
        {
            let found = of
                .works
                .iter()
                .find(|w| (w.job.no, w.step) == (running.unit.job, running.unit.step));
            let Some(work) = found else { continue };
            // A slice is small, and what it belongs to is with several workers already.
            if running.unit.slice.is_some() || turn.multiparts.has(running.unit) {
                continue;
            }
            let facts = Straggler {
                free_slots,
                ..self.straggler(running, work, of, turn)
            };
            if !should_speculate(&facts) {
                continue;
            }
            if let Some(copy) = copy_execution(tx, running, work, turn)? {
                free_slots -= 1;
                claimed.units.push((work.job.priority, copy));
            }
        }
        Ok(())
    }

    /// Facts about a running unit that the rule of speculation judges.
    fn straggler(
        &self,
        running: &Running,
        work: &Work,
        of: &KindTurn<'_>,
        turn: &TurnContext<'_>,
    ) -> Straggler {
        let sketch = self.costs.of(of.kind, running.size);
        Straggler {
            running: turn.now.since(running.since),
            p90: sketch.and_then(|sketch| sketch.quantile(0.9)),
            idempotent: work
                .workflow
                .step(work.step)
                .is_some_and(speculator::is_idempotent),
            // All that was ready has been handed out when room is left.
            others_wait: of.pool.room == 0,
            free_slots: of.free_slots(),
            workers: turn.load.kind(of.kind).workers,
        }
    }
}

/// Claims a second execution of a unit that no worker was lost with.
fn copy_execution(
    tx: &mut dyn Tx,
    running: &Running,
    work: &Work,
    turn: &TurnContext<'_>,
) -> StoreResult<Option<Unit>> {
    let copy = turn.workflows.for_job(tx, work.job.no, |tx| {
        // What a worker was lost with may be what it died of: no second worker for it at the same time.
        if !tx.losses(&[running.unit])?.is_empty() {
            return Ok(None);
        }
        speculator::copy(tx, &work.job, &work.workflow, running.unit, running.epoch)
    })?;
    Ok(copy.flatten())
}
