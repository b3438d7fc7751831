//! Decides which execution of a unit a report or a lapsed lease belongs to. A unit has two executions while a copy of it
//! runs; either may end the unit, and the first that does wins (FEN-1).
use crate::store::{Speculation, SpeculationState, StoreResult, Tx, UnitRow};
use protocol::id::UnitId;

/// Which execution a report or a lapsed lease belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attribution {
    /// The current execution: its report decides.
    Current,
    /// One of two executions, over without a result; the other still runs.
    Revoked,
    /// An execution that no longer counts.
    Stale,
}

/// Attributes an execution under `epoch` of a leased unit; `ends` when it brings a result. Updates the account of the two
/// executions.
pub fn attribute(
    tx: &mut dyn Tx,
    unit: UnitId,
    row: &UnitRow,
    epoch: u32,
    ends: bool,
) -> StoreResult<Attribution> {
    let found = tx
        .speculation(unit)?
        .filter(|found| found.newer == row.epoch);
    let Some(found) = found.filter(|found| found.state != SpeculationState::Adopted) else {
        return Ok(if epoch == row.epoch {
            Attribution::Current
        } else {
            Attribution::Stale
        });
    };
    let with = |state| Some(Speculation { state, ..found });
    let both = found.state == SpeculationState::Both;
    let (standing, left) = match () {
        () if epoch == found.newer && both && ends => (Attribution::Current, None),
        () if epoch == found.newer && both => (Attribution::Revoked, with(SpeculationState::Older)),
        () if epoch == found.older && ends => {
            (Attribution::Current, with(SpeculationState::Adopted))
        }
        () if epoch == found.older && both => (Attribution::Revoked, None),
        () if epoch == found.older => (Attribution::Current, None),
        () => return Ok(Attribution::Stale),
    };
    tx.put_speculation(unit, left)?;
    Ok(standing)
}
