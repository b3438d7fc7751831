//! Priority, progress and forecast of a job: the members that every answer about a job has.
use crate::dispatch::costs::Costs;
use crate::dispatch::forecast::{Outlook, outlook};
use crate::query::unit_counts::Units;
use crate::query::wait_details::slots_by_kind;
use crate::store::{JobRow, Phase, StoreError, StoreResult, Tx};
use crate::workflows::Workflows;
use protocol::id::{JobNo, Kind};
use protocol::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// Priority, progress and forecast of a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct JobForecast {
    /// Priority class: `urgent`, `normal` or `bulk`.
    pub priority: String,
    /// The tenant that the work belongs to.
    pub tenant: String,
    /// Units that have ended, in percent of all; absent while the library is listed and planned, because the number of
    /// units is not known before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<f64>,
    /// Units a second that end; a few seconds old.
    #[serde(default)]
    pub units_per_second: f64,
    /// Deadline and forecast end.
    #[serde(flatten)]
    pub outlook: Outlook,
}

/// What forecasts of all jobs are made of, read once for an answer.
pub struct ForecastFacts {
    costs: Costs,
    slots: BTreeMap<Kind, u32>,
    rates: BTreeMap<JobNo, f64>,
    now: Timestamp,
}

impl ForecastFacts {
    /// Reads learned durations, the slots of live workers, and rates.
    pub fn read(tx: &mut dyn Tx, now: Timestamp) -> StoreResult<ForecastFacts> {
        let slots = slots_by_kind(&tx.workers()?, now).into_values();
        let activity = tx.activity()?;
        Ok(ForecastFacts {
            costs: Costs::read(tx)?,
            slots: slots.map(|of| (of.kind, of.total)).collect(),
            rates: activity.map_or_else(BTreeMap::new, |seen| seen.rates.into_iter().collect()),
            now,
        })
    }

    /// Durations that were measured.
    pub(super) fn costs(&self) -> &Costs {
        &self.costs
    }

    /// The forecast of a job. A job that this version cannot read has none, and no units.
    pub fn of(&self, tx: &mut dyn Tx, job: &JobRow, units: &Units) -> StoreResult<JobForecast> {
        let counters = match tx.steps(job.no) {
            Err(StoreError::Corrupt(_)) => Vec::new(),
            counters => counters?,
        };
        let ended = job.state.has_ended();
        // The durations of a job that has ended are not looked up.
        let workflow = match ended {
            true => None,
            false => Workflows::default().readable(tx, job.no)?,
        };
        let rate = self.rates.get(&job.no).filter(|_| !ended);
        let outlook = match workflow {
            Some(workflow) => {
                let (costs, slots) = (&self.costs, &self.slots);
                outlook(job, &workflow, &counters, costs, slots, self.now)
            }
            None => Outlook::without_forecast(job, self.now),
        };
        Ok(JobForecast {
            priority: job.priority.as_str().to_owned(),
            tenant: job.tenant.clone(),
            percent: percent(job, units),
            units_per_second: rate.copied().unwrap_or_default(),
            outlook,
        })
    }
}

/// Units that have ended in percent of all, to one decimal and rounded down: 100 means that all have ended.
fn percent(job: &JobRow, units: &Units) -> Option<f64> {
    if job.state.has_ended() {
        return Some(100.0);
    }
    let ended = units.succeeded + units.dead + units.cancelled;
    (job.phase == Phase::Sealed && units.total > 0)
        .then(|| (ended.min(units.total) as f64 / units.total as f64 * 1_000.0).floor() / 10.0)
}
