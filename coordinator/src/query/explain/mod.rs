//! Explains why a unit or a barrier waits (WAIT-1).
mod barrier;
mod rows;
mod unit;
mod wait;

pub use barrier::{BarrierExplanation, barriers, barriers_open};
pub use unit::UnitExplanation;

use crate::store::{JobRow, StoreResult, Tx};
use crate::workflows::Workflows;
use protocol::id::{PartNo, StepNo};
use protocol::time::Timestamp;

/// Members named at most.
const NAMED_MAX: u32 = 20;

/// Explains one unit.
pub fn unit(
    tx: &mut dyn Tx,
    workflows: &Workflows,
    job: &JobRow,
    step: StepNo,
    part: PartNo,
    now: Timestamp,
) -> StoreResult<UnitExplanation> {
    let mut explanation = unit::explain(tx, workflows, job, (step, part), now)?;
    rows::add(tx, workflows, job, (step, part), &mut explanation)?;
    Ok(explanation)
}
