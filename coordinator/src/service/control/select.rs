//! Finds the units a selection means, a page at a time, and says which of them can be brought back.
use super::Refusal;
use super::order::RetryRequest;
use super::redrive::Again;
use crate::service::Workflows;
use crate::store::{FailureRow, JobRow, JobState, StoreResult, Tx};
use protocol::failure::Failure;
use protocol::id::{JobNo, StepNo, UnitId};
use protocol::rules::fingerprint::fingerprint;
use protocol::rules::lifecycle::UnitState;
use protocol::rules::selection::{Candidate, Selection};
use protocol::workflow::Workflow;
use std::collections::{BTreeMap, VecDeque};

/// Stands in the stored text of a plan whose units got corrected input. No term of a selection is spelt like it.
const CORRECTED: &str = "input=corrected";
/// Failures read at a time.
const PAGE: u32 = 2_000;

/// What an operation is to do, as it is stored with it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Which units.
    pub selection: Selection,
    /// Of those, only units of this step.
    pub only: Option<String>,
    /// Their input was corrected.
    pub corrected: bool,
    terms: Vec<String>,
}

impl Plan {
    /// Reads a request.
    pub fn of(request: &RetryRequest) -> Result<Plan, Refusal> {
        let selection = Selection::parse(&request.filter).map_err(|bad| Refusal::Invalid(bad.message, bad.hint))?;
        if selection.is_empty() && request.only.is_none() && !request.all {
            let hint = "--filter step=check, --filter reason=CODE, --filter asset=ID, or --all";
            return Err(Refusal::Invalid("nothing selected".into(), hint.into()));
        }
        let corrected = !request.corrections.is_empty();
        Ok(Plan { selection, only: request.only.clone(), corrected, terms: request.filter.clone() })
    }

    /// As it is stored: a term a line.
    pub fn text(&self) -> String {
        let only = self.only.iter().map(|step| format!("only={step}"));
        let corrected = self.corrected.then(|| CORRECTED.to_owned());
        self.terms.iter().cloned().chain(only).chain(corrected).collect::<Vec<_>>().join("\n")
    }

    /// Reads what [`Plan::text`] wrote.
    pub fn read(text: &str) -> Plan {
        let (mut terms, mut only, mut corrected) = (Vec::new(), None, false);
        for line in text.lines() {
            match line.strip_prefix("only=") {
                Some(step) => only = Some(step.to_owned()),
                None if line == CORRECTED => corrected = true,
                None => terms.push(line.to_owned()),
            }
        }
        // What was stored had been read before.
        Plan { selection: Selection::parse(&terms).unwrap_or_default(), only, corrected, terms }
    }

    /// How much of what was done is done again.
    pub(super) fn again(&self) -> Again {
        if self.corrected { Again::FromSource } else { Again::Unit }
    }
}

/// A unit that was found.
#[derive(Debug, Clone)]
pub(super) struct Found {
    /// The unit.
    pub unit: UnitId,
    /// Its state.
    pub state: UnitState,
    /// Why its assets failed; empty for what was cancelled.
    pub failures: Vec<(String, Failure)>,
    /// Ids and roles of the assets it is about, where the failures name them.
    pub assets: Vec<(String, String)>,
    title: String,
}

/// A walk over everything that may be meant, in the order of jobs, steps and partitions.
pub(super) struct Walk<'a> {
    plan: &'a Plan,
    job: Option<JobNo>,
    after: Option<(UnitId, String)>,
    rows: VecDeque<FailureRow>,
    read_all: bool,
    cancelled: VecDeque<UnitId>,
    cancelled_after: Option<(StepNo, i64)>,
    cancelled_all: bool,
}

