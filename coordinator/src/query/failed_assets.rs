//! Assets that failed for one cause.
use crate::error::{Answer, Error};
use crate::paging::{limit_in_range, page};
use crate::query::rejected_causes::walk;
use crate::query::rejected_rows::{ROW_INVALID, failure, placed};
use crate::query::units::parse_unit;
use crate::review::tasks::supplier_of;
use crate::rows::{JobCache, find_job};
use crate::store::{FailureRow, StoreResult, Tx};
use crate::workflows::Workflows;
use protocol::id::{JobNo, UnitId};
use protocol::rules::unit::fingerprint::fingerprint;
use protocol::wire::report::ListedAsset;
use protocol::wire::step::scan::ScanSource;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};

/// A page of the assets of a cause.
#[derive(Debug, Clone, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct FailedAssetsFilter {
    /// The last entry of the page before: its `unit`, `/` and its `asset`.
    #[param(pattern = "^[^/]+/[^/]+/[0-9]{1,9}/")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Entries at most.
    #[param(minimum = 1, maximum = 1000)]
    #[serde(default = "page")]
    pub limit: u32,
}

/// An asset that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FailedAsset {
    /// The dead unit, as `job/step/partition`; `job/scan/line` for a row that cannot be used.
    pub unit: String,
    /// Id of the asset; empty when the unit failed as a whole.
    pub asset: String,
    /// Title of the asset.
    pub title: String,
    /// Role of the asset; empty when the unit failed as a whole.
    pub role: String,
    /// Supplier of the asset, where the library names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supplier: Option<String>,
    /// Location of the asset in its library.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// Declared size in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Row of the manifest; absent for other libraries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row: Option<u64>,
    /// Reason code of the failure.
    pub reason: String,
    /// What failed, and what to do about it.
    pub message: String,
}

/// The assets of a cause by job, step, partition and id. Jobs that this version cannot read are left out.
pub fn failed_assets(
    tx: &mut dyn Tx,
    cause: &str,
    filter: &FailedAssetsFilter,
) -> Answer<Vec<FailedAsset>> {
    limit_in_range(filter.limit)?;
    if tx.causes(None, Some(cause), 1)?.is_empty() {
        let rows = rejected_assets(tx, cause)?;
        if !rows.is_empty() {
            return Ok(page_of(rows, filter));
        }
        return Err(Error::Unknown(format!(
            "no dead units of cause {cause}: showrunner failure list"
        )));
    }
    let workflows = Workflows::default();
    let mut after = filter
        .after
        .as_deref()
        .map(|after| place(tx, &workflows, after))
        .transpose()?;
    let mut jobs = JobCache::default();
    let mut listed = Vec::new();
    // A page is full unless the list ends: rows that are left out must not end it. Whole pages are read, so that many such
    // rows cost few statements.
    while listed.len() < filter.limit as usize {
        let behind = after.as_ref().map(|(unit, asset)| (*unit, asset.as_str()));
        let rows = tx.failures_after(None, Some(cause), behind, filter.limit)?;
        let Some(last) = rows.last() else { break };
        after = Some((last.unit, last.asset.clone()));
        let places = Places::of(tx, &workflows, &rows)?;
        for row in rows {
            if listed.len() == filter.limit as usize {
                break;
            }
            let Some(workflow) = workflows.readable(tx, row.unit.job)? else {
                continue;
            };
            let (Some(job), Some(step)) =
                (jobs.get(tx, row.unit.job)?, workflow.step(row.unit.step))
            else {
                continue;
            };
            let place = places.0.get(&(row.unit.job, row.asset.clone()));
            listed.push(FailedAsset {
                supplier: place.and_then(|place| place.supplier.clone()),
                location: place.map(|place| place.location.clone()),
                bytes: place.and_then(|place| place.bytes),
                row: place.and_then(|place| place.row),
                unit: format!("{}/{}/{}", job.id, step.id, row.unit.part),
                asset: row.asset,
                title: row.title,
                role: row.role,
                reason: row.failure.reason,
                message: row.failure.message,
            });
        }
    }
    Ok(listed)
}

/// Where a failed asset comes from.
struct Place {
    supplier: Option<String>,
    location: String,
    bytes: Option<u64>,
    row: Option<u64>,
}

/// Where failed assets come from, read with one statement a job.
struct Places(BTreeMap<(JobNo, String), Place>);

impl Places {
    fn of(tx: &mut dyn Tx, workflows: &Workflows, rows: &[FailureRow]) -> StoreResult<Places> {
        let mut wanted: BTreeMap<JobNo, Vec<&str>> = BTreeMap::new();
        for row in rows.iter().filter(|row| !row.asset.is_empty()) {
            wanted.entry(row.unit.job).or_default().push(&row.asset);
        }
        let mut places = BTreeMap::new();
        for (job, assets) in wanted {
            let Some(workflow) = workflows.readable(tx, job)? else {
                continue;
            };
            let source = workflow.scan_task().map(|task| &task.source);
            let has_rows = matches!(source, Some(ScanSource::Manifest { .. }));
            for ListedAsset { line, asset } in tx.listed(job, &assets)? {
                let place = Place {
                    supplier: supplier_of(&asset),
                    location: asset.location,
                    bytes: asset.bytes,
                    row: (has_rows && line > 0).then_some(line),
                };
                places.insert((job, asset.id), place);
            }
        }
        Ok(Places(places))
    }
}

/// The rows of the newest jobs that cannot be used for this cause.
fn rejected_assets(tx: &mut dyn Tx, cause: &str) -> StoreResult<Vec<FailedAsset>> {
    let mut found = Vec::new();
    walk(tx, &Workflows::default(), None, &mut |job, library, row| {
        if fingerprint(&failure(row)) == cause {
            found.push(FailedAsset {
                unit: format!("{}/scan/{}", job.id, row.line),
                asset: row.asset.clone().unwrap_or_default(),
                title: row.title.clone().unwrap_or_default(),
                role: String::new(),
                supplier: None,
                location: None,
                bytes: None,
                row: Some(row.line),
                reason: ROW_INVALID.to_owned(),
                message: placed(library, row),
            });
        }
    })?;
    Ok(found)
}

/// A page of rows that cannot be used.
fn page_of(rows: Vec<FailedAsset>, filter: &FailedAssetsFilter) -> Vec<FailedAsset> {
    let id = |row: &FailedAsset| format!("{}/{}", row.unit, row.asset);
    let start = match &filter.after {
        Some(after) => rows
            .iter()
            .position(|row| id(row) == *after)
            .map_or(rows.len(), |place| place + 1),
        None => 0,
    };
    let page = rows.into_iter().skip(start);
    page.take(filter.limit as usize).collect()
}

/// The entry that `job/step/partition/asset` names.
fn place(tx: &mut dyn Tx, workflows: &Workflows, text: &str) -> Answer<(UnitId, String)> {
    let wrong = || {
        Error::Invalid(
            format!("{text:?} is no entry of this list"),
            "unit/asset of the last entry".into(),
        )
    };
    let gone = || Error::Unknown(format!("no entry {text}: showrunner failure get CAUSE"));
    let (at, _) = text.match_indices('/').nth(2).ok_or_else(wrong)?;
    let (job, step, part) = parse_unit(&text[..at])?;
    let job = find_job(tx, &job)?.no;
    let workflow = workflows.readable(tx, job)?.ok_or_else(gone)?;
    let step = workflow.step_no(&step).ok_or_else(gone)?;
    Ok((UnitId::new(job, step, part), text[at + 1..].to_owned()))
}
