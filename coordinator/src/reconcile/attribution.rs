//! Decides which execution of a unit a report or a lapsed lease belongs to. A unit has two executions while a copy of it
//! runs; either may end the unit, and the first that does wins (FEN-1).
use crate::store::{Speculation, SpeculationState, StoreResult, Tx, UnitRow};
use protocol::id::UnitId;

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
