//! The cluster at a glance: open jobs with their forecasts, slots and what limits each kind, the slowest running units,
//! and workers.
use crate::error::Answer;
use crate::paging::limit_in_range;
use crate::query::cluster_stats::ready_units;
use crate::query::job_forecast::ForecastFacts;
use crate::query::jobs::{JobListed, listed};
use crate::query::wait_details::slots_by_kind;
use crate::query::wait_reason;
use crate::query::workers::{WorkerView, view};
use crate::store::{Activity, JobRow, Phase, RunningUnit, StoreError, StoreResult, Tx};
use crate::workflows::Workflows;
use protocol::id::{JobNo, Kind, StepNo};
use protocol::model::slot_count::SlotCount;
use protocol::rules::schedule::bottleneck::{KindLoad, bottleneck};
use protocol::rules::schedule::wait_reason::WaitReason;
use protocol::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};

/// Running units that are listed at most.
const SLOWEST_MAX: usize = 20;

/// Page of the open jobs in a status.
#[derive(Debug, Clone, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct StatusFilter {
    /// Open jobs at most, the newest first.
    #[param(minimum = 1, maximum = 1000)]
    #[serde(default = "jobs_shown")]
    pub limit: u32,
}

fn jobs_shown() -> u32 {
    100
}

/// The cluster at a glance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// The moment of the answer, RFC 3339 in UTC.
    pub at: String,
    /// When the leader wrote its last look at running work; absent before a leader has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen_at: Option<String>,
    /// Jobs that have not ended, newest first.
    pub jobs: Vec<JobListed>,
    /// Whether there are more open jobs than are listed. Ready units of the others are not counted.
    pub more_jobs: bool,
    /// Slots and ready units by kind; kinds without slots and without units are missing.
    pub kinds: Vec<KindStatus>,
    /// Running units, those that exceed the usual duration of such units the most first; at most 20.
    pub slowest: Vec<SlowUnit>,
    /// Workers with a recent heartbeat.
    pub workers: Vec<WorkerView>,
}

/// Slots and units of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KindStatus {
    /// Kind of the units, such as `transfer`.
    pub kind: String,
    /// Slots of live workers that run a unit.
    pub busy: u32,
    /// Slots of live workers.
    pub slots: u32,
    /// Units that are ready and not with a worker.
    pub ready: u64,
    /// Units that are published or with a worker.
    pub out: u64,
    /// Reason code of the resource that limits this kind: `no_slot`, `no_worker`, `endpoint_limit`, `endpoint_backoff`,
    /// `tenant_share`, `class_share` or `workers_leave`; absent where none does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub limited_by: Option<WaitReason>,
    /// The limit as a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// A running unit and the usual duration of such units.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SlowUnit {
    /// Public id of the unit, `job/step/partition`.
    pub unit: String,
    /// Kind of the unit.
    pub kind: String,
    /// Worker that runs it.
    pub worker: String,
    /// When a heartbeat showed it first, RFC 3339 in UTC.
    pub since: String,
    /// Seconds since then.
    pub seconds: f64,
    /// Median duration of units of this kind and size in seconds; absent before one has been measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usual_seconds: Option<f64>,
    /// 90th percentile of it in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usual_p90_seconds: Option<f64>,
}

/// The status of the cluster at `now`.
pub fn status(tx: &mut dyn Tx, filter: &StatusFilter, now: Timestamp) -> Answer<Status> {
    limit_in_range(filter.limit)?;
    let facts = ForecastFacts::read(tx, now)?;
    let activity = tx.activity()?;
    let workers = tx.workers()?;
    let mut open = tx.jobs(true, filter.limit + 1)?;
    let more_jobs = open.len() > filter.limit as usize;
    open.truncate(filter.limit as usize);
    let mut loads = Loads::new(slots_by_kind(&workers, now), activity.as_ref());
    let workflows = Workflows::default();
    let mut jobs = Vec::with_capacity(open.len());
    for row in open {
        loads.add(tx, &workflows, &row)?;
        jobs.push(listed(tx, row, &facts)?);
    }
    let running = activity.as_ref().map_or(&[][..], |seen| &seen.running);
    Ok(Status {
        at: now.to_string(),
        seen_at: activity.as_ref().map(|seen| seen.at.to_string()),
        slowest: slowest(tx, &workflows, running, &facts, now)?,
        jobs,
        more_jobs,
        kinds: loads.kinds(),
        workers: workers.into_iter().map(|row| view(row, now)).collect(),
    })
}

/// Ready and running units by kind.
struct Loads {
    kinds: BTreeMap<Kind, (KindLoad, u64)>,
    out: BTreeMap<(JobNo, StepNo), u64>,
}

