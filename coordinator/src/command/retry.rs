//! Retries of failed units. A preview counts a selection page by page on the reading side and changes nothing. The real
//! request only records an operation: the leader counts its selection and carries it out, page by page in its turns.
use crate::audit::begun;
use crate::command::correction::{Corrected, Corrector};
use crate::command::operation::{self, PAGE_ROWS, ROWS_OF_A_TURN};
use crate::command::plan::Plan;
use crate::command::progress::Tallied;
use crate::command::request::{Retried, RetryRequest};
use crate::command::selection::{List, Place, Walk, obstacle, prefetch_units};
use crate::error::{Answer, Error};
use crate::query::rejected_causes::is_rejected_cause;
use crate::query::rejected_rows::ROW_INVALID;
use crate::rows::{JobCache, find_job};
use crate::store::{JobRow, JobState, OperationRow, OperationState, StoreResult, Tx};
use crate::workflows::Workflows;
use protocol::id::JobNo;
use protocol::model::hash::parse_hash;
use protocol::rules::unit::redrive_rate::is_rate;
use protocol::time::Timestamp;

/// Scope of a request: one job or all jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Among {
    /// Failed units of this job, and what was cancelled because of them.
    Job(String),
    /// Dead letters of one job or, without one, of all.
    Dead(Option<String>),
}

impl Among {
    fn action(&self) -> &'static str {
        match self {
            Among::Job(_) => "retry",
            Among::Dead(_) => "redrive",
        }
    }

    fn job(&self) -> Option<&str> {
        match self {
            Among::Job(id) => Some(id),
            Among::Dead(id) => id.as_deref(),
        }
    }
}

/// What was asked, checked: the job it is about and what is selected in it.
struct Checked {
    job: Option<JobRow>,
    plan: Plan,
}

fn check(
    tx: &mut dyn Tx,
    workflows: &Workflows,
    among: &Among,
    request: &RetryRequest,
) -> Answer<Checked> {
    let job = among.job().map(|id| find_job(tx, id)).transpose()?;
    if let (Among::Job(id), Some(job)) = (among, &job)
        && matches!(
            job.state,
            JobState::Cancelled | JobState::Cancelling | JobState::Failed
        )
    {
        return Err(Error::Conflict(format!(
            "job {id} is {}: submit it again",
            job.state.as_str()
        )));
    }
    let plan = Plan::of(request)?;
    if is_of_rows(tx, workflows, &plan)? {
        return Err(Error::Invalid(
            "rows of a library that cannot be used have no unit that could run again".into(),
            "correct the rows and submit the job again, or accept them: showrunner failure waive CAUSE".into(),
        ));
    }
    if request.rate.is_some_and(|rate| !is_rate(rate)) {
        let why = "the rate is not between one unit a year and a million a second";
        return Err(Error::Invalid(why.into(), "50".into()));
    }
    if let (Some(job), Some(only)) = (&job, request.only.as_deref()) {
        let workflow = workflows.of(tx, job.no)?;
        if workflow.step_no(only).is_none() {
            let known: Vec<&str> = workflow.steps.iter().map(|step| step.id.as_str()).collect();
            let hint = protocol::yaml::suggest(only, &known);
            return Err(Error::Invalid(
                format!("job {} has no step {only:?}", job.id),
                hint,
            ));
        }
    }
    for correction in &request.corrections {
        let asset = &correction.asset;
        if let Some(Err(wrong)) = correction.hash.as_deref().map(parse_hash) {
            return Err(Error::Invalid(
                format!("asset {asset:?}: {wrong}"),
                String::new(),
            ));
        }
        if correction
            .location
            .as_deref()
            .is_some_and(|location| location.trim().is_empty())
        {
            return Err(Error::Invalid(
                format!("asset {asset:?} has an empty location"),
                String::new(),
            ));
        }
    }
    Ok(Checked { job, plan })
}

/// Whether a plan is about rows that cannot be used.
fn is_of_rows(tx: &mut dyn Tx, workflows: &Workflows, plan: &Plan) -> StoreResult<bool> {
    let selection = &plan.selection;
    if selection.reasons == [ROW_INVALID] {
        return Ok(true);
    }
    match selection.causes.as_slice() {
        [cause] if tx.causes(None, Some(cause), 1)?.is_empty() => {
            is_rejected_cause(tx, workflows, cause)
        }
        _ => Ok(false),
    }
}

/// A count of what a request selects. It holds totals and a place, never the units: each page may be read in a transaction
/// of its own.
#[derive(Debug)]
pub struct Preview {
    job: String,
    no: Option<JobNo>,
    plan: Plan,
    dry_run: bool,
    corrector: Corrector,
    corrected: Corrected,
    place: Place,
    tallied: Tallied,
}

