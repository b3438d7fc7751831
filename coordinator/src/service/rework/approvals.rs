//! Approval steps: whom a unit must wait for, and the task that says so.
use super::tasks::COORDINATOR;
use crate::service::graph::Change;
use crate::store::{StoreResult, TaskEventRow, TaskRow, Tx};
use protocol::id::{JobNo, PartNo, StepNo, UnitId};
use protocol::media::asset::Asset;
use protocol::rules::review::approval::Condition;
use protocol::rules::review::task::{TaskKind, TaskState};
use protocol::rules::unit::transition::UnitState;
use protocol::time::Timestamp;
use protocol::workflow::{Action, Step};
use serde_json::json;
use std::collections::{HashMap, HashSet};

/// What a task of an approval is about: the unit that waits.
pub fn subject(unit: UnitId) -> String {
    format!("{}/{}/{}", unit.job.0, unit.step.0, unit.part)
}

/// The partitions of these that nobody has to approve: none of their assets is asked about.
pub fn unasked(tx: &mut dyn Tx, job: JobNo, step: &Step, parts: &[PartNo]) -> StoreResult<Vec<PartNo>> {
    let Action::Approval { when: Some(when), .. } = &step.action else { return Ok(Vec::new()) };
    // A condition that cannot be read asks about everything: it was checked when the job was compiled.
    let Ok(condition) = Condition::parse(when) else { return Ok(Vec::new()) };
    let partitions = tx.partitions(job, parts)?;
    let members = tx.members(job, &partitions)?;
    let nobody = |(_, assets): &(&PartNo, Vec<Asset>)| !assets.iter().any(|asset| condition.holds(asset));
    Ok(parts.iter().zip(members).filter(nobody).map(|(part, _)| *part).collect())
}

/// Keeps the tasks of an approval step in step with its units: one that becomes ready asks, one that is taken back or
/// cancelled asks no more. What a person decided has ended its task before.
pub fn follow(
    tx: &mut dyn Tx,
    (job, no, step): (JobNo, StepNo, &Step),
    changes: &[Change],
    now: Timestamp,
) -> StoreResult<()> {
    let Action::Approval { role, .. } = &step.action else { return Ok(()) };
    let of = |change: &Change| subject(UnitId { job, step: no, part: change.part });
    let left: Vec<String> = changes.iter().filter(|c| c.to.state != UnitState::Ready).map(of).collect();
    let closed = tx.pending_tasks(TaskKind::Approval, &left)?;
    tx.end_tasks(&closed, TaskState::Closed, now)?;
    let because = "the unit does not wait any more";
    let events: Vec<TaskEventRow> = closed.iter().map(|task| event(task, "closed", because, now)).collect();
    tx.insert_task_events(&events)?;
    let asking: Vec<&Change> = changes.iter().filter(|c| c.to.state == UnitState::Ready).collect();
    let subjects: Vec<String> = asking.iter().map(|c| of(c)).collect();
    let asked = tx.pending_tasks(TaskKind::Approval, &subjects)?;
    let asked: HashSet<String> = asked.into_iter().map(|task| task.subject).collect();
    let parts: Vec<PartNo> = asking.iter().filter(|c| !asked.contains(&of(c))).map(|c| c.part).collect();
    if parts.is_empty() {
        return Ok(());
    }
    let deadline = tx.job(job)?.and_then(|row| row.deadline);
    let due_at = step.due_us.map(|us| Timestamp(now.0.saturating_add(us))).or(deadline);
    let partitions = tx.partitions(job, &parts)?;
    let members = tx.members(job, &partitions)?;
    let ids: Vec<&str> = members.iter().flatten().map(|asset| asset.id.as_str()).collect();
    let known: HashMap<String, String> = tx.catalogue_hashes(&ids)?.into_iter().collect();
    let mut tasks: Vec<TaskRow> = Vec::with_capacity(parts.len());
    for (part, assets) in parts.iter().zip(&members) {
        let unit = UnitId { job, step: no, part: *part };
        tasks.push(TaskRow { opened_at: now, due_at, ..asked_about(unit, &step.id, role, assets, &known) });
    }
    let numbers = tx.open_tasks(&tasks)?;
    for (task, number) in tasks.iter_mut().zip(numbers) {
        task.no = number;
    }
    let events: Vec<TaskEventRow> = tasks.iter().map(|task| event(task, "opened", &task.message, now)).collect();
    tx.insert_task_events(&events)
}

fn event(task: &TaskRow, event: &str, reason: &str, now: Timestamp) -> TaskEventRow {
    TaskEventRow {
        task: task.no,
        at: now,
        actor: COORDINATOR.to_owned(),
        event: event.to_owned(),
        reason: reason.to_owned(),
        hash: task.hash.clone(),
    }
}

/// An approval is about bytes: the assets of the unit with the hashes they are known to have.
fn asked_about(unit: UnitId, step: &str, role: &str, assets: &[Asset], known: &HashMap<String, String>) -> TaskRow {
    let hash = |asset: &Asset| known.get(&asset.id).cloned().or_else(|| asset.hash.clone());
    let hashes: Vec<(&str, Option<String>)> = assets.iter().map(|asset| (asset.id.as_str(), hash(asset))).collect();
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
        hash: if let [(_, Some(hash))] = hashes.as_slice() { hash.clone() } else { String::new() },
        checks: Vec::new(),
        findings: Some(
            json!(hashes.iter().map(|(asset, hash)| json!({"asset": asset, "hash": hash})).collect::<Vec<_>>())
                .to_string(),
        ),
        message: format!("{whole}, as {role}"),
        round: 1,
        opened_at: Timestamp(0),
        due_at: None,
        ended_at: None,
    }
}
