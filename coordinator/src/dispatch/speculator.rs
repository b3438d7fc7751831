//! Speculative execution: dispatches a straggling unit a second time.
//!
//! The second execution gets the next epoch, which becomes that of the row; the epoch of the first is stored with it.
//! The first result wins, and every later execution has a higher epoch than both (FEN-1).
use crate::dispatch::publisher;
use crate::rows::unit_row;
use crate::store::{JobRow, Speculation, SpeculationState, StepDelta, StoreResult, Tx, UnitRow};
use protocol::id::UnitId;
use protocol::rules::unit::transition::UnitState;
use protocol::wire::step::TaskSpec;
use protocol::wire::unit::Unit;
use protocol::workflow::{Action, Step, Workflow};

/// Whether two executions of a step's unit at a time do no harm: their effects become visible at one commit point that
/// takes the same effect twice for one (EFF-1).
pub fn is_idempotent(step: &Step) -> bool {
    match &step.action {
        Action::Units { task, .. } => {
            matches!(
                task.as_ref(),
                TaskSpec::Transfer(_) | TaskSpec::Qc(_) | TaskSpec::Noop(_)
            )
        }
        Action::Barrier { .. } | Action::Approval { .. } | Action::Seal { .. } => false,
    }
}

/// Claims a copy of a unit that is out under `epoch`. Nothing when it is not, or has had one.
pub fn copy(
    tx: &mut dyn Tx,
    job: &JobRow,
    workflow: &Workflow,
    unit: UnitId,
    epoch: u32,
) -> StoreResult<Option<Unit>> {
    let found = unit_row(tx, unit)?;
    let row = match found {
        Some(row) if row.state == UnitState::Leased && row.epoch == epoch => row,
        None if epoch == 1 => publisher::FIRST,
        _ => return Ok(None),
    };
    let row = UnitRow {
        epoch: epoch + 1,
        ..row
    };
    tx.put_units(unit.job, unit.step, &[(unit.part, row)])?;
    if found.is_none() {
        tx.add_to_step(
            unit.job,
            unit.step,
            StepDelta::transition(None, UnitState::Leased),
        )?;
    }
    let both = Speculation {
        older: epoch,
        newer: row.epoch,
        state: SpeculationState::Both,
    };
    tx.put_speculation(unit, Some(both))?;
    Ok(publisher::published(tx, workflow, job, unit.step, &[(unit.part, row)])?.pop())
}
