//! Units that are out, as they were published: a new leader watches them again, because their workers may still run them.
use super::{publisher, slices};
use crate::rows::job_row;
use crate::store::{CutState, SpeculationState, StoreResult, Tx, UnitRow};
use crate::workflows::Workflows;
use protocol::id::{JobNo, PartNo, StepNo};
use protocol::rules::unit::transition::UnitState;
use protocol::wire::unit::Unit;
use std::collections::BTreeMap;

const PAGE_UNITS: u32 = 1_000;

/// Position in the list of units that are out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cursor {
    /// Rows that are leased, behind this one.
    Leased(Option<(StepNo, PartNo)>),
    /// Units without a row in the roots of the workflow, from this one on.
    Computed(usize),
    /// Slices of cut units, and the scan of a library that is being listed.
    Slices,
}

/// Everything a job has out, as it was published: rows that are leased, computed units the cursor has passed, and the scan
/// of a library that is being listed. The publisher's window bounds it.
pub fn outstanding(tx: &mut dyn Tx, workflows: &Workflows, job: JobNo) -> StoreResult<Vec<Unit>> {
    let (mut units, mut place) = (Vec::new(), Some(Cursor::Leased(None)));
    while let Some(at) = place {
        let (page, next) = outstanding_page(tx, workflows, job, at)?;
        units.extend(page);
        place = next;
    }
    Ok(units)
}

/// A page of it, and where the next page begins. No units are published between the pages: a term begins with adoption.
pub fn outstanding_page(
    tx: &mut dyn Tx,
    workflows: &Workflows,
    job: JobNo,
    place: Cursor,
) -> StoreResult<(Vec<Unit>, Option<Cursor>)> {
    let row = job_row(tx, job)?;
    if workflows.is_aside(tx, &row)? {
        return Ok((Vec::new(), None));
    }
    let workflow = workflows.of(tx, job)?;
    let mut out: BTreeMap<StepNo, Vec<(PartNo, UnitRow)>> = BTreeMap::new();
    let next = match place {
        Cursor::Leased(after) => {
            let cuts = tx.cuts()?;
            let without_owner = |id| cuts.iter().any(|cut| cut.unit == id && cut.state == CutState::Open);
            let page = tx.units_in(job, UnitState::Leased, after, PAGE_UNITS)?;
            let last = page.last().map(|(id, _)| (id.step, id.part)).filter(|_| page.len() == PAGE_UNITS as usize);
            for (id, row) in page.into_iter().filter(|(id, _)| !without_owner(*id)) {
                out.entry(id.step).or_default().push((id.part, row));
            }
            Some(last.map_or(Cursor::Computed(0), |last| Cursor::Leased(Some(last))))
        }
        Cursor::Computed(root) => match workflow.roots().nth(root) {
            Some((step, _)) => {
                let first = UnitRow { state: UnitState::Leased, epoch: 1, attempt: 0, due_at: None, duration_us: 0 };
                // What is out without a row of its own is no more than the publisher's window.
                let parts = tx.computed_out(job, step, u32::MAX)?;
                out.entry(step).or_default().extend(parts.into_iter().map(|part| (part, first)));
                Some(Cursor::Computed(root + 1))
            }
            None => Some(Cursor::Slices),
        },
        Cursor::Slices => {
            let mut units = slices::outstanding(tx, &workflow, &row)?;
            units.extend(publisher::scan_out(&workflow, &row));
            return Ok((units, None));
        }
    };
    let mut older: BTreeMap<StepNo, Vec<(PartNo, UnitRow)>> = BTreeMap::new();
    for (unit, copy) in tx.speculations(job)? {
        let rows = out.get_mut(&unit.step).into_iter().flatten();
        let Some((part, row)) = rows.into_iter().find(|(p, r)| *p == unit.part && r.epoch == copy.newer) else {
            continue;
        };
        match copy.state {
            SpeculationState::Both => {
                older.entry(unit.step).or_default().push((*part, UnitRow { epoch: copy.older, ..*row }))
            }
            SpeculationState::Older => row.epoch = copy.older,
            SpeculationState::Adopted => {}
        }
    }
    let mut units = Vec::new();
    for (step, rows) in older.into_iter().chain(out) {
        units.extend(publisher::published(tx, &workflow, &row, step, &rows)?);
    }
    Ok((units, next))
}
