//! Finds the units of a selection, a page at a time, and checks which of them can be redriven.
use crate::command::plan::Plan;
use crate::graph::Graph;
use crate::graph::redrive::{self, RedriveScope};
use crate::rows::JobCache;
use crate::store::{FailureRow, JobState, Partition, StoreResult, Tx};
use crate::workflows::Workflows;
use protocol::failure::Failure;
use protocol::id::{JobNo, PartNo, StepNo, UnitId};
use protocol::rules::unit::fingerprint::fingerprint;
use protocol::rules::unit::selection::Candidate;
use protocol::rules::unit::transition::UnitState;
use protocol::time::Timestamp;
use protocol::workflow::Workflow;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A unit that was found.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub unit: UnitId,
    pub state: UnitState,
    /// Why its assets failed; empty for what was cancelled.
    pub failures: Vec<(String, Failure)>,
    /// Ids and roles of the assets it is about, where the failures name them.
    pub assets: Vec<(String, String)>,
    title: String,
}

/// What a walk reads: the dead by their failures, then the cancelled, in the order of jobs, steps and partitions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum List {
    /// Units with failures.
    #[default]
    Dead,
    /// Cancelled units of one job.
    Cancelled,
    /// Both lists have been read to their end.
    End,
}

/// Position of a walk over all candidates.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Place {
    /// The list that is being read.
    pub list: List,
    /// The last unit of it that was looked at.
    pub after: Option<UnitId>,
}

/// One page of a walk.
#[derive(Debug, Default)]
pub(super) struct Page {
    /// Units of the page that match the selection.
    pub found: Vec<Found>,
    /// Start of the next page.
    pub place: Place,
}

/// A walk over one job, or over all jobs.
#[derive(Clone, Copy)]
pub(super) struct Walk<'a> {
    /// Criteria of the operation.
    pub plan: &'a Plan,
    /// The job, when it is about one.
    pub job: Option<JobNo>,
}

