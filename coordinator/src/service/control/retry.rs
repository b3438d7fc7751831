//! Failed units again: a selection is counted, its input corrected, and an operation recorded that brings it back.
use super::operation::carry_out;
use super::order::{Correction, Ineligible, Retried, RetryRequest};
use super::select::{Found, Jobs, Plan, Walk, obstacle};
use super::{Answer, Refusal, begun, find};
use crate::service::Workflows;
use crate::store::{AssetCorrection, JobRow, JobState, OperationRow, StoreResult, Tx};
use protocol::id::JobNo;
use protocol::media::asset::Asset;
use protocol::media::template;
use protocol::time::Timestamp;
use protocol::wire::unit::parse_hash;
use protocol::workflow::Workflow;
use protocol::workflow::compile::absolute;
use std::collections::BTreeMap;

/// Brings failed units of one job back, and what was cancelled because of them.
pub fn retry(
    tx: &mut dyn Tx,
    workflows: &Workflows,
    id: &str,
    request: &RetryRequest,
    now: Timestamp,
) -> StoreResult<Answer<Retried>> {
    let job = match find(tx, id)? {
        Ok(job) => job,
        Err(refusal) => return Ok(Err(refusal)),
    };
    if matches!(job.state, JobState::Cancelled | JobState::Cancelling | JobState::Failed) {
        return Ok(Err(Refusal::Conflict(format!("job {id} is {}: submit it again", job.state.as_str()))));
    }
    select(tx, workflows, "retry", Some(job), request, now)
}

/// Brings dead letters back by cause or filter, in one job or in all of them.
pub fn redrive(
    tx: &mut dyn Tx,
    workflows: &Workflows,
    job: Option<&str>,
    request: &RetryRequest,
    now: Timestamp,
) -> StoreResult<Answer<Retried>> {
    let job = match job.map(|id| find(tx, id)).transpose()?.transpose() {
        Ok(job) => job,
        Err(refusal) => return Ok(Err(refusal)),
    };
    select(tx, workflows, "redrive", job, request, now)
}

fn select(
    tx: &mut dyn Tx,
    workflows: &Workflows,
    action: &str,
    job: Option<JobRow>,
    request: &RetryRequest,
    now: Timestamp,
) -> StoreResult<Answer<Retried>> {
    let plan = match checked(tx, workflows, job.as_ref(), request)? {
        Ok(plan) => plan,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let mut counting = Counting { corrections: &request.corrections, ..Counting::default() };
    let no = job.as_ref().map(|job| job.no);
    let (mut walk, mut jobs) = (Walk::new(&plan, no, None), Jobs::default());
    while let Some(found) = walk.next(tx, workflows)? {
        let workflow = workflows.of(tx, found.unit.job)?;
        let why = match obstacle(tx, &mut jobs, &workflow, &found, plan.again(), now)? {
            Some(why) => Some(why),
            None => {
                counting.correct(tx, &workflow, &found)?;
                None
            }
        };
        counting.matched += 1;
        match why {
            Some(why) => *counting.ineligible.entry(why).or_default() += 1,
            None => counting.eligible += 1,
        }
    }
    if let Some(refusal) = counting.refusal() {
        return Ok(Err(refusal));
    }
    let mut answer = Retried {
        job: job.map(|job| job.id).unwrap_or_default(),
        matched: counting.matched,
        units: counting.eligible,
        corrected: counting.assets.values().map(|assets| assets.len() as u64).sum(),
        ineligible: counting.ineligible.into_iter().map(|(why, units)| Ineligible { why, units }).collect(),
        dry_run: request.order.dry_run,
        ..Retried::default()
    };
    if request.order.dry_run {
        return Ok(Ok(answer));
    }
    for (job, corrections) in &counting.assets {
        tx.correct_assets(*job, corrections)?;
    }
    let mut operation = OperationRow {
        filter: plan.text(),
        matched: answer.matched,
        eligible: answer.units,
        rate: request.rate,
        ..begun(&request.order, action, no, now)
    };
    operation.no = tx.insert_operation(&operation)?;
    carry_out(tx, workflows, &mut operation, now)?;
    (answer.operation, answer.done) = (Some(operation.no), operation.done);
    Ok(Ok(answer))
}

fn checked(
    tx: &mut dyn Tx,
    workflows: &Workflows,
    job: Option<&JobRow>,
    request: &RetryRequest,
) -> StoreResult<Answer<Plan>> {
    let plan = match Plan::of(request) {
        Ok(plan) => plan,
        Err(refusal) => return Ok(Err(refusal)),
    };
    if request.rate.is_some_and(|rate| !(rate.is_finite() && rate > 0.0)) {
        return Ok(Err(Refusal::Invalid("the rate is not a number above zero".into(), "50".into())));
    }
    if let (Some(job), Some(only)) = (job, request.only.as_deref()) {
        let workflow = workflows.of(tx, job.no)?;
        if workflow.step_no(only).is_none() {
            let known: Vec<&str> = workflow.steps.iter().map(|step| step.id.as_str()).collect();
            let hint = protocol::yaml::suggest(only, &known);
            return Ok(Err(Refusal::Invalid(format!("job {} has no step {only:?}", job.id), hint)));
        }
    }
    for correction in &request.corrections {
        if let Some(Err(wrong)) = correction.hash.as_deref().map(parse_hash) {
            return Ok(Err(Refusal::Invalid(format!("asset {:?}: {wrong}", correction.asset), String::new())));
        }
        if correction.location.as_deref().is_some_and(|location| location.trim().is_empty()) {
            return Ok(Err(Refusal::Invalid(
                format!("asset {:?} has an empty location", correction.asset),
                String::new(),
            )));
        }
    }
    Ok(Ok(plan))
}

#[derive(Default)]
struct Counting<'a> {
    corrections: &'a [Correction],
    matched: u64,
    eligible: u64,
    ineligible: BTreeMap<String, u64>,
    assets: BTreeMap<JobNo, Vec<AssetCorrection>>,
    used: std::collections::BTreeSet<String>,
    wrong: Option<String>,
}

