//! Forecasts: when a job will end, and whether that is before its deadline.
use crate::dispatch::costs::Costs;
use crate::store::{JobRow, Phase, StepRow};
use protocol::id::Kind;
use protocol::rules::schedule::cost::bucket;
use protocol::rules::schedule::forecast::{
    DeadlineState, Forecast, Remaining, deadline_state, forecast,
};
use protocol::time::Timestamp;
use protocol::workflow::{Action, Workflow};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;
use utoipa::ToSchema;

/// When a job will be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Outlook {
    /// Time by which the job must end, RFC 3339 in UTC; absent when it has no deadline.
    pub deadline: Option<String>,
    /// State of the deadline, judged by the forecast: `none`, `on_track`, `at_risk`, `late`, `missed` or `unknown`.
    #[schema(value_type = String)]
    pub deadline_state: DeadlineState,
    /// Predicted end, median; absent while nothing has been measured, while no worker takes its units, and while a
    /// decision of a person is left.
    pub finish_p50: Option<String>,
    /// Predicted end, 90th percentile; absent like `finish_p50`.
    pub finish_p90: Option<String>,
    /// Seconds between `finish_p90` and the deadline; negative when it will be late.
    pub slack_seconds: Option<i64>,
}

impl Outlook {
    /// The deadline of a job alone: it has ended, or nothing is known of its units.
    pub fn without_forecast(row: &JobRow, now: Timestamp) -> Outlook {
        Outlook {
            deadline: row.deadline.map(|t| t.to_string()),
            deadline_state: deadline_state(row.deadline, None, row.ended_at.unwrap_or(now)),
            finish_p50: None,
            finish_p90: None,
            slack_seconds: None,
        }
    }
}

/// The size class of a job's usual unit.
pub fn typical_size(job: &JobRow) -> u8 {
    let parts = u64::try_from(job.parts_planned).unwrap_or(0).max(1);
    bucket(
        job.bytes_declared / parts,
        u32::try_from(job.assets / parts).unwrap_or(u32::MAX).max(1),
    )
}

/// Remaining work of each step.
pub fn remaining(
    job: &JobRow,
    workflow: &Workflow,
    counters: &[StepRow],
    costs: &Costs,
) -> Vec<Remaining> {
    let size = typical_size(job);
    let of = |counter: &StepRow| {
        let kind = workflow.step(counter.step)?.kind()?;
        let units = counter
            .total
            .saturating_sub(counter.succeeded + counter.dead + counter.cancelled);
        let sketch = costs.of(kind, size);
        Some(Remaining {
            kind,
            units,
            mean: sketch.and_then(|s| s.mean()),
            p50: sketch.and_then(|s| s.quantile(0.5)),
            p90: sketch.and_then(|s| s.quantile(0.9)),
        })
    };
    counters.iter().filter_map(of).collect()
}

/// Whether units are left that a person decides: how long that takes is in no measurement.
fn waits_for_people(workflow: &Workflow, counters: &[StepRow]) -> bool {
    let is_decided = |counter: &&StepRow| {
        let step = workflow.step(counter.step);
        step.is_some_and(|step| matches!(step.action, Action::Approval { .. }))
    };
    counters
        .iter()
        .filter(is_decided)
        .any(|counter| counter.total > counter.succeeded + counter.dead + counter.cancelled)
}

/// The outlook of a job at `now`, when this many slots of each kind work on it.
pub fn outlook(
    row: &JobRow,
    workflow: &Workflow,
    counters: &[StepRow],
    costs: &Costs,
    slots: &BTreeMap<Kind, u32>,
    now: Timestamp,
) -> Outlook {
    let planned = row.phase == Phase::Sealed;
    let left = remaining(row, workflow, counters, costs);
    let ahead = forecast(&left, slots)
        .filter(|_| planned && !row.state.has_ended() && !waits_for_people(workflow, counters));
    let finish = |length: fn(Forecast) -> Duration| ahead.map(|ahead| now.after(length(ahead)));
    let p90 = finish(|ahead| ahead.p90);
    Outlook {
        deadline: row.deadline.map(|t| t.to_string()),
        deadline_state: deadline_state(row.deadline, ahead, row.ended_at.unwrap_or(now)),
        finish_p50: finish(|ahead| ahead.p50).map(|t| t.to_string()),
        finish_p90: p90.map(|t| t.to_string()),
        slack_seconds: row
            .deadline
            .zip(p90)
            .map(|(due, end)| due.0.saturating_sub(end.0) / 1_000_000),
    }
}
