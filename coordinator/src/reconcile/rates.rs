//! Persists the transfer rates of jobs, so that every process can answer queries about them.
use crate::store::{StoreResult, TransferRate, Tx};
use crate::workflows::Workflows;
use protocol::id::{JobNo, PartNo, StepNo};

/// Replaces the rates in the store. The steps of units are given by number; names and sizes are filled in here.
pub fn put(
    tx: &mut dyn Tx,
    workflows: &Workflows,
    by_job: Vec<(JobNo, TransferRate, Vec<StepNo>)>,
) -> StoreResult<()> {
    let mut rows = Vec::with_capacity(by_job.len());
    for (job, rate, steps) in by_job {
        let named = workflows.for_job(tx, job, |tx| name_units(tx, workflows, job, rate, steps))?;
        rows.extend(named.flatten().map(|rate| (job, rate)));
    }
    tx.put_rates(&rows)
}

/// Fills names and sizes in; nothing for a job that has ended or cannot be read.
fn name_units(
    tx: &mut dyn Tx,
    workflows: &Workflows,
    job: JobNo,
    mut rate: TransferRate,
    steps: Vec<StepNo>,
) -> StoreResult<Option<TransferRate>> {
    let found = workflows
        .job(tx, job)?
        .filter(|(row, _)| !row.state.has_ended());
    let Some((_, workflow)) = found else {
        return Ok(None);
    };
    // What a step does once for the whole job has no partition.
    let parts: Vec<PartNo> = rate
        .units
        .iter()
        .map(|unit| unit.part)
        .filter(|part| *part > 0)
        .collect();
    let partitions = tx.partitions(job, &parts)?;
    for (unit, step) in rate.units.iter_mut().zip(steps) {
        unit.step = workflow
            .step(step)
            .map(|step| step.id.clone())
            .unwrap_or_default();
        let partition = partitions
            .iter()
            .find(|partition| partition.part == unit.part);
        unit.total = partition
            .map(|partition| partition.bytes)
            .filter(|bytes| *bytes > 0);
    }
    Ok(Some(rate))
}
