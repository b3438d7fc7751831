//! Records tombstones of purged content. A removal is a fact: it is recorded under any epoch, and also when the unit, the job
//! or the lease is gone meanwhile.
use crate::store::{StoreError, StoreResult, TombstoneRow, Tx};
use crate::workflows::Workflows;
use protocol::id::UnitId;
use protocol::model::purge_proof::PurgeProof;
use protocol::time::Timestamp;
use protocol::wire::report::Burial;
use protocol::wire::step::TaskSpec;
use protocol::wire::step::purge::PurgeTask;
use protocol::workflow::Action;

/// Records the removals of one execution.
pub fn record_tombstones(
    tx: &mut dyn Tx,
    workflows: &Workflows,
    unit: UnitId,
    burials: Vec<Burial>,
    now: Timestamp,
) -> StoreResult<()> {
    // A removal is kept although its job cannot be read.
    let job = match tx.job(unit.job) {
        Err(StoreError::Corrupt(_)) => None,
        job => job?,
    };
    let (mut step, mut order) = (unit.step.0.to_string(), (String::new(), String::new()));
    if job.is_some() {
        let workflow = workflows.readable(tx, unit.job)?;
        if let Some(declared) = workflow
            .as_ref()
            .and_then(|workflow| workflow.step(unit.step))
        {
            step.clone_from(&declared.id);
            if let Action::Units { task, .. } = &declared.action
                && let TaskSpec::Purge(PurgeTask {
                    ordered_by, reason, ..
                }) = task.as_ref()
            {
                order = (ordered_by.clone(), reason.clone());
            }
        }
    }
    let job = job.map_or_else(|| format!("#{}", unit.job.0), |row| row.id);
    let rows = burials.into_iter().map(|burial| TombstoneRow {
        asset: burial.asset,
        location: burial.location,
        job: job.clone(),
        step: step.clone(),
        version: burial.version,
        bytes: burial.bytes,
        hash: burial.hash,
        copy: burial.copy,
        proof: proof(burial.proof).to_owned(),
        ordered_by: order.0.clone(),
        reason: order.1.clone(),
        found_gone: burial.found_gone,
        dry_run: burial.dry_run,
        at: now,
    });
    tx.put_tombstones(&rows.collect::<Vec<_>>())
}

fn proof(proof: PurgeProof) -> &'static str {
    match proof {
        PurgeProof::Content => "content",
        PurgeProof::Checksum => "checksum",
    }
}
