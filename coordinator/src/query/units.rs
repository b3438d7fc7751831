//! Units of a job in the shapes of the API and the command line.
use crate::error::{Answer, Error};
use crate::paging::{limit_in_range, page};
use crate::query::explain::{self, UnitExplanation};
use crate::query::jobs::known_word;
use crate::rows::{find_job, readable};
use crate::store::view::{UnitFilter, UnitView};
use crate::store::{StoreResult, Tx};
use crate::workflows::Workflows;
use protocol::id::{PartNo, StepNo};
use protocol::rules::unit::transition::UnitState;
use protocol::time::Timestamp;
use protocol::workflow::Workflow;
use protocol::yaml::suggest;
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

/// Which units of a job.
#[derive(Debug, Clone, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct UnitsFilter {
    /// Only units in this state.
    #[param(pattern = "^(planned|ready|leased|retrying|succeeded|dead|cancelled)$")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Only units of this step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// Start after this unit (`job/step/partition`): the last one of the page before.
    #[param(pattern = "^[^/]+/[^/]+/[0-9]{1,9}$")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Units at most.
    #[param(minimum = 1, maximum = 1000)]
    #[serde(default = "page")]
    pub limit: u32,
}

/// Lists the units of a job by partition and step.
pub fn units(tx: &mut dyn Tx, job: &str, filter: &UnitsFilter) -> Answer<Vec<UnitView>> {
    readable(job, read_units(tx, job, filter))
}

fn read_units(tx: &mut dyn Tx, job: &str, filter: &UnitsFilter) -> Answer<Vec<UnitView>> {
    let states = UnitState::ALL.map(UnitState::as_str);
    limit_in_range(filter.limit)?;
    known_word("state", filter.state.as_deref(), &states)?;
    let Some(row) = tx.job_by_id(job)? else {
        return Err(Error::NotFound);
    };
    let workflow = tx.workflow(row.no)?;
    let known: Vec<&str> = workflow.steps.iter().map(|step| step.id.as_str()).collect();
    if let Some(wrong) = filter.step.as_deref().filter(|step| !known.contains(step)) {
        return Err(Error::Invalid(
            format!("job {job} has no step {wrong:?}"),
            suggest(wrong, &known),
        ));
    }
    let after = match filter.after.as_deref() {
        None => None,
        Some(text) => {
            let (_, step, part) = parse_unit(text)?;
            Some((part, workflow.step_no(&step).ok_or_else(|| no_unit(text))?))
        }
    };
    let (state, step) = (filter.state.clone(), filter.step.clone());
    Ok(tx.unit_views(
        job,
        &UnitFilter {
            state,
            step,
            part: None,
            after,
            limit: filter.limit,
        },
    )?)
}

/// A unit as people name it: job/step/partition.
pub fn parse_unit(text: &str) -> Answer<(String, String, PartNo)> {
    let wrong = || {
        let hint = "job/step/partition, as in: showrunner unit list JOB -o name";
        Error::Invalid(format!("{text:?} is not a unit"), hint.to_owned())
    };
    let mut pieces = text.splitn(3, '/');
    let (Some(job), Some(step), Some(part)) = (pieces.next(), pieces.next(), pieces.next()) else {
        return Err(wrong());
    };
    Ok((
        job.to_owned(),
        step.to_owned(),
        part.parse().map_err(|_| wrong())?,
    ))
}

fn no_unit(unit: &str) -> Error {
    Error::Unknown(format!("no unit {unit}: showrunner unit list JOB"))
}

/// The unit of one step and partition; an error names the command that lists the units of the job.
pub fn unit(tx: &mut dyn Tx, job: &str, step: &str, part: PartNo) -> Answer<UnitView> {
    let filter = UnitFilter {
        step: Some(step.to_owned()),
        part: Some(part),
        limit: 1,
        ..UnitFilter::default()
    };
    if let Some(found) = readable(job, tx.unit_views(job, &filter).map_err(Error::Store))?.pop() {
        return Ok(found);
    }
    // What is missing is said: the job, or only the unit.
    find_job(tx, job)?;
    Err(no_unit(&format!("{job}/{step}/{part}")))
}

/// What a unit waits for, and what ends the wait.
pub fn explain_unit(
    tx: &mut dyn Tx,
    job: &str,
    step: &str,
    part: PartNo,
    now: Timestamp,
) -> Answer<UnitExplanation> {
    readable(job, read_explain_unit(tx, job, step, part, now))
}

fn read_explain_unit(
    tx: &mut dyn Tx,
    job: &str,
    step: &str,
    part: PartNo,
    now: Timestamp,
) -> Answer<UnitExplanation> {
    let absent = || no_unit(&format!("{job}/{step}/{part}"));
    let row = find_job(tx, job)?;
    let workflows = Workflows::default();
    let workflow = workflows.of(tx, row.no)?;
    let Some(no) = workflow.step_no(step) else {
        return Err(absent());
    };
    // Partitions are counted from 1; 0 is what a step does once for the whole job.
    let missing = part < 1 && workflow.step(no).is_some_and(|s| s.has_units());
    if missing || part < 0 || part > row.parts || (part > 0 && !is_cut(tx, job, &workflow, part)?) {
        return Err(absent());
    }
    Ok(explain::unit(tx, &workflows, &row, no, part, now)?)
}

/// Whether a partition exists; asking the store for one that does not is an error there.
fn is_cut(tx: &mut dyn Tx, job: &str, workflow: &Workflow, part: PartNo) -> StoreResult<bool> {
    if !workflow.steps.iter().any(|step| step.has_units()) {
        return Ok(false);
    }
    let filter = UnitFilter {
        part: Some(part),
        limit: 1,
        after: Some((part - 1, StepNo::SCAN)),
        ..UnitFilter::default()
    };
    Ok(!tx.unit_views(job, &filter)?.is_empty())
}