impl<'a> Walk<'a> {
    /// A walk over one job, or over all jobs by cause.
    pub(super) fn new(plan: &'a Plan, job: Option<JobNo>, after: Option<UnitId>) -> Walk<'a> {
        // Behind the last asset of the unit looked at last: no text is greater than this one in byte order.
        let after = after.map(|unit| (unit, char::MAX.to_string()));
        let wants_cancelled = plan.selection.wants(UnitState::Cancelled);
        Walk {
            plan,
            job,
            // What was brought back is not cancelled any more: these are walked from their beginning every time.
            cancelled_after: None,
            after,
            rows: VecDeque::new(),
            read_all: !plan.selection.wants(UnitState::Dead),
            cancelled: VecDeque::new(),
            cancelled_all: !wants_cancelled || job.is_none(),
        }
    }

    /// The next unit that matches. `workflows` know the steps' names.
    pub(super) fn next(&mut self, tx: &mut dyn Tx, workflows: &Workflows) -> StoreResult<Option<Found>> {
        while let Some(found) = self.step(tx)? {
            let workflow = workflows.of(tx, found.unit.job)?;
            if self.fits(tx, &workflow, &found)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn step(&mut self, tx: &mut dyn Tx) -> StoreResult<Option<Found>> {
        if let Some(found) = self.dead(tx)? {
            return Ok(Some(found));
        }
        if self.cancelled.is_empty() && !self.cancelled_all {
            let Some(job) = self.job else { return Ok(None) };
            let page = tx.units_in(job, UnitState::Cancelled, self.cancelled_after, PAGE)?;
            self.cancelled_all = page.len() < PAGE as usize;
            self.cancelled_after = page.last().map(|(unit, _)| (unit.step, unit.part)).or(self.cancelled_after);
            self.cancelled.extend(page.into_iter().map(|(unit, _)| unit));
        }
        let Some(unit) = self.cancelled.pop_front() else { return Ok(None) };
        let partition = if unit.part > 0 { tx.partitions(unit.job, &[unit.part])?.pop() } else { None };
        let title = partition.map(|p| p.title).unwrap_or_default();
        let state = UnitState::Cancelled;
        Ok(Some(Found { unit, state, failures: Vec::new(), assets: Vec::new(), title }))
    }

    /// The next unit with its failures, all of them: a page may end in the middle of a unit.
    fn dead(&mut self, tx: &mut dyn Tx) -> StoreResult<Option<Found>> {
        let mut found: Option<Found> = None;
        loop {
            while let Some(row) = self.rows.pop_front() {
                match &mut found {
                    Some(known) if known.unit == row.unit => known.add(row),
                    Some(_) => {
                        self.rows.push_front(row);
                        return Ok(found);
                    }
                    None => {
                        let mut first = Found {
                            unit: row.unit,
                            state: row.state,
                            failures: Vec::new(),
                            assets: Vec::new(),
                            title: row.title.clone(),
                        };
                        first.add(row);
                        found = Some(first);
                    }
                }
            }
            if self.read_all {
                return Ok(found);
            }
            let cause = match self.plan.selection.causes.as_slice() {
                [one] => Some(one.as_str()),
                _ => None,
            };
            let after = self.after.as_ref().map(|(unit, asset)| (*unit, asset.as_str()));
            let page = tx.failures_after(self.job, cause, after, PAGE)?;
            self.read_all = page.len() < PAGE as usize;
            self.after = page.last().map(|row| (row.unit, row.asset.clone())).or(self.after.take());
            self.rows.extend(page);
        }
    }

    fn fits(&self, tx: &mut dyn Tx, workflow: &Workflow, found: &Found) -> StoreResult<bool> {
        let step = workflow.step(found.unit.step).map_or("", |s| s.id.as_str());
        if self.plan.only.as_deref().is_some_and(|only| only != step) || !self.plan.selection.wants(found.state) {
            return Ok(false);
        }
        let selection = &self.plan.selection;
        let by_asset = !selection.assets.is_empty() || !selection.roles.is_empty();
        let whole = found.failures.iter().all(|(asset, _)| asset.is_empty());
        let mut assets = found.assets.clone();
        if by_asset && whole && found.unit.part > 0 {
            let parts = tx.partitions(found.unit.job, &[found.unit.part])?;
            let members = tx.members(found.unit.job, &parts)?.pop().unwrap_or_default();
            assets = members.into_iter().map(|a| (a.id, a.role.as_str().to_owned())).collect();
        }
        let candidate = |failure: Option<&Failure>, cause: Option<&str>, assets: &[(String, String)]| {
            selection.matches(&Candidate {
                step,
                state: found.state,
                reason: failure.map(|f| f.reason.as_str()),
                class: failure.map(|f| f.class.as_str()),
                cause,
                title: &found.title,
                assets,
            })
        };
        if found.failures.is_empty() {
            return Ok(candidate(None, None, &assets));
        }
        // One failure must fit in all respects: not the reason of one asset and the role of another.
        Ok(found.failures.iter().any(|(asset, failure)| {
            let cause = fingerprint(failure);
            let own: Vec<(String, String)> = assets.iter().filter(|(id, _)| id == asset).cloned().collect();
            candidate(Some(failure), Some(&cause), if asset.is_empty() { &assets } else { &own })
        }))
    }
}

impl Found {
    fn add(&mut self, row: FailureRow) {
        if !row.asset.is_empty() {
            self.assets.push((row.asset.clone(), row.role));
        }
        self.failures.push((row.asset, row.failure));
    }
}

/// Jobs seen on a walk, read once.
#[derive(Default)]
pub(super) struct Jobs(BTreeMap<JobNo, Option<JobRow>>);

impl Jobs {
    /// A job.
    pub(super) fn get(&mut self, tx: &mut dyn Tx, no: JobNo) -> StoreResult<Option<&mut JobRow>> {
        if let std::collections::btree_map::Entry::Vacant(vacant) = self.0.entry(no) {
            vacant.insert(tx.job(no)?);
        }
        Ok(self.0.get_mut(&no).and_then(Option::as_mut))
    }
}

/// Why a unit cannot be brought back, if it cannot.
pub(super) fn obstacle(
    tx: &mut dyn Tx,
    jobs: &mut Jobs,
    workflow: &Workflow,
    found: &Found,
    again: Again,
    now: protocol::time::Timestamp,
) -> StoreResult<Option<String>> {
    let Some(job) = jobs.get(tx, found.unit.job)? else { return Ok(Some("its job is gone".into())) };
    if matches!(job.state, JobState::Cancelled | JobState::Cancelling | JobState::Failed) {
        return Ok(Some(format!("job {} is {}: submit it again", job.id, job.state.as_str())));
    }
    let row = tx.units(found.unit.job, found.unit.step, &[found.unit.part])?.pop().flatten();
    let Some(row) = row.filter(|row| row.state == found.state) else {
        return Ok(Some("it is under way again".into()));
    };
    let mut graph = crate::service::graph::Graph { tx, job: found.unit.job, workflow, sealed: true, now };
    if again == Again::FromSource && super::redrive::is_out(&mut graph, found.unit)? {
        return Ok(Some("another step works on the old file: retry when it has ended".into()));
    }
    if row.state == UnitState::Cancelled
        && let Some(blocking) = super::redrive::blocking(&mut graph, found.unit.step, found.unit.part)?
    {
        let step = workflow.step(blocking).map_or("", |s| s.id.as_str());
        return Ok(Some(format!("step {step} failed before it: retry that one (--filter step={step})")));
    }
    Ok(None)
}
