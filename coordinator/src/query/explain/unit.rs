//! What a unit waits for, as a sentence, and what ends the wait.
use crate::query::explain::wait::UnitWait;
use crate::query::pending_tasks;
use crate::query::{wait_details, wait_reason};
use crate::store::{JobRow, StoreResult, TaskRow, Tx};
use crate::workflows::Workflows;
use protocol::id::{PartNo, StepNo, UnitId};
use protocol::rules::schedule::wait_reason::{WaitReason, reason};
use protocol::rules::unit::transition::UnitState;
use protocol::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a unit waits for, and what ends the wait.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct UnitExplanation {
    /// State of the unit; `unknown` when the workflow has no such step.
    pub state: String,
    /// Reason code of the wait.
    #[schema(value_type = String)]
    pub reason: WaitReason,
    /// The reason as a sentence, with what will change it.
    pub message: String,
    /// Time at which the wait began, when it is known.
    pub since: Option<String>,
    /// The event or command that ends the wait.
    pub next: String,
    /// Time at which the wait ends, when it is known.
    pub changes_at: Option<String>,
    /// Workers that were lost while they ran the unit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost_with: Vec<String>,
}

/// Explains one unit, without the rows of the library that hold a barrier before it.
pub(super) fn explain(
    tx: &mut dyn Tx,
    workflows: &Workflows,
    job: &JobRow,
    (step, part): (StepNo, PartNo),
    now: Timestamp,
) -> StoreResult<UnitExplanation> {
    let workflow = workflows.of(tx, job.no)?;
    let unit = UnitId::new(job.no, step, part);
    let Some(declared) = workflow.step(step) else {
        return Ok(no_such_step());
    };
    let wait = UnitWait::read(tx, &workflow, job, (unit, declared), now)?;
    let (state, why) = (wait.state, reason(&wait.facts));
    let about: Vec<&TaskRow> = wait
        .tasks
        .iter()
        .filter(|task| concerns(task, state, why, step))
        .collect();
    let mut message =
        ended(tx, job, unit, state)?.unwrap_or_else(|| wait_reason::message(why, &wait.named));
    for task in &about {
        message = format!("{message}; {}", pending_tasks::line(task));
    }
    let withheld = wait.withheld.filter(|row| row.reason == why);
    let waits_since = match &withheld {
        Some(row) => {
            message = format!("{message} (since {})", row.since);
            Some(row.since)
        }
        None => wait_details::since(tx, job, why)?,
    };
    let changes_at = wait.facts.due_at.or(withheld.and_then(|row| row.until));
    let losses = tx.losses(&[unit])?;
    Ok(UnitExplanation {
        state: state.as_str().to_owned(),
        reason: why,
        message,
        since: waits_since.map(|t| t.to_string()),
        next: about.first().map_or_else(
            || next(state, why, &job.id),
            |task| pending_tasks::next(task),
        ),
        changes_at: changes_at.map(|t| t.to_string()),
        lost_with: losses.into_iter().map(|loss| loss.worker).collect(),
    })
}

/// The message for a unit that has ended: the failure of a dead one, the success of a succeeded one.
fn ended(
    tx: &mut dyn Tx,
    job: &JobRow,
    unit: UnitId,
    state: UnitState,
) -> StoreResult<Option<String>> {
    match state {
        UnitState::Dead => why_dead(tx, job, unit).map(Some),
        UnitState::Succeeded => Ok(Some("it has succeeded".to_owned())),
        _ => Ok(None),
    }
}

/// The event or command that changes the state of a unit that waits for no task.
fn next(state: UnitState, why: WaitReason, job: &str) -> String {
    match state {
        UnitState::Succeeded => "nothing: its work is done".to_owned(),
        _ => wait_reason::next_step(why, job),
    }
}

/// Whether a unit in this state waits for a task of its partition. What was cancelled for want of a delivery ends with the
/// same task as what failed.
fn concerns(task: &TaskRow, state: UnitState, why: WaitReason, step: StepNo) -> bool {
    matches!(state, UnitState::Cancelled | UnitState::Dead)
        || why == WaitReason::TaskOpen
        || task.unit.step == step
}

/// The explanation for a step that the workflow does not have.
fn no_such_step() -> UnitExplanation {
    UnitExplanation {
        state: "unknown".into(),
        reason: WaitReason::Planning,
        message: "there is no such step".into(),
        since: None,
        next: "the name of a step of the job".into(),
        changes_at: None,
        lost_with: Vec::new(),
    }
}

/// The failures of a dead unit, and the command that retries it.
fn why_dead(tx: &mut dyn Tx, job: &JobRow, unit: UnitId) -> StoreResult<String> {
    let own = tx.failures_of(unit)?;
    let messages: Vec<String> = own
        .into_iter()
        .map(|(_, failure)| failure.message)
        .collect();
    Ok(format!(
        "{}; fix the cause, then: showrunner job retry {}",
        messages.join("; "),
        job.id
    ))
}
