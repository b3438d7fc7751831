//! Dead units, grouped by the cause of their failure.
use crate::error::Answer;
use crate::field_change::is_false;
use crate::query::rejected_causes::{SCAN_STEP, rejected_causes};
use crate::review::waivers::Waivers;
use crate::rows::{JobCache, find_job};
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
    /// Fingerprint of the cause: 16 hexadecimal digits over reason, class and normalised message.
    pub cause: String,
    /// Number of dead units with this cause; 0 for rows of a library that cannot be used.
    pub units: u64,
    /// Failed assets in those units, or rows that cannot be used.
    pub assets: u64,
    /// Steps they failed in, as `step (kind)`.
    pub steps: Vec<String>,
    /// Reason code of the failure, such as `tool_failed`.
    pub reason: String,
    /// Error class: `permanent`, `transient`, `throttled` or `ambiguous`.
    pub class: String,
    /// Message of one of the failures.
    pub example: String,
    /// Time at which the first unit died, RFC 3339 in UTC.
    pub first_at: String,
    /// Time at which the last unit died, RFC 3339 in UTC.
    pub last_at: String,
    /// Public ids of the jobs with such units.
    pub jobs: Vec<String>,
    /// The waiver in force; absent when there is none.
    pub waived: Option<Waived>,
}

/// A waiver of a cause: the decision to accept its failures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Waived {
    /// Actor who made the decision.
    pub by: String,
    /// Reason that the actor gave.
    pub reason: String,
    /// Time of the decision, RFC 3339 in UTC.
    pub at: String,
    /// Time at which the waiver ends; absent when it does not end.
    pub until: Option<String>,
    /// Nothing was changed: the waiver is what would be recorded.
    #[serde(default, skip_serializing_if = "is_false")]
    pub dry_run: bool,
}

impl From<WaiverRow> for Waived {
    fn from(row: WaiverRow) -> Waived {
        let until = row.until.map(|t| t.to_string());
        Waived {
            by: row.actor,
            reason: row.reason,
            at: row.at.to_string(),
            until,
            dry_run: false,
        }
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
    let of_job = job.as_ref().map(|job| job.no);
    let mut jobs = JobCache::default();
    let mut groups: BTreeMap<String, (CauseRow, BTreeSet<String>, BTreeSet<String>)> =
        BTreeMap::new();
    for row in tx.causes(of_job, None, ROWS_MAX)? {
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
    for rows in rejected_causes(tx, workflows, job.as_ref())? {
        let steps = BTreeSet::from([SCAN_STEP.to_owned()]);
        groups.insert(rows.row.cause.clone(), (rows.row, steps, rows.jobs));
    }
    let mut waivers = Waivers::default().of_causes(tx, &groups.keys().cloned().collect(), now)?;
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
    views.sort_by(|a, b| (b.units, b.assets, &a.cause).cmp(&(a.units, a.assets, &b.cause)));
    views.truncate(limit as usize);
    Ok(views)
}
