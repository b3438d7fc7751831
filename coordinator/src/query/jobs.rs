//! Jobs in the shapes of the API and the command line.
pub use crate::query::assets::{AssetView, AssetsFilter, Tombstone, VerdictView, asset, assets};

use crate::error::{Answer, Error};
use crate::paging::{limit_in_range, page};
use crate::query::explain::{self, BarrierExplanation};
use crate::query::job_forecast::{ForecastFacts, JobForecast};
use crate::query::open_tasks::{OpenTask, open_tasks};
use crate::query::summary::{Summary, summary, totals};
use crate::query::truncated::truncated;
use crate::query::unit_counts::Units;
use crate::query::wait_details;
use crate::rows::readable;
use crate::store::{
    JobRow, JobState, Phase, RATE_UNITS_MAX, StoreError, StoreResult, TransferRate, Tx,
};
use crate::workflows::Workflows;
use protocol::id::Kind;
use protocol::time::Timestamp;
use protocol::yaml::suggest;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Criteria and page of a list of jobs.
#[derive(Debug, Clone, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct JobsFilter {
    /// Only jobs in this state.
    #[param(
        pattern = "^(running|paused|cancelling|succeeded|finished_with_failures|cancelled|failed)$"
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Start after this job: the last one of the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Jobs at most.
    #[param(minimum = 1, maximum = 1000)]
    #[serde(default = "page")]
    pub limit: u32,
}

/// Characters of the beginning of an id at most.
const PREFIX_MAX: usize = 200;

/// The beginning of ids.
#[derive(Debug, Clone, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct JobIdsFilter {
    /// Only ids that begin with this text.
    #[param(max_length = 200)]
    #[serde(default)]
    pub prefix: String,
    /// Ids at most.
    #[param(minimum = 1, maximum = 1000)]
    #[serde(default = "page")]
    pub limit: u32,
}

/// A job as lists show it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct JobListed {
    /// Public id of the job.
    pub job: String,
    /// Name from the job file.
    pub name: String,
    /// State of the job, such as `running` or `succeeded`.
    pub state: String,
    /// Assets that the scan has listed so far.
    pub assets: u64,
    /// When it was submitted.
    pub submitted_at: String,
    /// When it ended.
    pub ended_at: Option<String>,
    /// Counts of the units of all steps.
    pub units: Units,
    /// Bytes a second that its units move at the moment; a few seconds old.
    #[serde(default)]
    pub bytes_per_second: u64,
    /// Priority, progress and forecast.
    #[serde(flatten)]
    pub forecast: JobForecast,
}

/// Progress of a job: the counts of its summary, without the failures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Progress {
    /// Public id of the job.
    pub job: String,
    /// Name from the job file.
    pub name: String,
    /// State of the job, such as `running` or `succeeded`.
    pub state: String,
    /// Phase of its library: `scanning`, `planning` or `sealed`.
    pub phase: String,
    /// Assets that the scan has listed so far.
    pub assets: u64,
    /// Bytes of media read.
    pub bytes: u64,
    /// Bytes a second that its units move at the moment; a few seconds old.
    #[serde(default)]
    pub bytes_per_second: u64,
    /// Counts of the units of all steps.
    pub units: Units,
    /// Units that run and move bytes, those that have moved the most first, at most 50; only where one job is asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub running: Vec<UnitProgress>,
    /// Pending tasks that its units wait for, by number; the first 20. Only where one job is asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<OpenTask>,
    /// Members of this answer that are cut off at their maximum, such as `failures`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub truncated: Vec<String>,
}

/// Progress of one job, with its forecast.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct JobProgress {
    /// Counts, rates and running units.
    #[serde(flatten)]
    pub progress: Progress,
    /// Priority, progress in percent and forecast.
    #[serde(flatten)]
    pub forecast: JobForecast,
}

/// Progress of a running unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UnitProgress {
    /// Public id of the unit, `job/step/partition`.
    pub unit: String,
    /// Worker that runs it.
    pub worker: String,
    /// Bytes moved in this execution.
    pub bytes: u64,
    /// Declared bytes of its assets, where they are declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// Bytes a second.
    pub bytes_per_second: u64,
}

