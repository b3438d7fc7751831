//! The scan of a job: the unit that lists its library, published from the row of the job.
use crate::store::{JobRow, JobState, Phase, StoreResult, Tx};
use crate::workflows::Workflows;
use protocol::id::{JobNo, Kind, StepNo, UnitId};
use protocol::wire::step::scan::{ScanSource, ScanTask};
use protocol::wire::unit::Unit;
use protocol::workflow::Workflow;
use std::sync::Arc;

/// Claims the scan of a job whose library is not listed yet, under a new epoch, from where it was interrupted.
pub fn claim_scan(tx: &mut dyn Tx, workflows: &Workflows, job: JobNo) -> StoreResult<Option<Unit>> {
    let Some(mut row) = tx.job(job)? else {
        return Ok(None);
    };
    if row.state != JobState::Running || row.phase != Phase::Scanning {
        return Ok(None);
    }
    let workflow = workflows.of(tx, job)?;
    let Some(task) = workflow.scan_task() else {
        return Ok(None);
    };
    row.scan_epoch += 1;
    tx.update_job(&row)?;
    Ok(Some(scan_of(&row, &workflow, task)))
}

/// The scan of a job that is out under the epoch of its row; nothing when none was handed out yet or the library is listed.
pub(super) fn scan_out(workflow: &Workflow, row: &JobRow) -> Option<Unit> {
    let task = workflow
        .scan_task()
        .filter(|_| row.phase == Phase::Scanning && row.scan_epoch > 0)?;
    Some(scan_of(row, workflow, task))
}

/// A scan under the epoch of the job row, from where it was interrupted.
fn scan_of(row: &JobRow, workflow: &Workflow, task: &ScanTask) -> Unit {
    let resume = (row.scan.page > 0).then_some(row.scan);
    let mut task = ScanTask {
        resume,
        ..task.clone()
    };
    if let ScanSource::Bucket { after, .. } = &mut task.source {
        after.clone_from(&row.scan_after);
    }
    Unit {
        id: scan_unit(row.no),
        epoch: row.scan_epoch,
        attempt: row.scan_attempt,
        kind: Kind::Scan,
        task: Arc::new(workflow.scan.with_scan(task)),
        assets: Vec::new(),
        deadline: row.deadline,
    }
}

/// The unit that lists a job's library.
pub fn scan_unit(job: JobNo) -> UnitId {
    UnitId::new(job, StepNo::SCAN, 0)
}
