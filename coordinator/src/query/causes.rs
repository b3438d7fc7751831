//! Dead units, grouped by the cause of their failure.
use crate::error::Answer;
use crate::query::job_cache::JobCache;
use crate::rows::find_job;
use crate::store::{CauseRow, Tx, WaiverRow};
use crate::workflows::Workflows;
use protocol::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use utoipa::ToSchema;

/// Rows of the cause table looked at for one list.
const ROWS_MAX: u32 = 20_000;

/// Everything that failed for one cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CauseView {
    /// Fingerprint.
    pub cause: String,
    /// Dead units.
    pub units: u64,
    /// Failed assets in them.
    pub assets: u64,
    /// Steps they failed in, as `step (kind)`.
    pub steps: Vec<String>,
    /// Reason code.
    pub reason: String,
    /// Error class.
    pub class: String,
    /// The message of one of them.
    pub example: String,
    /// When the first died.
    pub first_at: String,
    /// When the last died.
    pub last_at: String,
    /// Jobs they are of.
    pub jobs: Vec<String>,
    /// The decision to leave them, while it holds.
    pub waived: Option<Waived>,
}

/// A decision to leave a cause as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Waived {
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: String,
    /// Until when.
    pub until: Option<String>,
}

impl From<WaiverRow> for Waived {
    fn from(row: WaiverRow) -> Waived {
        let until = row.until.map(|t| t.to_string());
        Waived { by: row.actor, reason: row.reason, at: row.at.to_string(), until }
    }
}

/// Causes with the most units first; those of one job when it is named.
pub fn causes(
    tx: &mut dyn Tx,
    workflows: &Workflows,
    job: Option<&str>,
    limit: u32,
    now: Timestamp,
) -> Answer<Vec<CauseView>> {
    let job = job.map(|id| find_job(tx, id)).transpose()?;
    let in_force = |row: &WaiverRow| row.until.is_none_or(|until| until > now);
    let in_force = tx.waivers()?.into_iter().filter(in_force);
    let waivers = in_force.filter_map(|row| Some((row.scope.cause.clone()?, row)));
    let mut waivers: BTreeMap<String, WaiverRow> = waivers.collect();
    let mut jobs = JobCache::default();
    let mut groups: BTreeMap<String, (CauseRow, BTreeSet<String>, BTreeSet<String>)> = BTreeMap::new();
    for row in tx.causes(job.map(|job| job.no), None, ROWS_MAX)? {
        let id = jobs.get(tx, row.job)?.map(|job| job.id.clone());
        let workflow = workflows.readable(tx, row.job)?;
        let step = workflow
            .as_ref()
            .and_then(|workflow| workflow.step(row.step))
            .map(|step| format!("{} ({})", step.id, step.kind_word()));
        match groups.get_mut(&row.cause) {
            Some((known, steps, of)) => {
                known.units += row.units;
                known.assets += row.assets;
                known.first_at = known.first_at.min(row.first_at);
                known.last_at = known.last_at.max(row.last_at);
                steps.extend(step);
                of.extend(id);
            }
            None => {
                let sets = (step.into_iter().collect(), id.into_iter().collect());
                groups.insert(row.cause.clone(), (row, sets.0, sets.1));
            }
        }
    }
    let mut views: Vec<CauseView> = groups
        .into_values()
        .map(|(row, steps, jobs)| CauseView {
            waived: waivers.remove(&row.cause).map(Waived::from),
            cause: row.cause,
            units: u64::try_from(row.units).unwrap_or(0),
            assets: u64::try_from(row.assets).unwrap_or(0),
            steps: steps.into_iter().collect(),
            reason: row.reason,
            class: row.class,
            example: row.example,
            first_at: row.first_at.to_string(),
            last_at: row.last_at.to_string(),
            jobs: jobs.into_iter().collect(),
        })
        .collect();
    views.sort_by(|a, b| (b.units, &a.cause).cmp(&(a.units, &b.cause)));
    views.truncate(limit as usize);
    Ok(views)
}