/// What a job waits for, and what ends the wait.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct JobExplanation {
    /// Public id of the job.
    pub job: String,
    /// State of the job, such as `running` or `succeeded`.
    pub state: String,
    /// Phase of its library: `scanning`, `planning` or `sealed`.
    pub phase: String,
    /// Units that have not ended.
    pub units_open: u64,
    /// Of those, units that pause before another attempt.
    pub units_retrying: u64,
    /// Priority, progress and forecast.
    #[serde(flatten)]
    pub forecast: JobForecast,
    /// Barriers that are not open: of each step the first 20 that are held and the first 20 that wait.
    pub barriers: Vec<BarrierExplanation>,
    /// Barriers that are not open, with those that `barriers` leaves out.
    #[serde(default)]
    pub barriers_open: u64,
    /// Pending tasks that its units wait for, by number; the first 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<OpenTask>,
    /// Members of this answer that are cut off at their maximum, such as `failures`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub truncated: Vec<String>,
    /// Message about the job as a whole: why it failed, that its library is empty, or why no worker lists it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// Refuses a word that is not among the known ones.
pub(super) fn known_word(what: &str, word: Option<&str>, known: &[&str]) -> Answer<()> {
    match word.filter(|word| !known.contains(word)) {
        Some(wrong) => Err(Error::Invalid(
            format!("unknown {what} {wrong:?}"),
            suggest(wrong, known),
        )),
        None => Ok(()),
    }
}

/// Refuses a word that names no state of a job.
pub fn job_state(word: Option<&str>) -> Answer<()> {
    known_word("state", word, &JobState::ALL.map(JobState::as_str))
}

/// Lists jobs, newest first.
pub fn jobs(tx: &mut dyn Tx, filter: &JobsFilter, now: Timestamp) -> Answer<Vec<JobListed>> {
    limit_in_range(filter.limit)?;
    job_state(filter.state.as_deref())?;
    let before = match &filter.after {
        None => None,
        Some(id) => match tx.job_by_id(id)? {
            Some(row) => Some(row.no),
            None => return Err(Error::NotFound),
        },
    };
    let rows = tx.job_views(
        filter.state.as_deref().and_then(JobState::parse),
        before,
        filter.limit,
    )?;
    let facts = ForecastFacts::read(tx, now)?;
    rows.into_iter()
        .map(|row| Ok(listed(tx, row, &facts)?))
        .collect()
}

/// Ids of jobs that begin with a text, in their order.
pub fn job_ids(tx: &mut dyn Tx, filter: &JobIdsFilter) -> Answer<Vec<String>> {
    limit_in_range(filter.limit)?;
    if filter.prefix.chars().count() > PREFIX_MAX {
        return Err(Error::Invalid(
            format!("prefix is longer than {PREFIX_MAX} characters"),
            "the beginning of a job id".into(),
        ));
    }
    Ok(tx.job_ids(&filter.prefix, filter.limit)?)
}

/// A job as lists show it.
pub(super) fn listed(
    tx: &mut dyn Tx,
    row: JobRow,
    facts: &ForecastFacts,
) -> StoreResult<JobListed> {
    let units = match totals(tx, &row) {
        // It is set aside; the others are shown.
        Err(StoreError::Corrupt(_)) => Units::default(),
        units => units?,
    };
    let forecast = facts.of(tx, &row, &units)?;
    Ok(JobListed {
        units,
        forecast,
        bytes_per_second: rate_of(tx, &row)?.bytes_per_second as u64,
        job: row.id,
        name: row.name,
        state: row.state.as_str().to_owned(),
        assets: row.assets,
        submitted_at: row.submitted_at.to_string(),
        ended_at: row.ended_at.map(|t| t.to_string()),
    })
}

/// Summary of a job: counts, durations, barriers and failures.
pub fn job(tx: &mut dyn Tx, id: &str, now: Timestamp) -> Answer<Summary> {
    readable(id, read_job(tx, id, now))
}

fn read_job(tx: &mut dyn Tx, id: &str, now: Timestamp) -> Answer<Summary> {
    match tx.job_by_id(id)? {
        Some(row) => Ok(summary(tx, &Workflows::default(), row.no, now)?),
        None => Err(Error::NotFound),
    }
}

/// How far a job is, and when it will end.
pub fn progress(tx: &mut dyn Tx, id: &str, now: Timestamp) -> Answer<JobProgress> {
    readable(id, read_progress(tx, id, now))
}

