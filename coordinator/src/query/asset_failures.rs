//! Assets that failed before anything was known of them: they are in the listing of a job and not in the catalogue.
use crate::query::rejected_rows::{ROW_INVALID, SCAN, library_name, placed};
use crate::store::{JobRow, StoreError, StoreResult, Tx};
use crate::workflows::Workflows;
use protocol::id::UnitId;
use protocol::media::asset::Asset;
use protocol::time::Timestamp;
use protocol::workflow::Workflow;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Jobs whose listings are looked at, newest first.
const JOBS_MAX: u32 = 100;
/// Failures and rejected rows of a job that are looked at.
const ROWS_MAX: u32 = 10_000;
/// Of them in one statement.
const ROWS_PAGE: u32 = 1_000;

/// A failure of an asset in a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AssetFailure {
    /// Public id of the job.
    pub job: String,
    /// The step it failed in; `scan` for a row that could not be used.
    pub step: String,
    /// The dead unit, as `job/step/partition`; absent for a row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Reason code of the failure.
    pub reason: String,
    /// What failed, and what to do about it.
    pub message: String,
}

/// An asset that is not in the catalogue, as the newest job that lists or rejects it knows it.
pub(super) struct Uncatalogued {
    /// The asset; absent when its row cannot be used.
    pub(super) asset: Option<Asset>,
    /// Title of the asset, when it is known.
    pub(super) title: String,
    /// Submission of the job.
    pub(super) at: Timestamp,
    /// Failures of the asset in the job.
    pub(super) failures: Vec<AssetFailure>,
}

/// Looks an asset up in the newest jobs; `None` where none of them lists or rejects it.
pub(super) fn uncatalogued(tx: &mut dyn Tx, id: &str) -> StoreResult<Option<Uncatalogued>> {
    let workflows = Workflows::default();
    for job in tx.job_views(None, None, JOBS_MAX)? {
        let workflow = match workflows.of(tx, job.no) {
            Ok(workflow) => workflow,
            // It is set aside; the others are looked at.
            Err(StoreError::Corrupt(_)) => continue,
            Err(error) => return Err(error),
        };
        if let Some(asset) = tx.listed_asset(job.no, id)? {
            let failures = failures_of(tx, &workflow, &job, id)?;
            return Ok(Some(Uncatalogued {
                title: asset.title.clone(),
                asset: Some(asset),
                at: job.submitted_at,
                failures,
            }));
        }
        if let Some(found) = rejected(tx, &workflow, &job, id)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

fn failures_of(
    tx: &mut dyn Tx,
    workflow: &Workflow,
    job: &JobRow,
    id: &str,
) -> StoreResult<Vec<AssetFailure>> {
    let mut found = Vec::new();
    let mut after: Option<(UnitId, String)> = None;
    for _ in 0..ROWS_MAX / ROWS_PAGE {
        let behind = after.as_ref().map(|(unit, asset)| (*unit, asset.as_str()));
        let rows = tx.failures_after(Some(job.no), None, behind, ROWS_PAGE)?;
        let Some(last) = rows.last() else { break };
        after = Some((last.unit, last.asset.clone()));
        for row in rows.into_iter().filter(|row| row.asset == id) {
            let step = workflow.step(row.unit.step).map_or("", |step| &step.id);
            found.push(AssetFailure {
                job: job.id.clone(),
                step: step.to_owned(),
                unit: Some(format!("{}/{step}/{}", job.id, row.unit.part)),
                reason: row.failure.reason,
                message: row.failure.message,
            });
        }
    }
    Ok(found)
}

/// An asset whose row cannot be used.
fn rejected(
    tx: &mut dyn Tx,
    workflow: &Workflow,
    job: &JobRow,
    id: &str,
) -> StoreResult<Option<Uncatalogued>> {
    if job.row_errors == 0 {
        return Ok(None);
    }
    let rows = tx.row_errors(job.no, ROWS_MAX)?;
    let own: Vec<_> = rows
        .into_iter()
        .filter(|row| row.asset.as_deref() == Some(id))
        .collect();
    let Some(first) = own.first() else {
        return Ok(None);
    };
    let title = first.title.clone().unwrap_or_default();
    let failures = own.iter().map(|row| AssetFailure {
        job: job.id.clone(),
        step: SCAN.to_owned(),
        unit: None,
        reason: ROW_INVALID.to_owned(),
        message: placed(library_name(workflow), row),
    });
    Ok(Some(Uncatalogued {
        asset: None,
        title,
        at: job.submitted_at,
        failures: failures.collect(),
    }))
}
