//! Takes executions back: their units are ready again, and the next claim has a new epoch (FEN-2). Executions of one step are
//! taken back together, with a number of statements that does not grow with them.
use crate::reconcile::attribution::{Attribution, attribute};
use crate::reconcile::multipart;
use crate::rows::unit_row;
use crate::store::{JobRow, Phase, StepDelta, StoreResult, Tx, UnitRow};
use protocol::id::{JobNo, PartNo, StepNo, UnitId};
use protocol::rules::unit::transition::UnitState;
use std::collections::{BTreeMap, BTreeSet};

/// Takes one execution back. Returns whether it was still out.
pub fn take_back(tx: &mut dyn Tx, unit: UnitId, epoch: u32) -> StoreResult<bool> {
    if unit.step == StepNo::SCAN {
        // The next claim of the scan gets a new epoch by itself.
        let row = tx.job(unit.job)?;
        let out = |row: &JobRow| {
            row.phase == Phase::Scanning && row.scan_epoch == epoch && !row.state.has_ended()
        };
        return Ok(row.as_ref().is_some_and(out));
    }
    if let Some(number) = unit.slice {
        return multipart::take_back(tx, unit.whole(), number, epoch);
    }
    let row = unit_row(tx, unit)?;
    let change = match row {
        Some(row) if row.state == UnitState::Leased => {
            match attribute(tx, unit, &row, epoch, false)? {
                Attribution::Current if multipart::reopen(tx, unit)? => return Ok(true),
                // The row has the epoch of the newer of two executions; the older may be the one that is left.
                Attribution::Current => transition(Some(row), row.epoch),
                Attribution::Revoked => return Ok(true),
                Attribution::Stale => return Ok(false),
            }
        }
        row => transition(row, epoch),
    };
    let Some((from, to)) = change else {
        return Ok(false);
    };
    tx.put_units(unit.job, unit.step, &[(unit.part, to)])?;
    tx.add_to_step(unit.job, unit.step, StepDelta::transition(from, to.state))?;
    Ok(true)
}

/// The change of a unit of which there is one execution, by its row: `None` when that execution is not out under `epoch`.
fn transition(row: Option<UnitRow>, epoch: u32) -> Option<(Option<UnitState>, UnitRow)> {
    let Some(row) = row else {
        return Some((
            None,
            UnitRow {
                state: UnitState::Ready,
                epoch,
                attempt: 0,
                due_at: None,
                duration_us: 0,
            },
        ));
    };
    let out = row.state == UnitState::Leased && row.epoch == epoch;
    out.then_some((
        Some(UnitState::Leased),
        UnitRow {
            state: UnitState::Ready,
            ..row
        },
    ))
}

/// Takes executions of one job back. Returns, for each, whether it was still out.
pub fn take_back_all(
    tx: &mut dyn Tx,
    job: JobNo,
    executions: &[(UnitId, u32)],
) -> StoreResult<Vec<bool>> {
    let mut taken = vec![false; executions.len()];
    // Units with two executions, with slices and without partitions have rows of their own to look at.
    let mut single: BTreeSet<UnitId> = tx
        .speculations(job)?
        .into_iter()
        .map(|(unit, _)| unit)
        .collect();
    single.extend(
        tx.multipart_units()?
            .into_iter()
            .filter(|unit| unit.job == job),
    );
    let mut by_step: BTreeMap<StepNo, Vec<(usize, PartNo, u32)>> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for (at, (unit, epoch)) in executions.iter().enumerate() {
        let plain = unit.step != StepNo::SCAN && unit.slice.is_none() && !single.contains(unit);
        if plain && seen.insert(*unit) {
            by_step
                .entry(unit.step)
                .or_default()
                .push((at, unit.part, *epoch));
        }
    }
    let together: BTreeSet<usize> = by_step.values().flatten().map(|(at, ..)| *at).collect();
    for (step, group) in by_step {
        let parts: Vec<PartNo> = group.iter().map(|(_, part, _)| *part).collect();
        let rows = tx.units(job, step, &parts)?;
        let (mut changed, mut delta) = (Vec::new(), StepDelta::default());
        for ((at, part, epoch), row) in group.into_iter().zip(rows) {
            let Some((from, to)) = transition(row, epoch) else {
                continue;
            };
            changed.push((part, to));
            delta.add(StepDelta::transition(from, to.state));
            taken
                .get_mut(at)
                .into_iter()
                .for_each(|taken| *taken = true);
        }
        if !changed.is_empty() {
            tx.put_units(job, step, &changed)?;
            tx.add_to_step(job, step, delta)?;
        }
    }
    for (at, (unit, epoch)) in executions
        .iter()
        .enumerate()
        .filter(|(at, _)| !together.contains(at))
    {
        let was_out = take_back(tx, *unit, *epoch)?;
        taken
            .get_mut(at)
            .into_iter()
            .for_each(|taken| *taken = was_out);
    }
    Ok(taken)
}
