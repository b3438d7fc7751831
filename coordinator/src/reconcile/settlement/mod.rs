//! Settles reports: pages of listings and ends of units, a batch in one transaction.
//!
//! - `attribute`: which execution a report belongs to
//! - `judged`, `learn`: verdicts, facts and bytes
//! - `attempt`: the record of a failed execution
//! - `apply`: what a decision of the rule means for rows
//! - `scan`, `scan_page`: listings; `sliced`: slices of large transfers
mod apply;
mod attempt;
mod attribute;
mod carried;
mod judged;
mod learn;
mod scan;
mod scan_page;
mod settled;
mod sliced;

pub use scan_page::{PageTaken, page};
pub use settled::{Ends, Settled};

use crate::graph::Graph;
use crate::reconcile::attribution::Attribution;
use crate::review::approvals;
use crate::review::verdicts::{self, Judged};
use crate::review::waivers::Waivers;
use crate::store::{AttemptRow, Carried, CauseRow, JobRow, Phase, StoreResult, Tx, UnitRow};
use crate::workflows::Workflows;
use foldhash::HashMap as IdMap;
use protocol::id::{JobNo, Kind, PartNo, StepNo, UnitId};
use protocol::media::asset::AssetFact;
use protocol::rules::unit::settle::{
    DispatchScope, Reported, Settlement, UnitFacts, accountable_us, decide, is_possible,
};
use protocol::rules::unit::transition::UnitState;
use protocol::time::Timestamp;
use protocol::wire::report::{Outcome, UnitResult};
use protocol::workflow::{Action, Workflow};
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

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

/// The parsed result of a unit, ready to be settled.
struct ParsedResult {
    reported: Reported,
    learned: Vec<AssetFact>,
    judged: Vec<(PartNo, Judged, bool)>,
}

impl Group<'_, '_> {
    fn settle(
        &mut self,
        outcomes: Vec<Outcome>,
        jitter: &mut dyn FnMut() -> f64,
    ) -> StoreResult<()> {
        let Some(policy) = self.workflow.step(self.step).map(|s| s.retry) else {
            return Ok(());
        };
        let outcomes = self.settle_slices(outcomes, &policy, jitter)?;
        let parts: Vec<PartNo> = outcomes.iter().map(|o| o.unit.part).collect();
        let rows = self.tx.units(self.job.no, self.step, &parts)?;
        let mut known: IdMap<PartNo, Option<UnitRow>> = parts.iter().copied().zip(rows).collect();
        let cursor = self
            .tx
            .steps(self.job.no)?
            .iter()
            .find(|s| s.step == self.step)
            .map_or(0, |s| s.cursor);
        let mut changes = Vec::new();
        let (mut facts, mut carried) = (Vec::new(), Carried::default());
        for outcome in outcomes {
            let part = outcome.unit.part;
            let row = known.get(&part).copied().flatten();
            let unit = self.unit_facts(row, part, cursor);
            let epoch = match self.attribution(row, &outcome)? {
                Attribution::Current => unit.epoch,
                Attribution::Stale => {
                    self.done.rejected += 1;
                    continue;
                }
                Attribution::Revoked => {
                    self.done.withdrawn += 1;
                    continue;
                }
            };
            if let UnitResult::Cut(drafts) = &outcome.result {
                let cut = self.cut(outcome.unit, row.map(|r| r.state), unit, drafts)?;
                known.extend(cut.map(|change| (part, Some(change.to))));
                changes.extend(cut);
                continue;
            }
            let record =
                attempt::of_report(&outcome, accountable_us(outcome.duration_us), self.now);
            let ParsedResult {
                reported,
                learned,
                judged,
            } = self.reported(outcome.result, part)?;
            let needs_size =
                matches!(&reported, Reported::Finished(failures) if !failures.is_empty());
            let assets = if needs_size {
                self.partition_size(part)?
            } else {
                1
            };
            let settlement = decide(
                UnitFacts { assets, ..unit },
                epoch,
                reported,
                &policy,
                self.now,
                jitter(),
            );
            if let Settlement::Reject(_) = settlement {
                self.done.rejected += 1;
                continue;
            }
            self.done.accepted += 1;
            carried = carried + carried::of(&learned, &settlement);
            facts.extend(learned);
            self.verdicts.assets.extend(judged);
            let record = attempt::settled(record, &settlement, unit.attempt);
            let split = matches!(settlement, Settlement::Split { .. });
            let change = self.carry_out(
                part,
                row.map(|r| r.state),
                unit,
                settlement,
                accountable_us(outcome.duration_us),
            )?;
            // What was split off died in this execution: its log has it too.
            let child = record
                .clone()
                .filter(|_| split)
                .map(|record| self.of_child(record));
            self.attempts.extend(record.into_iter().chain(child));
            known.insert(part, Some(change.to));
            changes.push(change);
        }
        self.learn(&facts, carried)?;
        self.tx.put_attempts(&std::mem::take(&mut self.attempts))?;
        self.tx.add_to_causes(&std::mem::take(&mut self.causes))?;
        let step = self.step;
        approvals::apply(&mut self.graph(), step, &changes)
    }

