//! Settles reports: pages of listings and ends of units, a batch in one transaction.
//!
//! - `attribute`: which execution a report belongs to
//! - `judged`, `learn`: verdicts, facts and bytes
//! - `ends`: settles ends of units one after another
//! - `result`: the parsed result of a unit
//! - `attempt`: the record of a failed execution
//! - `apply`: what a decision of the rule means for rows
//! - `scan`, `scan_page`: listings; `sliced`: slices of large transfers
mod apply;
mod attempt;
mod attribute;
mod carried;
mod ends;
mod judged;
mod learn;
mod result;
mod scan;
mod scan_page;
mod settled;
mod sliced;

pub use scan_page::{PageTaken, page};
pub use settled::{Ends, Settled};

use crate::graph::Graph;
use crate::review::verdicts::Judged;
use crate::review::waivers::Waivers;
use crate::store::{AttemptRow, CauseRow, JobRow, Phase, StoreResult, Tx};
use crate::workflows::Workflows;
use protocol::id::{JobNo, Kind, PartNo, StepNo};
use protocol::rules::unit::settle::{DispatchScope, is_possible};
use protocol::time::Timestamp;
use protocol::wire::report::Outcome;
use protocol::workflow::{Action, Workflow};
use std::collections::{BTreeMap, HashMap};

/// Reason code of a unit that waits for an archive.
pub(crate) const RESTORING: &str = "restoring";

/// Takes a batch of ends. `jitter` gives a fresh random number in 0..1 at each call.
pub fn settle(
    tx: &mut dyn Tx,
    workflows: &Workflows,
    outcomes: Vec<Outcome>,
    now: Timestamp,
    jitter: &mut dyn FnMut() -> f64,
) -> StoreResult<Settled> {
    let mut done = Settled::default();
    let mut groups: BTreeMap<(JobNo, StepNo), Vec<Outcome>> = BTreeMap::new();
    for outcome in outcomes {
        groups
            .entry((outcome.unit.job, outcome.unit.step))
            .or_default()
            .push(outcome);
    }
    for ((job, step), group) in groups {
        let ends = group.len() as u64;
        let taken = workflows.for_job(tx, job, |tx| {
            settle_group(tx, workflows, (job, step), group, now, jitter, &mut done)
        })?;
        // A job that this version cannot read is set aside; it must not hold up the reports of all others.
        if taken.is_none() {
            done.rejected += ends;
        }
    }
    Ok(done)
}

fn settle_group(
    tx: &mut dyn Tx,
    workflows: &Workflows,
    (job, step): (JobNo, StepNo),
    group: Vec<Outcome>,
    now: Timestamp,
    jitter: &mut dyn FnMut() -> f64,
    done: &mut Settled,
) -> StoreResult<()> {
    let Some((row, workflow)) = workflows.job(tx, job)? else {
        done.rejected += group.len() as u64;
        return Ok(());
    };
    let before = done.ends();
    if step == StepNo::SCAN {
        for outcome in group {
            scan::settle(tx, job, outcome, now, jitter(), done)?;
        }
        done.count(Kind::Scan, before);
        return Ok(());
    }
    let (possible, foreign) = sorted(&workflow, &row, step, group);
    done.rejected += foreign;
    let mut settling = Group {
        tx,
        job: row,
        workflow: &workflow,
        step,
        now,
        done: &mut *done,
        attempts: Vec::new(),
        causes: Vec::new(),
        verdicts: Verdicts::default(),
    };
    settling.settle(possible, jitter)?;
    settling.record(workflows)?;
    if let Some(kind) = workflow.step(step).and_then(|step| step.kind()) {
        done.count(kind, before);
    }
    Ok(())
}

/// The ends that can be of units of this step, and how many are of none.
fn sorted(
    workflow: &Workflow,
    job: &JobRow,
    step: StepNo,
    outcomes: Vec<Outcome>,
) -> (Vec<Outcome>, u64) {
    let hands_out = match workflow.step(step).map(|step| &step.action) {
        Some(Action::Units { .. }) => DispatchScope::Partitions,
        Some(Action::Seal { .. }) => DispatchScope::Once,
        Some(Action::Barrier { .. } | Action::Approval { .. }) | None => DispatchScope::Nothing,
    };
    let (possible, foreign): (Vec<Outcome>, Vec<Outcome>) = outcomes
        .into_iter()
        .partition(|outcome| is_possible(hands_out, outcome.unit, job.parts));
    (possible, foreign.len() as u64)
}

/// Reports about units of one step, in the transaction that settles them.
struct Group<'a, 'b> {
    tx: &'a mut dyn Tx,
    job: JobRow,
    workflow: &'a Workflow,
    step: StepNo,
    now: Timestamp,
    done: &'b mut Settled,
    /// Executions that are recorded: written once for the group.
    attempts: Vec<AttemptRow>,
    /// What died, by cause: written once for the group.
    causes: Vec<CauseRow>,
    verdicts: Verdicts,
}

/// Judged assets of a group of units.
#[derive(Default)]
struct Verdicts {
    /// Judged assets with the partition they were in, and whether a waiver lets them pass.
    assets: Vec<(PartNo, Judged, bool)>,
    /// Partition in which each dead asset is.
    dead: HashMap<String, PartNo>,
    waivers: Waivers,
}

impl Group<'_, '_> {
    fn graph(&mut self) -> Graph<'_> {
        Graph::new(
            self.tx,
            self.job.no,
            self.workflow,
            self.job.phase == Phase::Sealed,
            self.now,
        )
    }
}
