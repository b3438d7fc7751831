//! Lists of jobs and units for people. Units without a history are in them too.
pub(crate) mod block;
mod candidates;
#[cfg(any(test, feature = "testing"))]
pub(crate) mod conformance;
mod memory;
mod postgres;
mod sql;
mod sqlite;

use crate::error::StoreResult;
use crate::job::{JobRow, JobState, JobTx};
use crate::partition::{Partition, PartitionTx};
use crate::sql::Sql;
use crate::step::{StepRow, StepTx};
use crate::unit::{UnitRow, UnitTx};
use block::parts_without_history;
pub(crate) use candidates::Candidates;
use protocol::id::{JobNo, PartNo, StepNo};
use protocol::rules::unit::transition::UnitState;
use protocol::workflow::Step;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use utoipa::ToSchema;

/// Runs of successes that are read at a time. A run has at least eight units.
const RUNS: u32 = 128;

/// A unit in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UnitView {
    /// Public id: job/step/partition.
    pub unit: String,
    /// Name of the step in the job file.
    pub step: String,
    /// Capacity class of the step, such as `transfer`.
    pub kind: String,
    /// Number of the partition in its job, from 1.
    #[schema(value_type = i64)]
    pub part: PartNo,
    /// Title of the partition, when partitions follow titles.
    pub title: String,
    /// First asset of the partition.
    pub first_asset: String,
    /// Assets in the partition.
    pub assets: u64,
    /// State of the unit, such as `ready` or `dead`.
    pub state: String,
    /// Epoch of its last execution, which fences earlier ones.
    pub epoch: u32,
    /// Attempts that failed.
    pub attempt: u32,
    /// Microseconds of its last execution.
    pub duration_us: Option<u64>,
}

/// A selection of units.
#[derive(Debug, Clone, Default)]
pub struct UnitFilter {
    /// In this state.
    pub state: Option<String>,
    /// Of this step.
    pub step: Option<String>,
    /// Only this partition.
    pub part: Option<PartNo>,
    /// Only units after this one, in the order of the list.
    pub after: Option<(PartNo, StepNo)>,
    /// Units at most.
    pub limit: u32,
}

/// Lists for people, computed in the database.
pub trait ViewTx {
    /// Jobs, newest first, older than `before`; only those in `state` when given.
    fn job_views(
        &mut self,
        state: Option<JobState>,
        before: Option<JobNo>,
        limit: u32,
    ) -> StoreResult<Vec<JobRow>>;
    /// Public ids of jobs that begin with a text, in their order.
    fn job_ids(&mut self, prefix: &str, limit: u32) -> StoreResult<Vec<String>>;
    /// Units of a job by partition and step, also those without a row.
    fn unit_views(&mut self, job: &str, filter: &UnitFilter) -> StoreResult<Vec<UnitView>>;
}

/// Facts that determine the state of units without a history.
#[derive(Clone, Copy)]
struct Outline {
    computed: bool,
    cursor: PartNo,
    ended: bool,
    counter: Option<StepRow>,
}

impl Outline {
    /// The state of a unit without a history.
    fn state(self, part: PartNo) -> UnitState {
        match self.computed {
            true if part <= self.cursor => UnitState::Leased,
            _ if self.ended => UnitState::Cancelled,
            true => UnitState::Ready,
            false => UnitState::Planned,
        }
    }

    /// Whether the counters exclude rows in this state. A search for such rows would walk over the whole job.
    fn has_no_rows(self, state: UnitState) -> bool {
        let count = |of: fn(&StepRow) -> u64| self.counter.is_some_and(|counter| of(&counter) == 0);
        match state {
            UnitState::Planned => false,
            UnitState::Ready | UnitState::Leased => count(|counter| counter.live),
            UnitState::Retrying => count(|counter| counter.retrying),
            UnitState::Succeeded => count(|counter| counter.succeeded),
            UnitState::Dead => count(|counter| counter.dead),
            UnitState::Cancelled => count(|counter| counter.cancelled),
        }
    }

    /// Whether the counters exclude units in this state that have no history. A job that has ended has no leased units.
    fn has_none_without_history(self, state: UnitState) -> bool {
        let Some(counter) = self.counter else {
            return false;
        };
        let known = counter.succeeded + counter.dead + counter.cancelled + counter.live;
        known >= counter.total || (state == UnitState::Leased && self.ended)
    }

