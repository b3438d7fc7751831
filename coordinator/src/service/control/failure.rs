//! Dead letters, grouped by what they have in common.
use super::order::WaiveRequest;
use super::select::Jobs;
use super::{Answer, Refusal, find, record};
use crate::service::Workflows;
use crate::store::{CauseRow, StoreResult, Tx, WaiverRow};
use protocol::failure::Failure;
use protocol::id::UnitId;
use protocol::rules::review::waiver::Scope;
use protocol::rules::unit::fingerprint::fingerprint;
use protocol::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use utoipa::ToSchema;

/// Rows of the cause table looked at for one list.
const ROWS_MAX: u32 = 20_000;
/// Bytes kept of the example of a cause.
const EXAMPLE_MAX: usize = 500;

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
) -> StoreResult<Answer<Vec<CauseView>>> {
    let job = match job.map(|id| find(tx, id)).transpose()?.transpose() {
        Ok(job) => job,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let in_force = |row: &WaiverRow| row.until.is_none_or(|until| until > now);
    let in_force = tx.waivers()?.into_iter().filter(in_force);
    let waivers = in_force.filter_map(|row| Some((row.scope.cause.clone()?, row)));
    let mut waivers: BTreeMap<String, WaiverRow> = waivers.collect();
    let mut jobs = Jobs::default();
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
    Ok(Ok(views))
}

/// Records the decision to leave a cause as it is.
pub fn waive(tx: &mut dyn Tx, cause: &str, request: &WaiveRequest, now: Timestamp) -> StoreResult<Answer<Waived>> {
    let order = &request.order;
    if order.reason.trim().is_empty() {
        return Ok(Err(Refusal::Invalid("a waiver needs a reason".into(), "--reason TEXT".into())));
    }
    let until = match until(request.until.as_deref(), now) {
        Ok(until) => until,
        Err(refusal) => return Ok(Err(refusal)),
    };
    if tx.causes(None, Some(cause), 1)?.is_empty() {
        return Ok(Err(Refusal::Unknown(format!("nothing is dead of cause {cause}: showrunner failure list"))));
    }
    let (actor, reason) = (order.actor.clone(), order.reason.clone());
    let row = WaiverRow { scope: Scope::of_cause(cause), at: now, actor, reason, until };
    if !order.dry_run {
        tx.put_waiver(&row)?;
        record(tx, order, &format!("waive {cause}"), None, 1, now)?;
    }
    Ok(Ok(row.into()))
}

/// Reads until when a waiver is to hold.
pub(super) fn until(text: Option<&str>, now: Timestamp) -> Answer<Option<Timestamp>> {
    let Some(text) = text else { return Ok(None) };
    match Timestamp::parse(text) {
        None => Err(Refusal::Invalid("until is not a moment".into(), "2026-12-01T18:00:00Z".into())),
        Some(until) if until <= now => {
            Err(Refusal::Invalid("the waiver would have ended already".into(), "a later --until".into()))
        }
        until => Ok(until),
    }
}

/// Counts a unit that died.
pub(crate) fn count_dead(
    tx: &mut dyn Tx,
    unit: UnitId,
    failures: &[(String, Failure)],
    now: Timestamp,
) -> StoreResult<()> {
    tx.add_to_causes(&changes(unit, failures, 1, now))
}

/// Counts a unit that is dead no longer.
pub(crate) fn uncount_dead(
    tx: &mut dyn Tx,
    unit: UnitId,
    failures: &[(String, Failure)],
    now: Timestamp,
) -> StoreResult<()> {
    tx.add_to_causes(&changes(unit, failures, -1, now))
}

/// What a unit adds to its causes: one unit in each, however many of its assets failed of it.
pub(crate) fn changes(unit: UnitId, failures: &[(String, Failure)], sign: i64, now: Timestamp) -> Vec<CauseRow> {
    let mut by_cause: BTreeMap<String, CauseRow> = BTreeMap::new();
    for (_, failure) in failures {
        let cause = fingerprint(failure);
        let row = by_cause.entry(cause.clone()).or_insert_with(|| CauseRow {
            cause,
            job: unit.job,
            step: unit.step,
            reason: failure.reason.clone(),
            class: failure.class.as_str().to_owned(),
            example: shortened(&failure.message),
            units: sign,
            assets: 0,
            first_at: now,
            last_at: now,
        });
        row.assets += sign;
    }
    by_cause.into_values().collect()
}

fn shortened(message: &str) -> String {
    let end = message.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= EXAMPLE_MAX).last();
    message[..end.unwrap_or(0)].to_owned()
}
