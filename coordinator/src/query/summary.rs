//! The summary of a job: what `job get` and `run` print, field for field as documented.
pub use crate::query::failure_summary::FailureSummary;

use crate::query::failure_summary::rejected_row;
use crate::query::job_forecast::{ForecastFacts, JobForecast};
use crate::query::open_tasks::{OpenTask, open_tasks};
use crate::query::rejected_rows::library_name;
use crate::query::truncated::truncated;
use crate::query::unit_counts::Units;
use crate::review::waivers::{Waivers, policy_name};
use crate::rows::job_row;
use crate::store::{Carried, FailureRow, JobRow, StepRow, StoreResult, Tx};
use crate::workflows::Workflows;
use protocol::id::{JobNo, StepNo};
use protocol::model::qc::read_findings;
use protocol::rules::review::waiver::JudgedContent;
use protocol::rules::unit::transition::UnitState;
use protocol::time::Timestamp;
use protocol::workflow::{Action, Step, Workflow};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use utoipa::ToSchema;

/// Failures of units, and rejected rows, that a summary lists at most.
const FAILURES_MAX: u32 = 10_000;
/// Hashes of assets looked up in one statement.
const HASHES_PAGE: usize = 1_000;

/// Summary of a job: counts, durations, barriers and failures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Summary {
    /// Public id of the job.
    pub job: String,
    /// Name from the job file.
    pub name: String,
    /// State of the job, such as `running` or `succeeded`.
    pub state: String,
    /// Assets that the scan has listed so far.
    pub assets: u64,
    /// Bytes of media read.
    pub bytes: u64,
    /// Seconds since submission, or until the end.
    pub seconds: f64,
    /// Counts of the units of all steps.
    pub units: Units,
    /// When it was submitted, RFC 3339 in UTC.
    #[serde(default)]
    pub submitted_at: String,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<String>,
    /// Priority, progress and forecast.
    #[serde(flatten)]
    pub forecast: JobForecast,
    /// Units by step.
    pub steps: Vec<StepSummary>,
    /// Barrier instances by step.
    pub barriers: Vec<BarrierSummary>,
    /// Counts of transfers.
    #[serde(default)]
    pub transfer: TransferSummary,
    /// Counts of QC.
    pub qc: QcSummary,
    /// Assets that failed.
    pub failures: Vec<FailureSummary>,
    /// Assets that continue although checks failed: waived, or under `on_failure: continue`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waived: Vec<FailureSummary>,
    /// Rows of the library that cannot be used; `failures` lists them with step `scan`.
    #[serde(default)]
    pub rows_rejected: u64,
    /// Pending tasks that its units wait for, by number; the first 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<OpenTask>,
    /// Members of this answer that are cut off at their maximum, such as `failures`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub truncated: Vec<String>,
    /// Message about the job as a whole: why it failed, or that its library is empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// Units of one step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StepSummary {
    /// Name of the step in the job file.
    pub id: String,
    /// Kind of the step, such as `transfer`.
    pub kind: String,
    /// Counts of the units of this step.
    pub units: Units,
}

/// Instances of one barrier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BarrierSummary {
    /// Name of the barrier step in the job file.
    pub id: String,
    /// Scope of an instance: `title`, `batch` or `job`.
    pub scope: String,
    /// Number of instances: one for each title, batch or job in its scope.
    pub total: u64,
    /// Instances that let their dependents run.
    pub released: u64,
    /// Instances that still hold their dependents.
    pub held: u64,
}

/// Counts of QC in a job.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct QcSummary {
    /// Judgements of assets; an asset counts once for each judgement.
    pub judged: u64,
    /// Of those, judgements that decoded media; the others reused stored fact sheets.
    pub decoded: u64,
    /// Assets in `failures` that did not pass a check.
    #[serde(default)]
    pub failed: u64,
    /// Assets in `waived`: they did not pass either, and a waiver accepts them.
    #[serde(default)]
    pub waived: u64,
}

/// Counts of transfers in a job; an asset counts once for each transfer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TransferSummary {
    /// Assets that were written to their destination.
    pub copied: u64,
    /// Bytes of these.
    pub copied_bytes: u64,
    /// Assets whose destination already had the same content: compared, not written.
    pub present: u64,
    /// Bytes of these.
    pub present_bytes: u64,
}