    /// Partitions whose units without a history are in this state.
    fn without_history(self, state: UnitState, last: PartNo) -> Option<(PartNo, PartNo)> {
        match (state, self.computed) {
            (UnitState::Leased, true) => Some((1, self.cursor.min(last))),
            (UnitState::Cancelled, true) if self.ended => Some((self.cursor + 1, last)),
            (UnitState::Ready, true) if !self.ended => Some((self.cursor + 1, last)),
            (UnitState::Cancelled, false) if self.ended => Some((1, last)),
            (UnitState::Planned, false) if !self.ended => Some((1, last)),
            _ => None,
        }
    }
}

/// A step of a list, with what its units without a history are.
type ListedStep<'a> = (StepNo, &'a Step, Outline);

/// Units of a job by partition and step.
pub(crate) fn list<T>(tx: &mut T, job: &str, filter: &UnitFilter) -> StoreResult<Vec<UnitView>>
where
    T: JobTx + PartitionTx + StepTx + UnitTx + Candidates + Sql,
{
    let Some(row) = tx.job_by_id(job)? else {
        return Ok(Vec::new());
    };
    let state = filter.state.as_deref().map(UnitState::parse);
    if state == Some(None) {
        return Ok(Vec::new());
    }
    let (state, workflow, counters) = (state.flatten(), tx.workflow(row.no)?, tx.steps(row.no)?);
    let chosen = workflow.numbered().filter(|(_, step)| step.has_units());
    let chosen = chosen.filter(|(_, step)| filter.step.as_ref().is_none_or(|id| *id == step.id));
    let steps: Vec<ListedStep<'_>> = chosen
        .map(|(no, step)| {
            let counter = counters.iter().find(|counter| counter.step == no).copied();
            let cursor = counter.map_or(0, |counter| counter.cursor);
            (
                no,
                step,
                Outline {
                    computed: step.needs.is_empty(),
                    cursor,
                    ended: row.ended_at.is_some(),
                    counter,
                },
            )
        })
        .collect();
    let page = page_of(tx, &row, &steps, state, filter)?;
    let mut parts: Vec<PartNo> = page.iter().map(|(part, _)| *part).collect();
    parts.dedup();
    let partitions: BTreeMap<PartNo, Partition> = tx
        .partitions(row.no, &parts)?
        .into_iter()
        .map(|partition| (partition.part, partition))
        .collect();
    let mut views: BTreeMap<(PartNo, StepNo), UnitView> = BTreeMap::new();
    for (no, step, outline) in steps {
        let parts: Vec<PartNo> = page
            .iter()
            .filter(|(_, of)| *of == no)
            .map(|(part, _)| *part)
            .collect();
        for (part, unit) in parts.iter().zip(tx.units(row.no, no, &parts)?) {
            let Some(partition) = partitions.get(part) else {
                continue;
            };
            let view = view(&row.id, step, partition, unit, outline);
            if state.is_none_or(|state| view.state == state.as_str()) {
                views.insert((*part, no), view);
            }
        }
    }
    Ok(views.into_values().take(filter.limit as usize).collect())
}