impl Preview {
    /// Checks the request.
    pub fn begin(
        tx: &mut dyn Tx,
        workflows: &Workflows,
        among: &Among,
        request: &RetryRequest,
    ) -> Answer<Preview> {
        let Checked { job, plan } = check(tx, workflows, among, request)?;
        Ok(Preview {
            no: job.as_ref().map(|job| job.no),
            job: job.map(|job| job.id).unwrap_or_default(),
            plan,
            dry_run: request.audit.dry_run,
            corrector: Corrector::new(request.corrections.clone()),
            corrected: Corrected::default(),
            place: Place::default(),
            tallied: Tallied::default(),
        })
    }

    /// Counts another page. Returns whether there are more.
    pub fn page(
        &mut self,
        tx: &mut dyn Tx,
        workflows: &Workflows,
        now: Timestamp,
    ) -> StoreResult<bool> {
        let walk = Walk {
            plan: &self.plan,
            job: self.no,
        };
        let page = walk.page(tx, workflows, self.place, PAGE_ROWS)?;
        let (mut jobs, mut eligible) = (JobCache::default(), Vec::new());
        prefetch_units(tx, workflows, &page.found)?;
        for found in page.found {
            let workflow = workflows.of(tx, found.unit.job)?;
            let why = obstacle(tx, &mut jobs, &workflow, &found, self.plan.scope(), now)?;
            if why.is_none() {
                eligible.push(found);
            } else {
                self.tallied.add(why);
            }
        }
        let units = eligible.len();
        let corrections = self
            .corrector
            .apply(tx, workflows, &eligible, &mut self.corrected)?;
        self.tallied.corrected += corrections
            .values()
            .map(|assets| assets.len() as u64)
            .sum::<u64>();
        (0..units).for_each(|_| self.tallied.add(None));
        self.place = page.place;
        Ok(self.place.list != List::End)
    }

    /// The counts, or the reason why the request is refused.
    pub fn answer(&self) -> Answer<Retried> {
        if let Some(refusal) = self.corrected.refusal(&self.corrector) {
            return Err(refusal);
        }
        Ok(Retried {
            job: self.job.clone(),
            dry_run: self.dry_run,
            ..self.tallied.retried()
        })
    }
}

/// Whether a request has to be previewed before it is recorded: corrected input is refused as a whole, so all of it is
/// looked at before any of it is used.
pub fn needs_preview(request: &RetryRequest) -> bool {
    request.audit.dry_run || !request.corrections.is_empty()
}

/// Counts what a request selects in one transaction: for a store without other users.
pub fn preview(
    tx: &mut dyn Tx,
    workflows: &Workflows,
    among: &Among,
    request: &RetryRequest,
    now: Timestamp,
) -> Answer<Retried> {
    let mut preview = Preview::begin(tx, workflows, among, request)?;
    while preview.page(tx, workflows, now)? {}
    preview.answer()
}

/// Records the operation; the leader counts and carries it out. Returns its number.
pub fn retry(
    tx: &mut dyn Tx,
    workflows: &Workflows,
    among: &Among,
    request: &RetryRequest,
    now: Timestamp,
) -> Answer<i64> {
    let Checked { job, plan } = check(tx, workflows, among, request)?;
    let row = OperationRow {
        filter: plan.text(),
        plan: Some(plan.json()),
        rate: request.rate,
        ..begun(&request.audit, among.action(), job.map(|job| job.no), now)
    };
    let no = tx.insert_operation(&row)?;
    if !request.corrections.is_empty() {
        let input = serde_json::to_string(&request.corrections);
        let input = input
            .map_err(|error| crate::store::StoreError::Corrupt(format!("corrections: {error}")))?;
        tx.put_operation_input(no, Some(&input))?;
    }
    Ok(no)
}

/// Progress of a recorded retry.
pub fn retried(tx: &mut dyn Tx, no: i64) -> Answer<Retried> {
    let Some(row) = tx.operation(no)? else {
        return Err(Error::Unknown(format!(
            "no operation {no}: showrunner operation list"
        )));
    };
    let job = match row.job {
        Some(job) => tx.job(job)?.map(|job| job.id).unwrap_or_default(),
        None => String::new(),
    };
    if let (OperationState::Aborted, Some(why)) = (row.state, &row.message) {
        return Err(Error::Conflict(format!("operation {no}: {why}")));
    }
    Ok(Retried {
        job,
        operation: Some(no),
        ..operation::tallied(&row)
    })
}

/// Carries one operation on by a page, outside of the leader's turns: for a store that no coordinator works on. Returns
/// whether there is more to do at once.
pub fn carry_on(
    tx: &mut dyn Tx,
    workflows: &Workflows,
    no: i64,
    now: Timestamp,
) -> StoreResult<bool> {
    match tx.operation(no)? {
        Some(mut row) if row.state == OperationState::Running => {
            operation::carry_out(tx, workflows, &mut row, ROWS_OF_A_TURN, now)
        }
        _ => Ok(false),
    }
}
