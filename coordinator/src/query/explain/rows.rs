//! Rejected rows of a library as reasons why a barrier is held.
use crate::graph::barrier_key;
use crate::query::explain::NAMED_MAX;
use crate::query::explain::unit::UnitExplanation;
use crate::query::rejected_rows::library_name;
use crate::store::{BarrierRow, BarrierState, JobRow, RowsOf, StoreResult, Tx};
use crate::workflows::Workflows;
use protocol::id::{PartNo, StepNo};
use protocol::model::barrier::Scope;
use protocol::rules::unit::transition::UnitState;
use protocol::wire::report::RowError;
use protocol::workflow::{Action, Workflow};

/// The rows that a barrier instance counts as failed members.
pub(super) fn of_barrier(
    tx: &mut dyn Tx,
    workflow: &Workflow,
    job: &JobRow,
    barrier: &BarrierRow,
) -> StoreResult<Vec<RowError>> {
    if job.row_errors == 0 {
        return Ok(Vec::new());
    }
    let of = match workflow.step(barrier.step).map(|step| &step.action) {
        Some(Action::Barrier {
            scope: Scope::Title,
            ..
        }) => RowsOf::Title(&barrier.key),
        Some(Action::Barrier {
            scope: Scope::Batch,
            ..
        }) => RowsOf::Parts(barrier.first, barrier.last.max(barrier.first)),
        _ => RowsOf::Job,
    };
    tx.counted_rows(job.no, of, NAMED_MAX)
}

/// A row in one line.
pub(super) fn line(workflow: &Workflow, row: &RowError) -> String {
    let asset = row.asset.as_deref().unwrap_or("unnamed");
    format!(
        "scan {asset}: {} line {} cannot be used: {}",
        library_name(workflow),
        row.line,
        row.message
    )
}

/// The next step for rows that cannot be used.
pub(super) fn next(workflow: &Workflow, rows: &[RowError]) -> String {
    let lines: Vec<String> = rows.iter().map(|row| row.line.to_string()).collect();
    let (many, library) = (
        if rows.len() == 1 { "" } else { "s" },
        library_name(workflow),
    );
    format!(
        "a retry does not mend a row: correct line{many} {} of {library} and submit it as another job",
        lines.join(", ")
    )
}

/// Adds to the explanation of a unit behind a held barrier which rows hold it, also once the job has ended.
pub(super) fn add(
    tx: &mut dyn Tx,
    workflows: &Workflows,
    job: &JobRow,
    (step, part): (StepNo, PartNo),
    explanation: &mut UnitExplanation,
) -> StoreResult<()> {
    if explanation.state == UnitState::Succeeded.as_str()
        || job.row_errors == 0
        || !(1..=job.parts).contains(&part)
    {
        return Ok(());
    }
    let workflow = workflows.of(tx, job.no)?;
    let needs = workflow
        .step(step)
        .map(|step| step.needs.clone())
        .unwrap_or_default();
    let partition = tx.partitions(job.no, &[part])?.remove(0);
    for need in needs {
        let key = barrier_key(&workflow, need, &partition);
        let Some(barrier) = tx
            .barrier(job.no, need, &key)?
            .filter(|row| row.state == BarrierState::Held)
        else {
            continue;
        };
        let rows = of_barrier(tx, &workflow, job, &barrier)?;
        if let Some(first) = rows.first() {
            explanation.message = format!("{}; {}", explanation.message, line(&workflow, first));
            explanation.next = format!("{}; {}", next(&workflow, &rows), explanation.next);
        }
    }
    Ok(())
}