/// The units on a page, in the order of the list.
fn page_of<T: PartitionTx + UnitTx + Candidates + Sql>(
    tx: &mut T,
    row: &JobRow,
    steps: &[ListedStep<'_>],
    state: Option<UnitState>,
    filter: &UnitFilter,
) -> StoreResult<Vec<(PartNo, StepNo)>> {
    let mut found: BTreeSet<(PartNo, StepNo)> = BTreeSet::new();
    for (no, _, outline) in steps {
        let parts = match (filter.part, state) {
            (Some(part), _) => tx
                .parts_from(row.no, part, 1)?
                .into_iter()
                .filter(|found| *found == part)
                .collect(),
            (None, None) => tx.parts_from(row.no, first_of(filter, *no), filter.limit)?,
            (None, Some(state)) => in_state(tx, row, *no, *outline, state, filter)?,
        };
        found.extend(
            parts
                .into_iter()
                .map(|part| (part, *no))
                .filter(|key| filter.after.is_none_or(|a| *key > a)),
        );
    }
    let page = if filter.part.is_some() {
        found.len()
    } else {
        filter.limit as usize
    };
    Ok(found.into_iter().take(page).collect())
}

fn view(
    job: &str,
    step: &Step,
    partition: &Partition,
    unit: Option<UnitRow>,
    outline: Outline,
) -> UnitView {
    let out = outline.computed && partition.part <= outline.cursor;
    UnitView {
        unit: format!("{job}/{}/{}", step.id, partition.part),
        step: step.id.clone(),
        kind: step.kind_word().to_owned(),
        part: partition.part,
        title: partition.title.clone(),
        first_asset: partition.first.clone(),
        assets: u64::from(partition.assets),
        state: unit
            .map_or_else(|| outline.state(partition.part), |unit| unit.state)
            .as_str()
            .to_owned(),
        epoch: unit.map_or(u32::from(out), |unit| unit.epoch),
        attempt: unit.map_or(0, |unit| unit.attempt),
        duration_us: unit.map(|unit| unit.duration_us),
    }
}

/// The first partition of a step on the page that starts after a unit.
fn first_of(filter: &UnitFilter, step: StepNo) -> PartNo {
    filter
        .after
        .map_or(0, |(part, last)| if step > last { part } else { part + 1 })
}

/// The first partitions of a step whose units are in a state.
fn in_state<T: UnitTx + Candidates + Sql>(
    tx: &mut T,
    job: &JobRow,
    step: StepNo,
    outline: Outline,
    state: UnitState,
    filter: &UnitFilter,
) -> StoreResult<Vec<PartNo>> {
    let (from, limit) = (first_of(filter, step), filter.limit);
    let mut found: BTreeSet<PartNo> = BTreeSet::new();
    if !outline.has_no_rows(state) {
        found.extend(tx.parts_in_state(job.no, step, state, from, limit)?);
    }
    if let Some((first, last)) = outline.without_history(state, job.parts)
        && first.max(from) <= last
        && !outline.has_none_without_history(state)
    {
        found.extend(parts_without_history(
            tx,
            job.no,
            step,
            (first.max(from), last),
            limit,
        )?);
    }
    let (mut next, mut more) = (
        from,
        state == UnitState::Succeeded && !outline.has_no_rows(state),
    );
    while more {
        let runs = tx.runs_from(job.no, step, next, RUNS)?;
        let parts: Vec<PartNo> = runs
            .iter()
            .flat_map(|(first, last)| (*first).max(next)..=*last)
            .take(limit as usize)
            .collect();
        let Some(last) = parts.last() else { break };
        let rows = tx.units(job.no, step, &parts)?;
        let fits = |row: &Option<UnitRow>| row.is_some_and(|row| row.state == UnitState::Succeeded);
        let fitting: Vec<PartNo> = parts
            .iter()
            .zip(&rows)
            .filter(|(_, row)| fits(row))
            .map(|(part, _)| *part)
            .collect();
        more = fitting.len() < parts.len() || parts.len() < limit as usize;
        next = last + 1;
        found.extend(fitting);
        more &= found.range(..next).count() < limit as usize;
    }
    Ok(found.into_iter().take(limit as usize).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outline(counter: StepRow, ended: bool) -> Outline {
        Outline {
            computed: true,
            cursor: 10,
            ended,
            counter: Some(counter),
        }
    }

    #[test]
    fn counters_exclude_only_what_they_count() {
        let counter = StepRow {
            step: StepNo(0),
            total: 10,
            succeeded: 4,
            dead: 2,
            cancelled: 0,
            live: 1,
            retrying: 0,
            cursor: 10,
            busy_us: 0,
            executions: 0,
        };
        let running = outline(counter, false);
        let excluded = |state| running.has_no_rows(state);
        assert_eq!(
            [UnitState::Cancelled, UnitState::Retrying].map(excluded),
            [true; 2]
        );
        let there = [
            UnitState::Succeeded,
            UnitState::Dead,
            UnitState::Ready,
            UnitState::Leased,
            UnitState::Planned,
        ];
        assert_eq!(there.map(excluded), [false; 5]);
        // Three of ten are in no counter: they are leased without a history.
        assert!(!running.has_none_without_history(UnitState::Leased));
        assert!(
            outline(counter, true).has_none_without_history(UnitState::Leased),
            "no unit is leased any more"
        );
        assert!(!outline(counter, true).has_none_without_history(UnitState::Cancelled));
        let all = StepRow {
            succeeded: 7,
            ..counter
        };
        assert!(outline(all, false).has_none_without_history(UnitState::Leased));
        let unknown = Outline {
            counter: None,
            ..running
        };
        assert!(
            !unknown.has_no_rows(UnitState::Dead)
                && !unknown.has_none_without_history(UnitState::Leased)
        );
    }
}
