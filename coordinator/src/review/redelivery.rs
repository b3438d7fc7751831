//! Redelivers an asset to other jobs: their listing gets the new bytes, and their dead units run again.
use crate::audit::{AuditContext, record};
use crate::graph::redrive::RedriveScope;
use crate::review::approvals;
use crate::review::history::COORDINATOR;
use crate::rows::unit_row;
use crate::store::{AssetCorrection, JobState, StoreResult, Tx};
use crate::workflows::Workflows;
use protocol::id::{JobNo, UnitId};
use protocol::rules::unit::transition::UnitState;
use protocol::time::Timestamp;

/// Corrects the listing of a job and redrives those of its units that died of the asset. Returns how many. A cancelled job
/// stays cancelled.
pub(crate) fn redeliver(
    tx: &mut dyn Tx,
    workflows: &Workflows,
    job: JobNo,
    units: &[UnitId],
    correction: &AssetCorrection,
    why: &str,
    now: Timestamp,
) -> StoreResult<u64> {
    // Where this job cannot be read, it is set aside, not the one that is being settled.
    let done = workflows.for_job(tx, job, |tx| {
        redeliver_to(tx, workflows, job, units, correction, why, now)
    })?;
    Ok(done.unwrap_or(0))
}

fn redeliver_to(
    tx: &mut dyn Tx,
    workflows: &Workflows,
    job: JobNo,
    units: &[UnitId],
    correction: &AssetCorrection,
    why: &str,
    now: Timestamp,
) -> StoreResult<u64> {
    let Some((mut row, workflow)) = workflows.job(tx, job)? else {
        return Ok(0);
    };
    if matches!(
        row.state,
        JobState::Cancelled | JobState::Cancelling | JobState::Failed
    ) {
        return Ok(0);
    }
    let mut dead = Vec::new();
    for unit in units {
        let state = unit_row(tx, UnitId::new(job, unit.step, unit.part))?.map(|row| row.state);
        if state != Some(UnitState::Dead) {
            continue;
        }
        let failures = tx.failures_of(*unit)?;
        if failures.iter().any(|(asset, _)| *asset == correction.asset) {
            dead.push((*unit, failures));
        }
    }
    if dead.is_empty() {
        return Ok(0);
    }
    tx.correct_assets(job, std::slice::from_ref(correction))?;
    let done = approvals::redrive(
        tx,
        &workflow,
        &mut row,
        &dead,
        RedriveScope::FromSource,
        now,
    )?;
    let audit = AuditContext {
        actor: COORDINATOR.to_owned(),
        reason: why.to_owned(),
        dry_run: false,
    };
    record(tx, &audit, "redeliver", Some(job), done, now)?;
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::Sqlite;
    use crate::store::testing::job;
    use crate::store::{StoreError, UnitRow};
    use protocol::failure::Failure;
    use protocol::id::StepNo;

    #[test]
    fn redelivery_to_an_unreadable_job_sets_that_job_aside() {
        let dir = tempfile::tempdir().expect("temp dir");
        let mut store = Sqlite::open(&dir.path().join("x.db")).expect("opens");
        let unit = UnitId::new(JobNo(1), StepNo(0), 1);
        let dead = UnitRow {
            state: UnitState::Dead,
            epoch: 1,
            attempt: 1,
            due_at: None,
            duration_us: 0,
        };
        let prepared = store.write(|tx| {
            let tx: &mut dyn Tx = tx;
            tx.insert_job(&job("odd"))?;
            tx.put_units(unit.job, unit.step, &[(1, dead)])?;
            tx.put_failures(
                unit,
                &[("a".into(), Failure::permanent("qc", "it is black"))],
            )
        });
        prepared.expect("commits");
        store
            .connection()
            .execute("UPDATE unit SET epoch = -1", [])
            .expect("is damaged");
        let correction = AssetCorrection {
            asset: "a".into(),
            location: None,
            hash: None,
            bytes: None,
        };
        let workflows = Workflows::default();
        let mut again = || {
            store.write(|tx| {
                redeliver(
                    tx,
                    &workflows,
                    unit.job,
                    &[unit],
                    &correction,
                    "anew",
                    Timestamp(1),
                )
            })
        };
        assert!(
            matches!(again(), Err(StoreError::JobAside { no: 1, .. })),
            "the job that is settled is not blamed"
        );
        assert!(
            matches!(again(), Ok(0)),
            "the transaction is repeated without it"
        );
    }
}
