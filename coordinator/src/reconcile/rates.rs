//! Persists the transfer rates of jobs, so that every process can answer queries about them.
use crate::store::{Pace, StoreResult, Tx};
use crate::workflows::Workflows;
use protocol::id::{JobNo, PartNo, StepNo};

/// Replaces the rates in the store. The steps of units are given by number; names and sizes are filled in here.
pub fn put(tx: &mut dyn Tx, workflows: &Workflows, paces: Vec<(JobNo, Pace, Vec<StepNo>)>) -> StoreResult<()> {
    let mut rows = Vec::with_capacity(paces.len());
    for (job, mut pace, steps) in paces {
        if tx.job(job)?.is_none_or(|row| row.state.has_ended()) {
            continue;
        }
        let Some(workflow) = workflows.readable(tx, job)? else { continue };
        // What a step does once for the whole job has no partition.
        let parts: Vec<PartNo> = pace.units.iter().map(|unit| unit.part).filter(|part| *part > 0).collect();
        let partitions = tx.partitions(job, &parts)?;
        for (unit, step) in pace.units.iter_mut().zip(steps) {
            unit.step = workflow.step(step).map(|step| step.id.clone()).unwrap_or_default();
            let partition = partitions.iter().find(|partition| partition.part == unit.part);
            unit.total = partition.map(|partition| partition.bytes).filter(|bytes| *bytes > 0);
        }
        rows.push((job, pace));
    }
    tx.put_paces(&rows)
}