impl Walk<'_> {
    /// Reads about `rows` rows from `place` on: a unit is looked at with all its failures, so a large one is read to its end.
    pub(super) fn page(
        self,
        tx: &mut dyn Tx,
        workflows: &Workflows,
        place: Place,
        rows: u32,
    ) -> StoreResult<Page> {
        let mut page = match place.list {
            List::Dead if self.plan.selection.wants(UnitState::Dead) => {
                self.dead(tx, place.after, rows)?
            }
            List::Dead => Page {
                place: Place {
                    list: List::Cancelled,
                    after: None,
                },
                ..Page::default()
            },
            List::Cancelled => self.cancelled(tx, place.after, rows)?,
            List::End => Page {
                place,
                ..Page::default()
            },
        };
        let mut readable = Vec::with_capacity(page.found.len());
        for found in page.found {
            // A job that this version cannot read must not hold up all others.
            if let Some(workflow) = workflows.readable(tx, found.unit.job)? {
                readable.push((found, workflow));
            }
        }
        let units: Vec<&Found> = readable.iter().map(|(found, _)| found).collect();
        let members = self.members(tx, &units)?;
        let mut fitting = Vec::with_capacity(readable.len());
        for (found, workflow) in readable {
            if self.fits(&workflow, &found, members.get(&found.unit)) {
                fitting.push(found);
            }
        }
        page.found = fitting;
        Ok(page)
    }

    fn dead(self, tx: &mut dyn Tx, after: Option<UnitId>, rows: u32) -> StoreResult<Page> {
        let cause = match self.plan.selection.causes.as_slice() {
            [one] => Some(one.as_str()),
            _ => None,
        };
        // Behind the last asset of the unit looked at last: no text is greater than this one in byte order.
        let mut after = after.map(|unit| (unit, char::MAX.to_string()));
        let mut found: Vec<Found> = Vec::new();
        loop {
            let from = after.as_ref().map(|(unit, asset)| (*unit, asset.as_str()));
            let page = tx.failures_after(self.job, cause, from, rows)?;
            let whole = page.len() < rows as usize;
            after = page
                .last()
                .map(|row| (row.unit, row.asset.clone()))
                .or(after);
            for row in page {
                match found.last_mut() {
                    Some(known) if known.unit == row.unit => known.add(row),
                    _ => found.push(Found::first(row)),
                }
            }
            let list = if whole { List::Cancelled } else { List::Dead };
            if !whole && found.len() < 2 {
                // The page ends in the middle of the only unit.
                continue;
            }
            if !whole {
                // The last unit may continue in the next page, where it is read from its beginning.
                found.pop();
            }
            let last = found.last().map(|found| found.unit).filter(|_| !whole);
            return Ok(Page {
                found,
                place: Place { list, after: last },
            });
        }
    }

    fn cancelled(self, tx: &mut dyn Tx, after: Option<UnitId>, rows: u32) -> StoreResult<Page> {
        let end = Page {
            place: Place {
                list: List::End,
                after: None,
            },
            ..Page::default()
        };
        let Some(job) = self
            .job
            .filter(|_| self.plan.selection.wants(UnitState::Cancelled))
        else {
            return Ok(end);
        };
        let page = tx.units_in(
            job,
            UnitState::Cancelled,
            after.map(|unit| (unit.step, unit.part)),
            rows,
        )?;
        let last = page
            .last()
            .map(|(unit, _)| *unit)
            .filter(|_| page.len() == rows as usize);
        let parts: BTreeSet<PartNo> = page
            .iter()
            .map(|(unit, _)| unit.part)
            .filter(|part| *part > 0)
            .collect();
        let parts: Vec<PartNo> = parts.into_iter().collect();
        let titles = tx
            .partitions(job, &parts)?
            .into_iter()
            .map(|partition| (partition.part, partition.title));
        let titles: HashMap<PartNo, String> = titles.collect();
        let found = page.into_iter().map(|(unit, _)| Found {
            unit,
            state: UnitState::Cancelled,
            failures: Vec::new(),
            assets: Vec::new(),
            title: titles.get(&unit.part).cloned().unwrap_or_default(),
        });
        let list = if last.is_some() {
            List::Cancelled
        } else {
            List::End
        };
        Ok(Page {
            found: found.collect(),
            place: Place { list, after: last },
        })
    }

    /// Assets of units whose failures name none, where the selection asks for assets.
    fn members(
        self,
        tx: &mut dyn Tx,
        found: &[&Found],
    ) -> StoreResult<HashMap<UnitId, Vec<(String, String)>>> {
        let selection = &self.plan.selection;
        if selection.assets.is_empty() && selection.roles.is_empty() {
            return Ok(HashMap::new());
        }
        let whole = |found: &&&Found| {
            found.unit.part > 0 && found.failures.iter().all(|(asset, _)| asset.is_empty())
        };
        let units: Vec<UnitId> = found.iter().filter(whole).map(|found| found.unit).collect();
        let of_units = of_units(tx, &units)?;
        let named = |assets: Vec<protocol::media::asset::Asset>| {
            assets
                .into_iter()
                .map(|asset| (asset.id, asset.role.as_str().to_owned()))
                .collect()
        };
        Ok(of_units
            .into_iter()
            .map(|(unit, assets)| (unit, named(assets)))
            .collect())
    }

    fn fits(
        self,
        workflow: &Workflow,
        found: &Found,
        members: Option<&Vec<(String, String)>>,
    ) -> bool {
        let step = workflow.step(found.unit.step).map_or("", |s| s.id.as_str());
        if self.plan.only.as_deref().is_some_and(|only| only != step)
            || !self.plan.selection.wants(found.state)
        {
            return false;
        }
        let assets = members.unwrap_or(&found.assets);
        let candidate =
            |failure: Option<&Failure>, cause: Option<&str>, assets: &[(String, String)]| {
                self.plan.selection.matches(&Candidate {
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
            return candidate(None, None, assets);
        }
        // One failure must fit in all respects: not the reason of one asset and the role of another.
        found.failures.iter().any(|(asset, failure)| {
            let cause = fingerprint(failure);
            let own: Vec<(String, String)> = assets
                .iter()
                .filter(|(id, _)| id == asset)
                .cloned()
                .collect();
            candidate(
                Some(failure),
                Some(&cause),
                if asset.is_empty() { assets } else { &own },
            )
        })
    }
}

/// The assets of units, asked for together.
pub(super) fn of_units(
    tx: &mut dyn Tx,
    units: &[UnitId],
) -> StoreResult<HashMap<UnitId, Vec<protocol::media::asset::Asset>>> {
    let mut parts: BTreeMap<JobNo, BTreeSet<PartNo>> = BTreeMap::new();
    for unit in units {
        parts.entry(unit.job).or_default().insert(unit.part);
    }
    let mut members = HashMap::new();
    for (job, parts) in parts {
        let parts: Vec<PartNo> = parts.into_iter().collect();
        let partitions: Vec<Partition> = tx.partitions(job, &parts)?;
        members.extend(
            parts
                .iter()
                .map(|part| (job, *part))
                .zip(tx.members(job, &partitions)?),
        );
    }
    let of = |unit: &UnitId| Some((*unit, members.get(&(unit.job, unit.part))?.clone()));
    Ok(units.iter().filter_map(of).collect())
}

impl Found {
    fn first(row: FailureRow) -> Found {
        let (unit, state, title) = (row.unit, row.state, row.title.clone());
        let mut found = Found {
            unit,
            state,
            failures: Vec::new(),
            assets: Vec::new(),
            title,
        };
        found.add(row);
        found
    }

    fn add(&mut self, row: FailureRow) {
        if !row.asset.is_empty() {
            self.assets.push((row.asset.clone(), row.role));
        }
        self.failures.push((row.asset, row.failure));
    }
}

/// Tells the store what [`obstacle`] and bringing back will ask of these units, one by one.
pub(super) fn prefetch_units(
    tx: &mut dyn Tx,
    workflows: &Workflows,
    found: &[Found],
) -> StoreResult<()> {
    for of_job in found.chunk_by(|a, b| a.unit.job == b.unit.job) {
        let job = of_job[0].unit.job;
        let workflow = workflows.of(tx, job)?;
        let steps: Vec<StepNo> = workflow
            .numbered()
            .filter(|(_, step)| step.has_units())
            .map(|(no, _)| no)
            .collect();
        let parts: BTreeSet<PartNo> = of_job
            .iter()
            .map(|found| found.unit.part)
            .filter(|part| *part > 0)
            .collect();
        let parts: Vec<PartNo> = parts.into_iter().collect();
        if !parts.is_empty() {
            tx.prefetch(job, &steps, &parts)?;
        }
    }
    Ok(())
}

/// The obstacle to redriving a unit, if any. Its state was read in the same transaction.
pub(super) fn obstacle(
    tx: &mut dyn Tx,
    jobs: &mut JobCache,
    workflow: &Workflow,
    found: &Found,
    scope: RedriveScope,
    now: Timestamp,
) -> StoreResult<Option<String>> {
    let Some(job) = jobs.get(tx, found.unit.job)? else {
        return Ok(Some(
            "its job is gone, or cannot be read by this version".into(),
        ));
    };
    if matches!(
        job.state,
        JobState::Cancelled | JobState::Cancelling | JobState::Failed
    ) {
        return Ok(Some(format!(
            "job {} is {}: submit it again",
            job.id,
            job.state.as_str()
        )));
    }
    let mut graph = Graph::new(tx, found.unit.job, workflow, true, now);
    if scope == RedriveScope::FromSource && redrive::is_leased(&mut graph, found.unit)? {
        return Ok(Some(
            "another step works on the old file: retry when it has ended".into(),
        ));
    }
    if found.state == UnitState::Cancelled
        && let Some(blocking) =
            redrive::blocking_step(&mut graph, found.unit.step, found.unit.part)?
    {
        let step = workflow.step(blocking).map_or("", |s| s.id.as_str());
        return Ok(Some(format!(
            "step {step} failed before it: retry that one (--filter step={step})"
        )));
    }
    Ok(None)
}
