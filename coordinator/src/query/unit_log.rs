//! The executions of a unit.
use crate::error::{Answer, Error};
use crate::paging::{limit_in_range, page};
use crate::query::units;
use crate::rows::{find_job, readable};
use crate::store::{AttemptRow, LossRow, Tx};
use protocol::id::{PartNo, UnitId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// A page of the executions of a unit.
#[derive(Debug, Clone, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct UnitLogFilter {
    /// Start after this epoch: the last one of the page before.
    #[param(minimum = 0, maximum = 4_294_967_295u32)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<u32>,
    /// Executions at most.
    #[param(minimum = 1, maximum = 1000)]
    #[serde(default = "page")]
    pub limit: u32,
}

/// An execution of a unit that failed or was lost, or that ended a unit which had failed before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Execution {
    /// The epoch under which the unit was executed: it rises with each dispatch of the unit. 0 in a unit that
    /// was split off: it was executed as a part of another.
    pub epoch: u32,
    /// The worker that executed it.
    pub worker: String,
    /// `succeeded`, `failed`, or `lost`: the worker fell silent and its lease was taken back.
    pub result: String,
    /// When the coordinator settled the report or took the lease back.
    pub ended_at: String,
    /// Execution time; `null` when the execution was lost.
    pub seconds: Option<f64>,
    /// Number of assets that failed; 0 when the unit failed as a whole.
    pub assets_failed: u32,
    /// Reason code of the first failure.
    pub reason: Option<String>,
    /// Error class of the first failure.
    pub class: Option<String>,
    /// What failed first, and what to do about it.
    pub message: Option<String>,
}

impl From<AttemptRow> for Execution {
    fn from(row: AttemptRow) -> Execution {
        let result = if row.failure.is_some() {
            "failed"
        } else {
            "succeeded"
        };
        let class = row
            .failure
            .as_ref()
            .map(|failure| failure.class.as_str().to_owned());
        let (reason, message) = row
            .failure
            .map(|failure| (failure.reason, failure.message))
            .unzip();
        Execution {
            epoch: row.epoch,
            worker: row.worker,
            result: result.to_owned(),
            ended_at: row.ended_at.to_string(),
            seconds: Some(row.duration_us as f64 / 1e6),
            assets_failed: row.assets_failed,
            reason,
            class,
            message,
        }
    }
}

impl From<LossRow> for Execution {
    fn from(row: LossRow) -> Execution {
        Execution {
            epoch: row.epoch,
            worker: row.worker,
            result: "lost".to_owned(),
            ended_at: row.at.to_string(),
            seconds: None,
            assets_failed: 0,
            reason: None,
            class: None,
            message: None,
        }
    }
}

/// The executions of a unit by epoch. A unit that succeeded at once has none.
pub fn unit_log(
    tx: &mut dyn Tx,
    job: &str,
    step: &str,
    part: PartNo,
    filter: &UnitLogFilter,
) -> Answer<Vec<Execution>> {
    limit_in_range(filter.limit)?;
    units::unit(tx, job, step, part)?;
    let row = find_job(tx, job)?;
    let workflow = readable(job, tx.workflow(row.no).map_err(Error::Store))?;
    let step = workflow.step_no(step).ok_or(Error::NotFound)?;
    let unit = UnitId::new(row.no, step, part);
    let attempts = tx
        .attempts(unit, filter.after, filter.limit)?
        .into_iter()
        .map(Execution::from);
    let lost = tx
        .losses(&[unit])?
        .into_iter()
        .filter(|loss| filter.after.is_none_or(|after| loss.epoch > after))
        .map(Execution::from);
    let mut executions: Vec<Execution> = attempts.chain(lost).collect();
    executions.sort_by_key(|execution| execution.epoch);
    executions.truncate(filter.limit as usize);
    Ok(executions)
}