fn read_progress(tx: &mut dyn Tx, id: &str, now: Timestamp) -> Answer<JobProgress> {
    let row = tx.job_by_id(id)?.ok_or(Error::NotFound)?;
    let rate = rate_of(tx, &row)?;
    let running = rate.units.into_iter().map(|unit| UnitProgress {
        unit: format!("{}/{}/{}", row.id, unit.step, unit.part),
        worker: unit.worker,
        bytes: unit.bytes,
        total: unit.total,
        bytes_per_second: unit.bytes_per_second as u64,
    });
    let running: Vec<UnitProgress> = running.collect();
    let open = open_tasks(tx, row.no)?;
    let units = totals(tx, &row)?;
    let forecast = ForecastFacts::read(tx, now)?.of(tx, &row, &units)?;
    Ok(JobProgress {
        progress: Progress {
            truncated: truncated([
                ("running", running.len() >= RATE_UNITS_MAX),
                ("tasks", open.more),
            ]),
            running,
            tasks: open.tasks,
            ..progress_of(tx, row)?
        },
        forecast,
    })
}

/// How fast a job moves bytes; nothing when it has ended.
fn rate_of(tx: &mut dyn Tx, row: &JobRow) -> StoreResult<TransferRate> {
    if row.state.has_ended() {
        return Ok(TransferRate::default());
    }
    Ok(tx.rate(row.no)?.unwrap_or_default())
}

/// How far a job is whose row is at hand.
pub fn progress_of(tx: &mut dyn Tx, row: JobRow) -> StoreResult<Progress> {
    Ok(Progress {
        bytes_per_second: rate_of(tx, &row)?.bytes_per_second as u64,
        running: Vec::new(),
        tasks: Vec::new(),
        truncated: Vec::new(),
        units: totals(tx, &row)?,
        job: row.id,
        name: row.name,
        state: row.state.as_str().to_owned(),
        phase: row.phase.as_str().to_owned(),
        assets: row.assets,
        bytes: row.bytes,
    })
}

/// Explains a job: what is open, and which barriers wait for what.
pub fn explain_job(tx: &mut dyn Tx, id: &str, now: Timestamp) -> Answer<JobExplanation> {
    readable(id, read_explain_job(tx, id, now))
}

fn read_explain_job(tx: &mut dyn Tx, id: &str, now: Timestamp) -> Answer<JobExplanation> {
    let Some(row) = tx.job_by_id(id)? else {
        return Err(Error::NotFound);
    };
    let units = totals(tx, &row)?;
    let barriers = explain::barriers(tx, &Workflows::default(), &row)?;
    let barriers_open = explain::barriers_open(tx, &Workflows::default(), &row)?;
    let open = open_tasks(tx, row.no)?;
    Ok(JobExplanation {
        truncated: truncated([
            ("barriers", barriers_open > barriers.len() as u64),
            ("tasks", open.more),
        ]),
        tasks: open.tasks,
        barriers_open,
        job: row.id.clone(),
        state: row.state.as_str().to_owned(),
        phase: row.phase.as_str().to_owned(),
        units_open: units
            .total
            .saturating_sub(units.succeeded + units.dead + units.cancelled),
        units_retrying: units.failed,
        forecast: ForecastFacts::read(tx, now)?.of(tx, &row, &units)?,
        barriers,
        message: match row.message {
            None if row.phase == Phase::Scanning && row.state == JobState::Running => {
                listing_wait(tx, now)?
            }
            message => message,
        },
    })
}

/// Why no library is listed; `None` where a live worker lists libraries.
fn listing_wait(tx: &mut dyn Tx, now: Timestamp) -> StoreResult<Option<String>> {
    let no_slots = wait_details::slots(tx, Kind::Scan, now)? == Some(0);
    Ok(no_slots.then(|| {
        "its library is not listed: no live worker has slots for scan; start one, or release one from quarantine: \
         showrunner worker list"
            .to_owned()
    }))
}

/// Progress of jobs that have not ended, newest first, at most `limit`.
pub fn open_progress(tx: &mut dyn Tx, limit: u32) -> StoreResult<Vec<Progress>> {
    let open = tx.jobs(true, limit)?;
    let mut all = Vec::with_capacity(open.len());
    for row in open {
        match progress_of(tx, row) {
            Ok(progress) => all.push(progress),
            // It is set aside; the others are shown.
            Err(StoreError::Corrupt(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(all)
}
