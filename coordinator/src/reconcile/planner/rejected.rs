//! Rejected rows of a library count as failed members of the barriers over their title, because their asset is missing there.
//! Each row is counted once, in the transaction that notes it.
use crate::graph::batch_key;
use crate::store::{BarrierGrowth, JobRow, StoreResult, Tx};
use protocol::id::{JobNo, PartNo, StepNo};
use protocol::model::barrier::Scope;
use protocol::wire::report::RowError;
use protocol::workflow::{Action, Workflow};
use std::collections::BTreeMap;

/// Rows counted in one transaction; fewer where each has to be looked up among the partitions.
const PAGE: u32 = 1_000;
const PAGE_PLACED: u32 = 100;

/// Counts the next page of rows. Returns whether all have been counted.
pub(super) fn count(tx: &mut dyn Tx, job: &JobRow, workflow: &Workflow) -> StoreResult<bool> {
    let barriers: Vec<Holding> = workflow
        .numbered()
        .filter_map(|(no, _)| Holding::of(workflow, no))
        .collect();
    if job.row_errors == 0 || barriers.is_empty() {
        return Ok(true);
    }
    let placed = barriers.iter().any(|barrier| barrier.scope == Scope::Batch);
    let limit = if placed { PAGE_PLACED } else { PAGE };
    let page = tx.uncounted_rows(job.no, limit)?;
    let last_page = page.len() < limit as usize;
    let mut failed: BTreeMap<(StepNo, String), u64> = BTreeMap::new();
    let mut counted: Vec<(RowError, PartNo)> = Vec::with_capacity(page.len());
    for row in page {
        let part = if placed {
            place(tx, job, workflow, &row)?
        } else {
            0
        };
        let title = row.title.as_deref().unwrap_or_default();
        for barrier in &barriers {
            *failed
                .entry((barrier.step, barrier.key(title, part)))
                .or_default() += barrier.members;
        }
        counted.push((row, part));
    }
    for ((barrier, key), members) in failed {
        add(tx, job.no, workflow, barrier, &key, (members, members))?;
    }
    tx.count_rows(job.no, &counted)?;
    Ok(last_page)
}

/// A barrier over units.
struct Holding {
    step: StepNo,
    scope: Scope,
    batch_units: u32,
    /// Members that one partition has in it.
    members: u64,
}

impl Holding {
    fn of(workflow: &Workflow, no: StepNo) -> Option<Holding> {
        let step = workflow.step(no)?;
        let Action::Barrier {
            scope, batch_units, ..
        } = &step.action
        else {
            return None;
        };
        let units = step
            .needs
            .iter()
            .filter(|need| workflow.step(**need).is_some_and(|step| step.has_units()));
        let members = units.count() as u64;
        (members > 0).then_some(Holding {
            step: no,
            scope: *scope,
            batch_units: *batch_units,
            members,
        })
    }

    fn key(&self, title: &str, part: PartNo) -> String {
        match self.scope {
            Scope::Title => title.to_owned(),
            Scope::Batch => batch_key(part, self.batch_units),
            Scope::Job => String::new(),
        }
    }
}

/// Adds members and failed members to an instance. One that begins with them is a member of the barriers over it.
fn add(
    tx: &mut dyn Tx,
    job: JobNo,
    workflow: &Workflow,
    barrier: StepNo,
    key: &str,
    (members, failed): (u64, u64),
) -> StoreResult<()> {
    let outer: Vec<StepNo> = workflow
        .dependents(barrier)
        .filter(|(_, step)| matches!(step.action, Action::Barrier { .. }))
        .map(|(no, _)| no)
        .collect();
    let begins = !outer.is_empty() && tx.barrier(job, barrier, key)?.is_none();
    tx.add_to_barrier(
        job,
        barrier,
        &BarrierGrowth {
            key: key.to_owned(),
            members,
            failed,
            first: 1,
            last: 0,
        },
    )?;
    for no in outer.into_iter().filter(|_| begins) {
        add(tx, job, workflow, no, "", (1, 0))?;
    }
    Ok(())
}

/// The partition that a row would have come in or after; the first one for what comes before all. Partitions are numbered
/// in the order of what they hold.
fn place(
    tx: &mut dyn Tx,
    job: &JobRow,
    workflow: &Workflow,
    row: &RowError,
) -> StoreResult<PartNo> {
    let of = |title: &str, asset: &str| match workflow.partition.by_title {
        true => (title.to_owned(), asset.to_owned()),
        false => (String::new(), asset.to_owned()),
    };
    let wanted = of(
        row.title.as_deref().unwrap_or_default(),
        row.asset.as_deref().unwrap_or_default(),
    );
    let (mut low, mut high) = (1, job.parts_planned);
    while low < high {
        // The upper middle: what is not after the row becomes the least answer.
        let middle = low + (high - low + 1) / 2;
        let partition = tx.partitions(job.no, &[middle])?.remove(0);
        if of(&partition.title, &partition.first) <= wanted {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    Ok(low)
}
