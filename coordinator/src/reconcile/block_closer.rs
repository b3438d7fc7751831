//! Closes blocks of partitions in which every unit of a step has a history, so that a list or a search for units that are out
//! does not walk over a whole job.
use crate::store::{BLOCK_PARTS, JobRow, StoreResult, Tx};
use crate::workflows::Workflows;
use protocol::id::StepNo;
use protocol::time::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;

/// Time between two looks at a job.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Blocks closed in one look, for each step.
const CLOSED_MAX: u32 = 16;
/// Open blocks found in one look, for each step: each may cost a walk over its units.
const OPEN_MAX: u32 = 2;

/// The position of a step.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    /// The block that is checked next.
    next: i64,
    /// Units with a history when the round over all blocks began.
    known_at_start: u64,
    /// Units with a history when a whole round found nothing new to look at.
    done_at: Option<u64>,
}

/// The memory of one job. It may be lost: a closed block is found closed again.
#[derive(Debug, Default)]
pub struct BlockCloser {
    looked_at: Option<Timestamp>,
    places: BTreeMap<StepNo, Place>,
}

impl BlockCloser {
    /// Closes the next blocks of each step that can be closed, at its interval.
    pub fn close_blocks(
        &mut self,
        tx: &mut dyn Tx,
        workflows: &Workflows,
        job: &JobRow,
        now: Timestamp,
    ) -> StoreResult<()> {
        if self.looked_at.is_some_and(|at| now.since(at) < LOOK_EVERY) {
            return Ok(());
        }
        self.looked_at = Some(now);
        let workflow = workflows.of(tx, job.no)?;
        for counter in tx.steps(job.no)? {
            let Some(step) = workflow.step(counter.step).filter(|step| step.has_units()) else {
                continue;
            };
            let reached = if step.needs.is_empty() {
                counter.cursor.min(job.parts)
            } else {
                job.parts
            };
            let known = counter.succeeded + counter.dead + counter.cancelled + counter.live;
            let place = self.places.entry(counter.step).or_default();
            let (mut closed, mut open) = (0, 0);
            while place.done_at != Some(known) && closed < CLOSED_MAX && open < OPEN_MAX {
                if (place.next + 1) * BLOCK_PARTS > reached {
                    place.done_at = (place.known_at_start == known).then_some(known);
                    (place.next, place.known_at_start) = (0, known);
                    break;
                }
                if tx.close_block(job.no, counter.step, place.next)? {
                    closed += 1;
                } else {
                    open += 1;
                }
                place.next += 1;
            }
        }
        Ok(())
    }
}