    /// The record of an execution for the partition that was split off last.
    fn of_child(&self, record: AttemptRow) -> AttemptRow {
        AttemptRow {
            unit: UnitId {
                part: self.job.parts,
                ..record.unit
            },
            epoch: 0,
            ..record
        }
    }

    fn graph(&mut self) -> Graph<'_> {
        Graph::new(
            self.tx,
            self.job.no,
            self.workflow,
            self.job.phase == Phase::Sealed,
            self.now,
        )
    }

    /// A unit without a row is out under epoch 1 exactly when the cursor has passed it.
    fn unit_facts(&self, row: Option<UnitRow>, part: PartNo, cursor: PartNo) -> UnitFacts {
        match row {
            Some(row) => UnitFacts {
                state: row.state,
                epoch: row.epoch,
                attempt: row.attempt,
                assets: 1,
            },
            None => {
                let state = if (1..=cursor).contains(&part) {
                    UnitState::Leased
                } else {
                    UnitState::Planned
                };
                UnitFacts {
                    state,
                    epoch: 1,
                    attempt: 0,
                    assets: 1,
                }
            }
        }
    }

    fn partition_size(&mut self, part: PartNo) -> StoreResult<u32> {
        if part == 0 {
            return Ok(1);
        }
        Ok(self
            .tx
            .partitions(self.job.no, &[part])?
            .first()
            .map_or(1, |p| p.assets))
    }

    /// Parses a result. Failures of assets that a split has moved meanwhile belong to another unit.
    fn reported(&mut self, result: UnitResult, part: PartNo) -> StoreResult<ParsedResult> {
        let without_facts = |reported| ParsedResult {
            reported,
            learned: Vec::new(),
            judged: Vec::new(),
        };
        Ok(match result {
            UnitResult::Finished {
                mut facts,
                mut failures,
            } => {
                if !failures.is_empty() && part > 0 {
                    let ids: Vec<String> =
                        failures.iter().map(|(asset, _)| asset.clone()).collect();
                    let gone = self.tx.moved_away(self.job.no, part, &ids)?;
                    failures.retain(|(asset, _)| !gone.contains(asset));
                }
                let judges = self
                    .workflow
                    .step(self.step)
                    .is_some_and(|step| step.qc().is_some());
                let judged = if judges {
                    verdicts::read(&mut facts, &failures)
                } else {
                    Vec::new()
                };
                let judged = self.waive(part, judged, &mut failures)?;
                ParsedResult {
                    reported: Reported::Finished(failures),
                    learned: facts,
                    judged,
                }
            }
            UnitResult::Failed(failure) => without_facts(Reported::Failed(failure)),
            UnitResult::Waiting {
                look_again_us,
                message,
            } => without_facts(Reported::Waiting(
                Duration::from_micros(look_again_us),
                message,
            )),
            // A cut was taken before, and no unit is a slice.
            UnitResult::Returned
            | UnitResult::Cancelled
            | UnitResult::Listed { .. }
            | UnitResult::Cut(_)
            | UnitResult::Sliced(_) => without_facts(Reported::Returned),
        })
    }
}