impl From<Carried> for TransferSummary {
    fn from(carried: Carried) -> TransferSummary {
        TransferSummary {
            copied: carried.copied,
            copied_bytes: carried.copied_bytes,
            present: carried.landed.saturating_sub(carried.copied),
            present_bytes: carried.landed_bytes.saturating_sub(carried.copied_bytes),
        }
    }
}

/// All units of a job, without reading what failed.
pub fn totals(tx: &mut dyn Tx, job: &JobRow) -> StoreResult<Units> {
    let workflow = tx.workflow(job.no)?;
    let ended = job.state.has_ended();
    let counters = tx.steps(job.no)?;
    let of_units = counters
        .iter()
        .filter(|c| workflow.step(c.step).is_some_and(|step| step.has_units()));
    Ok(sum(of_units.map(|counter| units(counter, ended))))
}

/// The account of a job at `now`.
pub fn summary(
    tx: &mut dyn Tx,
    workflows: &Workflows,
    job: JobNo,
    now: Timestamp,
) -> StoreResult<Summary> {
    let row = job_row(tx, job)?;
    let workflow = workflows.of(tx, job)?;
    let steps = steps(tx, &workflow, &row)?;
    let units = sum(steps.iter().map(|step| step.units));
    let barriers = barriers(tx, &workflow, &row)?;
    let Failures {
        failed: failures,
        let_stand: waived,
        cut_off,
    } = failures(tx, &workflow, &row, now)?;
    let open = open_tasks(tx, row.no)?;
    Ok(Summary {
        job: row.id.clone(),
        name: row.name.clone(),
        state: row.state.as_str().to_owned(),
        assets: row.assets,
        bytes: row.bytes,
        seconds: row
            .ended_at
            .unwrap_or(now)
            .since(row.submitted_at)
            .as_secs_f64(),
        submitted_at: row.submitted_at.to_string(),
        ended_at: row.ended_at.map(|t| t.to_string()),
        forecast: ForecastFacts::read(tx, now)?.of(tx, &row, &units)?,
        units,
        steps,
        barriers,
        transfer: row.carried.into(),
        qc: QcSummary {
            judged: row.judged,
            decoded: row.decoded,
            failed: failures
                .iter()
                .filter(|failure| !failure.checks.is_empty())
                .count() as u64,
            waived: waived.len() as u64,
        },
        failures,
        waived,
        rows_rejected: row.row_errors,
        truncated: truncated([("failures", cut_off), ("tasks", open.more)]),
        tasks: open.tasks,
        message: row.message,
    })
}

/// Steps that have units, with the counts of their units.
fn steps(tx: &mut dyn Tx, workflow: &Workflow, job: &JobRow) -> StoreResult<Vec<StepSummary>> {
    let counters = tx.steps(job.no)?;
    let ended = job.state.has_ended();
    let counted = workflow
        .numbered()
        .filter(|(_, step)| matches!(step.action, Action::Units { .. } | Action::Approval { .. }));
    let summary = |(no, step): (StepNo, &Step)| {
        let counter = counters.iter().find(|c| c.step == no);
        StepSummary {
            id: step.id.clone(),
            kind: step.kind_word().to_owned(),
            units: counter.map_or_else(Units::default, |c| units(c, ended)),
        }
    };
    Ok(counted.map(summary).collect())
}

/// Counts of several steps together.
fn sum(steps: impl Iterator<Item = Units>) -> Units {
    steps.fold(Units::default(), |sum, units| Units {
        total: sum.total + units.total,
        succeeded: sum.succeeded + units.succeeded,
        failed: sum.failed + units.failed,
        dead: sum.dead + units.dead,
        cancelled: sum.cancelled + units.cancelled,
    })
}