impl Loads {
    fn new(slots: BTreeMap<Kind, SlotCount>, activity: Option<&Activity>) -> Loads {
        let of_slots = |(kind, of): (Kind, SlotCount)| {
            let load = KindLoad {
                slots: of.total,
                free: of.free,
                ..KindLoad::default()
            };
            (kind, (load, 0))
        };
        let out = activity.map_or(&[][..], |seen| &seen.out);
        Loads {
            kinds: slots.into_iter().map(of_slots).collect(),
            out: out
                .iter()
                .map(|(job, step, units)| ((*job, *step), u64::from(*units)))
                .collect(),
        }
    }

    /// Adds the units of an open job.
    fn add(&mut self, tx: &mut dyn Tx, workflows: &Workflows, job: &JobRow) -> StoreResult<()> {
        let Some(workflow) = workflows.readable(tx, job.no)? else {
            return Ok(());
        };
        let counters = match tx.steps(job.no) {
            // It is set aside; the others are counted.
            Err(StoreError::Corrupt(_)) => return Ok(()),
            counters => counters?,
        };
        let withheld = tx.withheld(job.no)?;
        let out_of = |out: &BTreeMap<_, u64>, step| out.get(&(job.no, step)).copied().unwrap_or(0);
        let scanning = out_of(&self.out, StepNo::SCAN);
        let waits = job.phase == Phase::Scanning && scanning == 0;
        self.count(Kind::Scan, u64::from(waits), scanning, None);
        for counter in &counters {
            let Some((step, kind)) = workflow
                .step(counter.step)
                .and_then(|step| Some((step, step.kind()?)))
            else {
                continue;
            };
            let out = out_of(&self.out, counter.step);
            let ready = ready_units(job, step, counter, out);
            let reason = withheld.iter().find(|row| row.step == counter.step);
            self.count(kind, ready, out, reason.map(|row| row.reason));
        }
        Ok(())
    }

    fn count(&mut self, kind: Kind, ready: u64, out: u64, withheld: Option<WaitReason>) {
        if ready + out == 0 {
            return;
        }
        let (load, all_out) = self.kinds.entry(kind).or_default();
        load.ready += ready;
        *all_out += out;
        if ready > 0 {
            load.withheld = load.withheld.or(withheld);
        }
    }

    fn kinds(self) -> Vec<KindStatus> {
        let status = |(kind, (load, out)): (Kind, (KindLoad, u64))| {
            let limited_by = bottleneck(&load);
            KindStatus {
                kind: kind.as_str().to_owned(),
                busy: load.slots.saturating_sub(load.free),
                slots: load.slots,
                ready: load.ready,
                out,
                limited_by,
                message: limited_by.map(|reason| match reason {
                    WaitReason::NoSlot => "every slot of this kind is busy".to_owned(),
                    reason => wait_reason::message(reason, ""),
                }),
            }
        };
        self.kinds.into_iter().map(status).collect()
    }
}

/// Running units with the usual duration of such units.
fn slowest(
    tx: &mut dyn Tx,
    workflows: &Workflows,
    running: &[RunningUnit],
    facts: &ForecastFacts,
    now: Timestamp,
) -> StoreResult<Vec<SlowUnit>> {
    let usual = |unit: &RunningUnit, q| {
        let sketch = facts.costs().of(unit.kind, unit.size)?;
        sketch.quantile(q).map(|length| length.as_secs_f64())
    };
    // How many times the usual duration it has run. What was never measured comes last, longest first.
    let excess = |unit: &RunningUnit| {
        let seconds = now.since(unit.since).as_secs_f64();
        (
            usual(unit, 0.5).map_or(0.0, |usual| seconds / usual.max(0.001)),
            seconds,
        )
    };
    let mut ordered: Vec<(&RunningUnit, (f64, f64))> =
        running.iter().map(|unit| (unit, excess(unit))).collect();
    ordered.sort_by(|(_, a), (_, b)| b.0.total_cmp(&a.0).then(b.1.total_cmp(&a.1)));
    let mut listed = Vec::with_capacity(SLOWEST_MAX);
    for (unit, (_, seconds)) in ordered.into_iter().take(SLOWEST_MAX) {
        let Some((job, workflow)) = workflows.job(tx, unit.job)? else {
            continue;
        };
        let step = match workflow.step(unit.step) {
            Some(step) => step.id.as_str(),
            None => "scan",
        };
        listed.push(SlowUnit {
            unit: format!("{}/{step}/{}", job.id, unit.part),
            kind: unit.kind.as_str().to_owned(),
            worker: unit.worker.clone(),
            since: unit.since.to_string(),
            seconds,
            usual_seconds: usual(unit, 0.5),
            usual_p90_seconds: usual(unit, 0.9),
        });
    }
    Ok(listed)
}
