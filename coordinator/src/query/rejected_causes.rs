//! Rows of libraries that cannot be used, grouped by the cause as dead units are.
use crate::query::rejected_rows::{failure, library_name};
use crate::store::{CauseRow, JobRow, StoreError, StoreResult, Tx};
use crate::workflows::Workflows;
use protocol::id::StepNo;
use protocol::rules::unit::fingerprint::fingerprint;
use protocol::wire::report::RowError;
use std::collections::{BTreeMap, BTreeSet};

/// The step of such rows in lists, in the form `step (kind)`.
pub(super) const SCAN_STEP: &str = "scan (scan)";
/// Jobs that are looked at, newest first.
const JOBS_MAX: u32 = 100;
/// Rows looked at for one answer.
const ROWS_MAX: u32 = 20_000;

/// Rows with one mistake.
pub(super) struct RejectedCause {
    /// The cause, without units.
    pub(super) row: CauseRow,
    /// Public ids of the jobs with such rows.
    pub(super) jobs: BTreeSet<String>,
}

/// Causes of the rows of one job, or of the newest jobs, that cannot be used.
pub(super) fn rejected_causes(
    tx: &mut dyn Tx,
    workflows: &Workflows,
    job: Option<&JobRow>,
) -> StoreResult<Vec<RejectedCause>> {
    let mut causes: BTreeMap<String, RejectedCause> = BTreeMap::new();
    walk(tx, workflows, job, &mut |job, _, row| {
        let failure = failure(row);
        let cause = fingerprint(&failure);
        let at = job.submitted_at;
        let known = causes
            .entry(cause.clone())
            .or_insert_with(|| RejectedCause {
                row: CauseRow {
                    cause,
                    job: job.no,
                    step: StepNo::SCAN,
                    reason: failure.reason,
                    class: failure.class.as_str().to_owned(),
                    example: failure.message,
                    units: 0,
                    assets: 0,
                    first_at: at,
                    last_at: at,
                },
                jobs: BTreeSet::new(),
            });
        known.row.assets += 1;
        known.row.first_at = known.row.first_at.min(at);
        known.row.last_at = known.row.last_at.max(at);
        known.jobs.insert(job.id.clone());
    })?;
    Ok(causes.into_values().collect())
}

/// Whether rows of the newest jobs cannot be used for this cause.
pub(crate) fn is_rejected_cause(
    tx: &mut dyn Tx,
    workflows: &Workflows,
    cause: &str,
) -> StoreResult<bool> {
    let mut found = false;
    walk(tx, workflows, None, &mut |_, _, row| {
        found |= fingerprint(&failure(row)) == cause;
    })?;
    Ok(found)
}

/// Shows every row that cannot be used, of one job or of the newest jobs, with the name of its library.
pub(super) fn walk(
    tx: &mut dyn Tx,
    workflows: &Workflows,
    job: Option<&JobRow>,
    show: &mut dyn FnMut(&JobRow, &str, &RowError),
) -> StoreResult<()> {
    let jobs = match job {
        Some(job) => vec![job.clone()],
        None => tx.job_views(None, None, JOBS_MAX)?,
    };
    let mut left = ROWS_MAX;
    for job in jobs.iter().filter(|job| job.row_errors > 0) {
        let workflow = match workflows.of(tx, job.no) {
            Ok(workflow) => workflow,
            // It is set aside; the others are shown.
            Err(StoreError::Corrupt(_)) => continue,
            Err(error) => return Err(error),
        };
        let rows = tx.row_errors(job.no, left)?;
        for row in &rows {
            show(job, library_name(&workflow), row);
        }
        left = left.saturating_sub(u32::try_from(rows.len()).unwrap_or(u32::MAX));
        if left == 0 {
            break;
        }
    }
    Ok(())
}