/// Barriers with the counts of their instances. Once the job has ended, all that are not released are held.
fn barriers(
    tx: &mut dyn Tx,
    workflow: &Workflow,
    job: &JobRow,
) -> StoreResult<Vec<BarrierSummary>> {
    let mut barriers = Vec::new();
    for (no, step) in workflow.numbered() {
        let Action::Barrier { scope, .. } = &step.action else {
            continue;
        };
        let counts = tx.barrier_counts(job.no, no)?;
        barriers.push(BarrierSummary {
            id: step.id.clone(),
            scope: scope.as_str().to_owned(),
            total: counts.total,
            released: counts.released,
            held: if job.state.has_ended() {
                counts.total - counts.released
            } else {
                counts.held
            },
        });
    }
    Ok(barriers)
}

fn units(counter: &StepRow, ended: bool) -> Units {
    let cancelled = match ended {
        true => counter
            .total
            .saturating_sub(counter.succeeded.saturating_add(counter.dead)),
        false => counter.cancelled,
    };
    Units {
        total: counter.total,
        succeeded: counter.succeeded,
        failed: counter.retrying,
        dead: counter.dead,
        cancelled,
    }
}

/// Hashes of judged assets, asked for together.
fn hashes_of_judged(tx: &mut dyn Tx, rows: &[FailureRow]) -> StoreResult<HashMap<String, String>> {
    let judged = rows.iter().filter(|row| !row.failure.checks.is_empty());
    let judged: Vec<&str> = judged.map(|row| row.asset.as_str()).collect();
    let mut hashes = HashMap::new();
    for page in judged.chunks(HASHES_PAGE) {
        hashes.extend(tx.catalogue_hashes(page)?);
    }
    Ok(hashes)
}

/// Failures of a job, and whether there are more than a summary lists.
struct Failures {
    failed: Vec<FailureSummary>,
    let_stand: Vec<FailureSummary>,
    cut_off: bool,
}

/// Failed assets, and assets that failed QC checks while their unit succeeded: waived, or under `on_failure: continue`.
fn failures(
    tx: &mut dyn Tx,
    workflow: &Workflow,
    job: &JobRow,
    now: Timestamp,
) -> StoreResult<Failures> {
    let library = library_name(workflow);
    let rejected = tx.row_errors(job.no, FAILURES_MAX)?;
    let mut list: Vec<FailureSummary> = rejected
        .into_iter()
        .map(|row| rejected_row(library, row))
        .collect();
    let (mut let_stand, mut waivers) = (Vec::new(), Waivers::default());
    let mut rows = tx.failures(job.no, FAILURES_MAX + 1)?;
    let cut_off = rows.len() > FAILURES_MAX as usize || job.row_errors > u64::from(FAILURES_MAX);
    rows.truncate(FAILURES_MAX as usize);
    let hashes = hashes_of_judged(tx, &rows)?;
    let policy_of = |row: &FailureRow| {
        let step = workflow.step(row.unit.step);
        step.and_then(|step| step.qc())
            .map(policy_name)
            .unwrap_or_default()
    };
    let policies: Vec<String> = rows.iter().map(policy_of).collect();
    let hash_of = |row: &FailureRow| hashes.get(&row.asset).map_or("", String::as_str);
    let deliveries = rows.iter().zip(&policies).map(|(row, policy)| {
        let delivery = JudgedContent {
            asset: &row.asset,
            title: &row.title,
            policy,
            hash: hash_of(row),
        };
        (row.failure.checks.as_slice(), delivery)
    });
    waivers.look_up(tx, deliveries)?;
    for (row, policy) in rows.into_iter().zip(policies) {
        let kept = match row.state {
            UnitState::Dead => &mut list,
            UnitState::Succeeded if !row.failure.checks.is_empty() => &mut let_stand,
            _ => continue,
        };
        let hash = hashes.get(&row.asset).map_or("", String::as_str);
        let delivery = JudgedContent {
            asset: &row.asset,
            title: &row.title,
            policy: &policy,
            hash,
        };
        let waived = waivers.about(tx, &row.failure.checks, &delivery, now)?;
        kept.push(FailureSummary {
            asset: row.asset,
            title: row.title,
            step: workflow
                .step(row.unit.step)
                .map(|s| s.id.clone())
                .unwrap_or_default(),
            reason: row.failure.reason,
            checks: row.failure.checks,
            message: row.failure.message,
            findings: row.failure.findings.and_then(|text| read_findings(&text)),
            waived,
        });
    }
    Ok(Failures {
        failed: list,
        let_stand,
        cut_off,
    })
}
