//! Hands a straggling unit out a second time, and says which of its executions a report speaks for.
//!
//! The copy gets the next epoch, which becomes that of the row; what the first execution has is remembered beside it. Either
//! may end the unit, the first that does wins, and whatever is handed out later has a higher epoch than both (FEN-1).
use super::publisher;
use crate::store::{JobRow, Speculation, SpeculationState, StepDelta, StoreResult, Tx, UnitRow};
use protocol::id::UnitId;
use protocol::rules::unit::transition::UnitState;
use protocol::wire::unit::{TaskSpec, Unit};
use protocol::workflow::{Action, Step, Workflow};

/// Whether two executions of a step's unit at a time do no harm: their effects become visible at one commit point that
/// takes the same effect twice for one (EFF-1).
pub fn is_idempotent(step: &Step) -> bool {
    match &step.action {
        Action::Units { task, .. } => {
            matches!(task.as_ref(), TaskSpec::Transfer(_) | TaskSpec::Qc(_) | TaskSpec::Noop(_))
        }
        Action::Barrier { .. } | Action::Approval { .. } | Action::Seal { .. } => false,
    }
}

/// Claims a copy of a unit that is out under `epoch`. Nothing when it is not, or has had one.
pub fn copy(tx: &mut dyn Tx, job: &JobRow, workflow: &Workflow, unit: UnitId, epoch: u32) -> StoreResult<Option<Unit>> {
    let found = tx.units(unit.job, unit.step, &[unit.part])?.pop().flatten();
    let row = match found {
        Some(row) if row.state == UnitState::Leased && row.epoch == epoch => row,
        None if epoch == 1 => publisher::FIRST,
        _ => return Ok(None),
    };
    let row = UnitRow { epoch: epoch + 1, ..row };
    tx.put_units(unit.job, unit.step, &[(unit.part, row)])?;
    if found.is_none() {
        tx.add_to_step(unit.job, unit.step, StepDelta::transition(None, UnitState::Leased))?;
    }
    let both = Speculation { older: epoch, newer: row.epoch, state: SpeculationState::Both };
    tx.put_speculation(unit, Some(both))?;
    Ok(publisher::published(tx, workflow, job, unit.step, &[(unit.part, row)])?.pop())
}

/// What a report or a lapsed lease speaks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// For the unit: what it says decides.
    Current,
    /// For one of two executions, which is over without a result; the other goes on.
    Withdrawn,
    /// For nothing any more.
    Stale,
}

/// What an execution under `epoch` of a leased unit speaks for; `ends` when it brings a result. The account of the
/// executions is brought up to date.
pub fn standing(tx: &mut dyn Tx, unit: UnitId, row: &UnitRow, epoch: u32, ends: bool) -> StoreResult<Standing> {
    let found = tx.speculation(unit)?.filter(|found| found.newer == row.epoch);
    let Some(found) = found.filter(|found| found.state != SpeculationState::Adopted) else {
        return Ok(if epoch == row.epoch { Standing::Current } else { Standing::Stale });
    };
    let with = |state| Some(Speculation { state, ..found });
    let both = found.state == SpeculationState::Both;
    let (standing, left) = match () {
        () if epoch == found.newer && both && ends => (Standing::Current, None),
        () if epoch == found.newer && both => (Standing::Withdrawn, with(SpeculationState::Older)),
        () if epoch == found.older && ends => (Standing::Current, with(SpeculationState::Adopted)),
        () if epoch == found.older && both => (Standing::Withdrawn, None),
        () if epoch == found.older => (Standing::Current, None),
        () => return Ok(Standing::Stale),
    };
    tx.put_speculation(unit, left)?;
    Ok(standing)
}
