//! Hands out ready units: as many as there is room for, later steps before earlier ones, so that what was begun ends
//! before more is begun. Order, pause and cancel are decided here, at the last moment.
use super::Workflows;
use crate::store::{JobRow, JobState, Partition, Phase, StepRow, StoreResult, Tx, UnitRow};
use protocol::id::{JobNo, Kind, PartNo, StepNo, UnitId};
use protocol::media::asset::Asset;
use protocol::media::template;
use protocol::rules::lifecycle::UnitState;
use protocol::wire::unit::{ScanTask, TaskSpec, Unit};
use protocol::workflow::{Action, Step, Workflow};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Units that may be handed out now, by kind.
pub type Rooms = BTreeMap<Kind, u32>;

/// Claims units of one job, at most `rooms` of each kind, and takes them off `rooms`. The claim is durable before anything
/// is published.
pub fn claim(tx: &mut dyn Tx, workflows: &Workflows, job: JobNo, rooms: &mut Rooms) -> StoreResult<Vec<Unit>> {
    let Some(row) = tx.job(job)? else { return Ok(Vec::new()) };
    if row.state != JobState::Running {
        return Ok(Vec::new());
    }
    let workflow = workflows.of(tx, job)?;
    let counters = tx.steps(job)?;
    let mut units = Vec::new();
    for (no, step) in workflow.numbered().collect::<Vec<_>>().into_iter().rev() {
        let Some(kind) = step.kind() else { continue };
        let room = rooms.get(&kind).copied().unwrap_or(0);
        let counter = counters.iter().find(|c| c.step == no);
        let Some(counter) = counter.filter(|_| room > 0) else { continue };
        let claimed = claim_step(tx, &row, &workflow, no, step, counter, room)?;
        rooms.insert(kind, room.saturating_sub(claimed.len() as u32));
        units.extend(claimed);
    }
    Ok(units)
}

fn claim_step(
    tx: &mut dyn Tx,
    job: &JobRow,
    workflow: &Workflow,
    no: StepNo,
    step: &Step,
    counter: &StepRow,
    room: u32,
) -> StoreResult<Vec<Unit>> {
    let mut out: Vec<(Partition, UnitRow)> = Vec::new();
    if counter.live > 0 {
        let ready = tx.ready_units(job.no, no, room)?;
        let leased: Vec<(PartNo, UnitRow)> = ready
            .into_iter()
            .map(|(part, row)| (part, UnitRow { state: UnitState::Leased, epoch: row.epoch + 1, ..row }))
            .collect();
        tx.put_units(job.no, no, &leased)?;
        if matches!(step.action, Action::Seal { .. }) {
            return Ok(leased
                .iter()
                .map(|(part, row)| unit(job, workflow, no, step, *part, row, Vec::new()))
                .collect());
        }
        let parts: Vec<PartNo> = leased.iter().map(|(part, _)| *part).collect();
        out.extend(tx.partitions(job.no, &parts)?.into_iter().zip(leased.into_iter().map(|(_, row)| row)));
    }
    let left = room.saturating_sub(out.len() as u32);
    let computed = step.needs.is_empty() && step.has_units();
    if computed && left > 0 && counter.cursor < job.parts_planned {
        let fresh = tx.partitions_after(job.no, counter.cursor, left)?;
        if let Some(last) = fresh.last() {
            tx.set_cursor(job.no, no, last.part)?;
        }
        let first = UnitRow { state: UnitState::Leased, epoch: 1, attempt: 0, due_at: None, duration_us: 0 };
        out.extend(fresh.into_iter().map(|partition| (partition, first)));
    }
    let partitions: Vec<Partition> = out.iter().map(|(partition, _)| partition.clone()).collect();
    let members = tx.members(job.no, &partitions)?;
    let with_assets = out.into_iter().zip(members);
    Ok(with_assets
        .map(|((partition, row), assets)| unit(job, workflow, no, step, partition.part, &row, assets))
        .collect())
}

fn unit(
    job: &JobRow,
    workflow: &Workflow,
    no: StepNo,
    step: &Step,
    part: PartNo,
    row: &UnitRow,
    mut assets: Vec<Asset>,
) -> Unit {
    let (kind, task, reads) = match &step.action {
        Action::Units { kind, task, reads } => (*kind, task, *reads),
        Action::Seal { task, .. } => (Kind::Transfer, task, None),
        // A barrier has no kind, so none of it is ever claimed.
        Action::Barrier { .. } => (Kind::Noop, &workflow.scan, None),
    };
    if let Some(target) = reads.and_then(|no| target_of(workflow, no)) {
        for asset in &mut assets {
            // An asset whose target cannot be expanded failed in the transfer and does not get here.
            if let Ok(copy) = template::expand(target, asset) {
                asset.location = copy;
            }
        }
    }
    Unit {
        id: UnitId { job: job.no, step: no, part },
        epoch: row.epoch,
        attempt: row.attempt,
        kind,
        task: Arc::clone(task),
        assets,
        deadline: workflow.deadline,
    }
}

fn target_of(workflow: &Workflow, no: StepNo) -> Option<&str> {
    match workflow.step(no).map(|s| &s.action) {
        Some(Action::Units { task, .. }) => match task.as_ref() {
            TaskSpec::Transfer(transfer) => Some(&transfer.to),
            TaskSpec::Scan(_) | TaskSpec::Qc(_) | TaskSpec::Noop(_) | TaskSpec::Seal(_) => None,
        },
        _ => None,
    }
}

/// Claims the scan of a job whose library is not listed yet, under a new epoch, from where it was interrupted.
pub fn claim_scan(tx: &mut dyn Tx, workflows: &Workflows, job: JobNo) -> StoreResult<Option<Unit>> {
    let Some(mut row) = tx.job(job)? else { return Ok(None) };
    if row.state != JobState::Running || row.phase != Phase::Scanning {
        return Ok(None);
    }
    let workflow = workflows.of(tx, job)?;
    let Some(task) = workflow.scan_task() else { return Ok(None) };
    row.scan_epoch += 1;
    tx.update_job(&row)?;
    let resume = (row.scan.page > 0).then_some(row.scan);
    let task = ScanTask { resume, ..task.clone() };
    Ok(Some(Unit {
        id: UnitId { job, step: StepNo::SCAN, part: 0 },
        epoch: row.scan_epoch,
        attempt: row.scan_attempt,
        kind: Kind::Scan,
        task: Arc::new(TaskSpec::Scan(task)),
        assets: Vec::new(),
        deadline: workflow.deadline,
    }))
}
