//! Units that are out, as they were published: a new leader watches them again, because their workers may still run them.
use super::{publisher, scan, slices};
use crate::reconcile::multipart::multiparts_of;
use crate::rows::job_row;
use crate::store::{MultipartState, SpeculationState, StoreResult, Tx, UnitRow};
use crate::workflows::Workflows;
use protocol::id::{JobNo, PartNo, StepNo};
use protocol::rules::unit::transition::UnitState;
use protocol::wire::unit::Unit;
use std::collections::BTreeMap;

/// Units read in one transaction. Each may have rows of two megabytes.
const PAGE_UNITS: u32 = 128;
/// Assets of these units; the last unit may exceed it.
const PAGE_ASSETS: u32 = 20_000;

/// Position in the list of units that are out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cursor {
    /// Rows that are leased, behind this one.
    Leased(Option<(StepNo, PartNo)>),
    /// Units without a row in the roots of the workflow, from this one on and behind this partition.
    Computed(usize, PartNo),
    /// Slices of multipart transfers, and the scan of a library that is being listed.
    Slices,
}

/// Rows of units that are out, by step and partition.
type RowsByStep = BTreeMap<StepNo, Vec<(PartNo, UnitRow)>>;

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

/// How many units over these partitions belong to one page, one at least.
fn fitting(tx: &mut dyn Tx, job: JobNo, parts: impl Iterator<Item = PartNo>) -> StoreResult<usize> {
    // What a step does once for the whole job has no partition.
    let parts: Vec<PartNo> = parts.collect();
    let mut known: Vec<PartNo> = parts.iter().copied().filter(|part| *part > 0).collect();
    known.sort_unstable();
    known.dedup();
    let sizes: BTreeMap<PartNo, u32> = tx
        .partitions(job, &known)?
        .into_iter()
        .map(|partition| (partition.part, partition.assets))
        .collect();
    let mut assets = 0_u32;
    let fits = |part: &&PartNo| {
        let fits = assets < PAGE_ASSETS;
        assets = assets.saturating_add(sizes.get(part).copied().unwrap_or(0));
        fits
    };
    Ok(parts.iter().take_while(fits).count())
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
    let (mut out, next) = match place {
        Cursor::Leased(after) => leased_rows(tx, job, after)?,
        Cursor::Computed(root, after) => match workflow.roots().nth(root) {
            Some((step, _)) => computed_rows(tx, job, (root, step), after)?,
            None => (RowsByStep::new(), Cursor::Slices),
        },
        Cursor::Slices => {
            let mut units = slices::outstanding(tx, &workflow, &row)?;
            units.extend(scan::scan_out(&workflow, &row));
            return Ok((units, None));
        }
    };
    let older = older_executions(tx, job, &mut out)?;
    let mut units = Vec::new();
    for (step, rows) in older.into_iter().chain(out) {
        units.extend(publisher::published(tx, &workflow, &row, step, &rows)?);
    }
    Ok((units, Some(next)))
}

/// Leased rows behind a position, as many as belong to one page. Units of open multipart uploads are left out: their slices
/// are out instead.
fn leased_rows(
    tx: &mut dyn Tx,
    job: JobNo,
    after: Option<(StepNo, PartNo)>,
) -> StoreResult<(RowsByStep, Cursor)> {
    let multiparts = multiparts_of(tx, job)?;
    let without_owner = |id| {
        multiparts
            .iter()
            .any(|multipart| multipart.unit == id && multipart.state == MultipartState::Open)
    };
    let mut page = tx.units_in(job, UnitState::Leased, after, PAGE_UNITS)?;
    let full = page.len() == PAGE_UNITS as usize;
    let fitting = fitting(tx, job, page.iter().map(|(id, _)| id.part))?;
    let last = page
        .get(fitting.saturating_sub(1))
        .map(|(id, _)| (id.step, id.part));
    let last = last.filter(|_| full || fitting < page.len());
    page.truncate(fitting);
    let mut out = RowsByStep::new();
    for (id, row) in page.into_iter().filter(|(id, _)| !without_owner(*id)) {
        out.entry(id.step).or_default().push((id.part, row));
    }
    let next = last.map_or(Cursor::Computed(0, 0), |last| Cursor::Leased(Some(last)));
    Ok((out, next))
}

/// Units of a root step that are out without a row, as many as belong to one page.
fn computed_rows(
    tx: &mut dyn Tx,
    job: JobNo,
    (root, step): (usize, StepNo),
    after: PartNo,
) -> StoreResult<(RowsByStep, Cursor)> {
    let mut parts = tx.computed_out(job, step, after, PAGE_UNITS)?;
    let full = parts.len() == PAGE_UNITS as usize;
    let fitting = fitting(tx, job, parts.iter().copied())?;
    let last = parts
        .get(fitting.saturating_sub(1))
        .copied()
        .filter(|_| full || fitting < parts.len());
    parts.truncate(fitting);
    let rows = parts.into_iter().map(|part| (part, publisher::FIRST));
    let next = last.map_or(Cursor::Computed(root + 1, 0), |last| {
        Cursor::Computed(root, last)
    });
    Ok((RowsByStep::from([(step, rows.collect())]), next))
}

/// Rows of the first executions of units that have a second one too. Where only the first is out, the row in `out` gets its
/// epoch.
fn older_executions(tx: &mut dyn Tx, job: JobNo, out: &mut RowsByStep) -> StoreResult<RowsByStep> {
    let mut older = RowsByStep::new();
    for (unit, copy) in tx.speculations(job)? {
        let rows = out.get_mut(&unit.step).into_iter().flatten();
        let Some((part, row)) = rows
            .into_iter()
            .find(|(p, r)| *p == unit.part && r.epoch == copy.newer)
        else {
            continue;
        };
        match copy.state {
            SpeculationState::Both => older.entry(unit.step).or_default().push((
                *part,
                UnitRow {
                    epoch: copy.older,
                    ..*row
                },
            )),
            SpeculationState::Older => row.epoch = copy.older,
            SpeculationState::Adopted => {}
        }
    }
    Ok(older)
}