impl Counting<'_> {
    /// Notes what corrected input means for a unit.
    fn correct(&mut self, tx: &mut dyn Tx, workflow: &Workflow, found: &Found) -> StoreResult<()> {
        if self.corrections.is_empty() || found.unit.part == 0 {
            return Ok(());
        }
        let parts = tx.partitions(found.unit.job, &[found.unit.part])?;
        let members = tx.members(found.unit.job, &parts)?.pop().unwrap_or_default();
        let named = |asset: &Asset| found.assets.is_empty() || found.assets.iter().any(|(id, _)| *id == asset.id);
        for asset in members.iter().filter(|asset| named(asset)) {
            let fits = |c: &&Correction| c.asset.is_empty() || c.asset == asset.id;
            let mut merged = AssetCorrection { asset: asset.id.clone(), ..AssetCorrection::default() };
            let mut any = false;
            for correction in self.corrections.iter().filter(fits) {
                any = true;
                self.used.insert(correction.asset.clone());
                if let Some(location) = &correction.location {
                    match template::expand(location, asset) {
                        Ok(location) => merged.location = Some(complete(workflow, location)),
                        Err(error) => self.wrong = Some(error.to_string()),
                    }
                }
                merged.hash = correction.hash.clone().or(merged.hash);
                merged.bytes = correction.bytes.or(merged.bytes);
            }
            if any {
                self.assets.entry(found.unit.job).or_default().push(merged);
            }
        }
        Ok(())
    }

    fn refusal(&self) -> Option<Refusal> {
        if let Some(wrong) = &self.wrong {
            return Some(Refusal::Invalid(wrong.clone(), String::new()));
        }
        let unused = self.corrections.iter().find(|c| !c.asset.is_empty() && !self.used.contains(&c.asset))?;
        let message = format!("asset {:?} has corrected input and is not among what can be brought back", unused.asset);
        Some(Refusal::Invalid(message, "select it too, or leave its row out".into()))
    }
}

/// A location as a scan would have made it: a path starts where those of the library do.
fn complete(workflow: &Workflow, location: String) -> String {
    if location.contains("://") || location.starts_with("file:") {
        return location;
    }
    let root = workflow.scan_task().map_or("", |scan| scan.root.as_str());
    format!("file:{}", absolute(root, &location))
}
