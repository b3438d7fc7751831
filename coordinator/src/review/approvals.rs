//! Opens, keeps and closes the approval tasks of approval steps.
use super::history::{COORDINATOR, event};
use super::task_subjects::AssetToApprove;
use crate::graph::redrive::{RedriveScope, redrive_units};
use crate::graph::{ApprovalChanges, Change, Graph};
use crate::store::{JobRow, StoreResult, TaskEventRow, TaskRow, Tx};
use protocol::failure::Failure;
use protocol::id::{JobNo, PartNo, StepNo, UnitId};
use protocol::media::asset::Asset;
use protocol::rules::review::task::{TaskKind, TaskState};
use protocol::rules::unit::transition::UnitState;
use protocol::time::Timestamp;
use protocol::workflow::{Action, Workflow};
use std::collections::{HashMap, HashSet};

/// The subject of an approval task: the unit that waits.
pub fn subject(unit: UnitId) -> String {
    format!("{}/{}/{}", unit.job.0, unit.step.0, unit.part)
}

/// Applies changes of one step in the graph, and opens and closes the approval tasks that follow from them.
pub fn apply(graph: &mut Graph<'_>, step: StepNo, changes: &[Change]) -> StoreResult<()> {
    let approvals = graph.apply(step, changes)?;
    sync_tasks(graph, &approvals)
}

/// Opens and closes the tasks that follow from transitions of approval units.
pub fn sync_tasks(graph: &mut Graph<'_>, approvals: &ApprovalChanges) -> StoreResult<()> {
    for (step, changes) in approvals.steps() {
        sync_step(
            graph.tx,
            graph.job,
            graph.workflow,
            (step, changes),
            graph.now,
        )?;
    }
    Ok(())
}

/// Redrives units of one job and opens the approval tasks of those that wait for a person again. Returns how many units
/// were redriven.
pub fn redrive(
    tx: &mut dyn Tx,
    workflow: &Workflow,
    job: &mut JobRow,
    units: &[(UnitId, Vec<(String, Failure)>)],
    scope: RedriveScope,
    now: Timestamp,
) -> StoreResult<u64> {
    let redriven = redrive_units(tx, workflow, job, units, scope, now)?;
    for (step, changes) in redriven.approvals.steps() {
        sync_step(tx, job.no, workflow, (step, changes), now)?;
    }
    Ok(redriven.units)
}

/// Opens a task for each unit of an approval step that became ready, and closes the task of one that is taken back or
/// cancelled. A person's decision ends its task before the unit changes.
pub fn sync_step(
    tx: &mut dyn Tx,
    job: JobNo,
    workflow: &Workflow,
    (no, changes): (StepNo, &[Change]),
    now: Timestamp,
) -> StoreResult<()> {
    let Some(step) = workflow.step(no) else {
        return Ok(());
    };
    let Action::Approval { role, .. } = &step.action else {
        return Ok(());
    };
    let (ready, left): (Vec<&Change>, Vec<&Change>) = changes
        .iter()
        .partition(|change| change.to.state == UnitState::Ready);
    let unit = |change: &Change| UnitId::new(job, no, change.part);
    let left: Vec<UnitId> = left.into_iter().map(unit).collect();
    close_tasks(tx, &left, now)?;
    let units = without_task(tx, ready.into_iter().map(unit).collect())?;
    if units.is_empty() {
        return Ok(());
    }
    let deadline = tx.job(job)?.and_then(|row| row.deadline);
    let due_at = step
        .due_us
        .map(|us| Timestamp(now.0.saturating_add(us)))
        .or(deadline);
    open_tasks(tx, &units, (&step.id, role), due_at, now)
}

/// Closes the tasks of units that wait for no approval any more.
fn close_tasks(tx: &mut dyn Tx, units: &[UnitId], now: Timestamp) -> StoreResult<()> {
    let subjects: Vec<String> = units.iter().copied().map(subject).collect();
    let closed = tx.pending_tasks(TaskKind::Approval, &subjects)?;
    tx.end_tasks(&closed, TaskState::Closed, now)?;
    let because = "the unit does not wait any more";
    let events: Vec<TaskEventRow> = closed
        .iter()
        .map(|task| event(task, (COORDINATOR, "closed", because), now))
        .collect();
    tx.insert_task_events(&events)
}

