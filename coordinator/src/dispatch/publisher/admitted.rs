//! Claims of units that the endpoints admit. Units without room at an endpoint are passed over, so that others behind them
//! are claimed.
use super::{Claim, FIRST, leased};
use crate::dispatch::claim_room::ClaimRoom;
use crate::dispatch::endpoints::{EndpointBook, of_unit};
use crate::review::cached_facts;
use crate::store::{StepDelta, StepRow, StoreResult, Tx, UnitRow};
use protocol::id::PartNo;
use protocol::rules::unit::transition::UnitState;
use protocol::wire::unit::Unit;

/// Candidates looked at for one claim where endpoints are limited.
const LOOK_AHEAD: u32 = 512;
/// Units of a step that may have been passed over before no further are looked at.
const PASSED_OVER_MAX: u64 = 4_096;

/// Predicate applied to each claim candidate.
pub struct Gate<'a> {
    /// Limits of endpoints.
    pub book: &'a mut EndpointBook,
    /// Ready units up to this partition were looked at last time: so the tail is reached however many are passed over.
    pub after: &'a mut PartNo,
}

/// Claims what the endpoints admit; what they do not is passed over, not waited for. Returns whether anything was.
pub fn claim_admitted(
    tx: &mut dyn Tx,
    claim: &Claim<'_>,
    counter: &StepRow,
    gate: &mut Gate<'_>,
    room: &mut ClaimRoom,
) -> StoreResult<(Vec<Unit>, bool)> {
    let (mut units, mut passed_over) = (Vec::new(), 0);
    if counter.live > 0 && !room.is_taken() {
        passed_over += claim_ready(tx, claim, gate, room, &mut units)?;
    }
    cached_facts::attach(tx, &mut units)?;
    room.take(&units);
    let left = claim.room.saturating_sub(units.len() as u32);
    if left > 0 && claim.has_fresh(counter.cursor) && !room.is_taken() {
        let ready = units.len();
        passed_over += claim_fresh(tx, claim, counter, (gate, room), left, &mut units)?;
        cached_facts::attach(tx, &mut units[ready..])?;
        room.take(&units[ready..]);
    }
    Ok((units, passed_over > 0))
}

/// Claims ready units, from behind the last partition that was looked at. Returns how many were passed over.
fn claim_ready(
    tx: &mut dyn Tx,
    claim: &Claim<'_>,
    gate: &mut Gate<'_>,
    room: &ClaimRoom,
    units: &mut Vec<Unit>,
) -> StoreResult<usize> {
    let (job, step) = (claim.job.no, claim.step);
    let Some(declared) = claim.declared() else {
        return Ok(0);
    };
    let look_ahead = LOOK_AHEAD.min(room.units(job, step));
    let page = tx.units_in(job, UnitState::Ready, Some((step, *gate.after)), look_ahead)?;
    let page: Vec<(PartNo, UnitRow)> = page
        .into_iter()
        .take_while(|(id, _)| id.step == step)
        .map(|(id, row)| (id.part, leased(&row)))
        .collect();
    let read = page.len();
    let (partitions, page) = claim.fitting(tx, declared, page, room)?;
    let last_page = read < look_ahead as usize && page.len() == read;
    let (mut rows, mut passed_over, mut looked_at) = (Vec::new(), 0, PartNo::MIN);
    for (unit, row) in claim
        .with_members(tx, declared, &partitions, &page)?
        .into_iter()
        .zip(&page)
    {
        if units.len() as u32 >= claim.room {
            break;
        }
        looked_at = row.0;
        if gate.book.admit(&of_unit(gate.book.limits(), &unit)) {
            rows.push(*row);
            units.push(unit);
        } else {
            passed_over += 1;
        }
    }
    let all = page.last().is_none_or(|(part, _)| *part == looked_at);
    *gate.after = if all && last_page {
        PartNo::MIN
    } else {
        looked_at
    };
    tx.put_units(job, step, &rows)?;
    Ok(passed_over)
}

/// Units without a row that are passed over get one, so that the cursor can move on to those behind them.
fn claim_fresh(
    tx: &mut dyn Tx,
    claim: &Claim<'_>,
    counter: &StepRow,
    (gate, in_turn): (&mut Gate<'_>, &ClaimRoom),
    room: u32,
    units: &mut Vec<Unit>,
) -> StoreResult<usize> {
    let Some(step) = claim.declared() else {
        return Ok(0);
    };
    let (job, no) = (claim.job.no, claim.step);
    let look_ahead = room.max(LOOK_AHEAD).min(in_turn.units(job, no));
    let most = claim.fresh(counter.cursor, look_ahead);
    let mut fresh = tx.partitions_after(job, counter.cursor, most)?;
    fresh.truncate(in_turn.fitting(&fresh));
    let first: Vec<(PartNo, UnitRow)> = fresh
        .iter()
        .map(|partition| (partition.part, FIRST))
        .collect();
    let (mut admitted, mut passed_over, mut last) = (0, Vec::new(), None);
    for unit in claim.with_members(tx, step, &fresh, &first)? {
        if admitted == room {
            break;
        }
        let part = unit.id.part;
        if gate.book.admit(&of_unit(gate.book.limits(), &unit)) {
            admitted += 1;
            last = Some(part);
            units.push(unit);
        } else {
            passed_over.push((
                part,
                UnitRow {
                    state: UnitState::Ready,
                    epoch: 0,
                    ..FIRST
                },
            ));
        }
    }
    let blocked = passed_over.len();
    if admitted == 0 && counter.live < PASSED_OVER_MAX {
        last = passed_over.last().map(|(part, _)| *part);
    }
    let Some(last) = last else { return Ok(blocked) };
    passed_over.retain(|(part, _)| *part < last || admitted == 0);
    tx.set_cursor(job, no, last)?;
    tx.put_units(job, no, &passed_over)?;
    let mut delta = StepDelta::default();
    passed_over
        .iter()
        .for_each(|_| delta.add(StepDelta::transition(None, UnitState::Ready)));
    tx.add_to_step(job, no, delta)?;
    Ok(blocked)
}