/// The units that no open task asks about.
fn without_task(tx: &mut dyn Tx, units: Vec<UnitId>) -> StoreResult<Vec<UnitId>> {
    let subjects: Vec<String> = units.iter().copied().map(subject).collect();
    let asked = tx.pending_tasks(TaskKind::Approval, &subjects)?;
    let asked: HashSet<String> = asked.into_iter().map(|task| task.subject).collect();
    let open = units.into_iter().zip(subjects);
    Ok(open
        .filter(|(_, subject)| !asked.contains(subject))
        .map(|(unit, _)| unit)
        .collect())
}

/// Opens a task for each unit of an approval step of one job.
fn open_tasks(
    tx: &mut dyn Tx,
    units: &[UnitId],
    (step, role): (&str, &str),
    due_at: Option<Timestamp>,
    now: Timestamp,
) -> StoreResult<()> {
    let Some(job) = units.first().map(|unit| unit.job) else {
        return Ok(());
    };
    let parts: Vec<PartNo> = units.iter().map(|unit| unit.part).collect();
    let partitions = tx.partitions(job, &parts)?;
    let members = tx.members(job, &partitions)?;
    let ids: Vec<&str> = members
        .iter()
        .flatten()
        .map(|asset| asset.id.as_str())
        .collect();
    let known: HashMap<String, String> = tx.catalogue_hashes(&ids)?.into_iter().collect();
    let mut tasks: Vec<TaskRow> = Vec::with_capacity(units.len());
    for (unit, assets) in units.iter().zip(&members) {
        tasks.push(TaskRow {
            opened_at: now,
            due_at,
            ..asked_about(*unit, step, role, assets, &known)
        });
    }
    let numbers = tx.open_tasks(&tasks)?;
    for (task, number) in tasks.iter_mut().zip(numbers) {
        task.no = number;
    }
    let events: Vec<TaskEventRow> = tasks
        .iter()
        .map(|task| event(task, (COORDINATOR, "opened", &task.message), now))
        .collect();
    tx.insert_task_events(&events)
}

fn to_approve((asset, hash): &(&str, Option<String>)) -> AssetToApprove {
    AssetToApprove {
        asset: (*asset).to_owned(),
        hash: hash.clone(),
    }
}

/// An approval is about bytes: the assets of the unit with the hashes they are known to have.
fn asked_about(
    unit: UnitId,
    step: &str,
    role: &str,
    assets: &[Asset],
    known: &HashMap<String, String>,
) -> TaskRow {
    let hash = |asset: &Asset| known.get(&asset.id).cloned().or_else(|| asset.hash.clone());
    let hashes: Vec<(&str, Option<String>)> = assets
        .iter()
        .map(|asset| (asset.id.as_str(), hash(asset)))
        .collect();
    let first = assets.first();
    let whole = match assets {
        [one] => format!("{} waits for approval {step}", one.id),
        _ => format!("{} assets wait for approval {step}", assets.len()),
    };
    TaskRow {
        no: 0,
        kind: TaskKind::Approval,
        state: TaskState::Open,
        subject: subject(unit),
        unit,
        asset: first.map(|asset| asset.id.clone()).unwrap_or_default(),
        title: first.map(|asset| asset.title.clone()).unwrap_or_default(),
        supplier: None,
        policy: role.to_owned(),
        digest: String::new(),
        hash: if let [(_, Some(hash))] = hashes.as_slice() {
            hash.clone()
        } else {
            String::new()
        },
        checks: Vec::new(),
        findings: serde_json::to_string(&hashes.iter().map(to_approve).collect::<Vec<_>>()).ok(),
        message: format!("{whole}, as {role}"),
        round: 1,
        opened_at: Timestamp(0),
        due_at: None,
        ended_at: None,
    }
}
