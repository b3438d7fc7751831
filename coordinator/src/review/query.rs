//! Views of tasks.
use crate::error::{Answer, Error};
use crate::paging::{limit_in_range, page};
use crate::review::task_subjects::TaskSubjects;
use crate::review::waivers::{CheckWaived, Waivers};
use crate::rows::{JobCache, find_job};
use crate::store::{StoreResult, TaskFilter, TaskRow, Tx};
use crate::workflows::Workflows;
use protocol::id::UnitId;
use protocol::rules::review::task::{TaskKind, TaskState};
use protocol::rules::review::waiver::JudgedContent;
use protocol::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Criteria and page of a list of tasks.
#[derive(Debug, Clone, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct TasksFilter {
    /// `pending` (what is still to be decided or delivered), `all`, or one state.
    #[param(pattern = "^(pending|all|open|rejected|approved|waived|closed)$")]
    #[serde(default = "pending")]
    pub state: String,
    /// Only of this kind.
    #[param(pattern = "^(rework|approval)$")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Only those that units of this job wait for, or did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// Only about this asset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asset: Option<String>,
    /// Only about this title.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Start after this task: the last one of the page before.
    #[param(minimum = 0)]
    #[serde(default)]
    pub after: i64,
    /// Tasks at most.
    #[param(minimum = 1, maximum = 1000)]
    #[serde(default = "page")]
    pub limit: u32,
}

fn pending() -> String {
    "pending".to_owned()
}

/// A task: a decision of a person, pending or made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TaskView {
    /// Number of the task, as commands take it.
    pub task: i64,
    /// `rework` or `approval`.
    pub kind: String,
    /// `open`, `rejected`, `approved`, `waived` or `closed`.
    pub state: String,
    /// Id of the asset that the task is about.
    pub asset: String,
    /// Id of the title that the asset belongs to.
    pub title: String,
    /// Supplier of the asset, when the library names one.
    pub supplier: Option<String>,
    /// Of an approval: role of the person who decides.
    pub role: Option<String>,
    /// Of a rework: name of the delivery spec.
    pub policy: Option<String>,
    /// Hash of the bytes it is about.
    pub hash: Option<String>,
    /// Failed checks that the task is about.
    pub checks: Vec<String>,
    /// The findings, or the question to decide, as a sentence.
    pub message: String,
    /// Number of deliveries so far.
    pub round: u32,
    /// When it was opened.
    pub opened_at: String,
    /// Time at which it is due, RFC 3339 in UTC.
    pub due_at: Option<String>,
    /// Whether it is pending after its due time.
    pub overdue: bool,
    /// Time at which it ended, RFC 3339 in UTC.
    pub ended_at: Option<String>,
    /// Units that wait for it, or waited, as `job/step/partition`.
    pub units: Vec<String>,
    /// Waivers of its checks.
    pub waived: Vec<CheckWaived>,
    /// Findings, or the assets that are to be approved; only where one task is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    pub findings: Option<TaskSubjects>,
    /// Its history; only where one task is asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<TaskEvent>,
}

/// An event in the history of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TaskEvent {
    /// Time of the event, RFC 3339 in UTC.
    pub at: String,
    /// Actor of the event; `coordinator` for automatic ones.
    pub by: String,
    /// `opened`, `renewed`, `redelivered`, `approve`, `reject`, `waive` or `closed`.
    pub event: String,
    /// Reason of the actor, or the message that opened the task.
    pub reason: String,
    /// Hash of the asset's content at that time.
    pub hash: String,
}

/// Tasks by number.
pub fn tasks(tx: &mut dyn Tx, filter: &TasksFilter, now: Timestamp) -> Answer<Vec<TaskView>> {
    limit_in_range(filter.limit)?;
    if filter.after < 0 {
        return Err(Error::Invalid(
            format!("after is {}", filter.after),
            "the number of a task, or 0".into(),
        ));
    }
    let words = TaskState::ALL.map(TaskState::as_str);
    let known: Vec<&str> = ["pending", "all"].into_iter().chain(words).collect();
    if !known.contains(&filter.state.as_str()) {
        let hint = protocol::yaml::suggest(&filter.state, &known);
        return Err(Error::Invalid(
            format!("unknown state {:?}", filter.state),
            hint,
        ));
    }
    let kind = filter
        .kind
        .as_deref()
        .map(|word| TaskKind::parse(word).ok_or(word));
    let kind = match kind.transpose() {
        Ok(kind) => kind,
        Err(word) => {
            let hint = protocol::yaml::suggest(word, &TaskKind::ALL.map(TaskKind::as_str));
            return Err(Error::Invalid(format!("unknown kind {word:?}"), hint));
        }
    };
    let job = filter
        .job
        .as_deref()
        .map(|id| find_job(tx, id))
        .transpose()?;
    let rows = tx.tasks(&TaskFilter {
        pending: filter.state == "pending",
        kind,
        state: TaskState::parse(&filter.state),
        job: job.map(|job| job.no),
        asset: filter.asset.clone(),
        title: filter.title.clone(),
        after: filter.after,
        limit: filter.limit,
    })?;
    let mut seen = Seen::default();
    rows.into_iter()
        .map(|row| Ok(seen.view(tx, row, false, now)?))
        .collect()
}

/// One task with its findings and its history.
pub fn task(tx: &mut dyn Tx, no: i64, now: Timestamp) -> Answer<TaskView> {
    match tx.task(no)? {
        Some(row) => Ok(Seen::default().view(tx, row, true, now)?),
        None => Err(unknown(no)),
    }
}

pub(super) fn unknown(no: i64) -> Error {
    Error::Unknown(format!("no task {no}: showrunner task list --state all"))
}

/// State that the views of one answer share.
#[derive(Default)]
struct Seen {
    waivers: Waivers,
    workflows: Workflows,
    jobs: JobCache,
}

impl Seen {
    fn unit(&mut self, tx: &mut dyn Tx, unit: UnitId) -> StoreResult<Option<String>> {
        // A job that was forgotten has no units any more; of one that cannot be read none is shown.
        let Some(job) = self.jobs.get(tx, unit.job)?.map(|job| job.id.clone()) else {
            return Ok(None);
        };
        let Some(workflow) = self.workflows.readable(tx, unit.job)? else {
            return Ok(None);
        };
        let step = workflow.step(unit.step).map_or("", |step| step.id.as_str());
        Ok(Some(format!("{job}/{step}/{}", unit.part)))
    }

    fn view(
        &mut self,
        tx: &mut dyn Tx,
        row: TaskRow,
        whole: bool,
        now: Timestamp,
    ) -> StoreResult<TaskView> {
        let mut units = Vec::new();
        for unit in tx.task_units(row.no)? {
            units.extend(self.unit(tx, unit)?);
        }
        let waived = self
            .waivers
            .about(tx, &row.checks, &judged_content(&row), now)?;
        let mut history = Vec::new();
        if whole {
            history.extend(tx.task_events(row.no)?.into_iter().map(|event| TaskEvent {
                at: event.at.to_string(),
                by: event.actor,
                event: event.event,
                reason: event.reason,
                hash: event.hash,
            }));
        }
        let rework = row.kind == TaskKind::Rework;
        Ok(TaskView {
            task: row.no,
            kind: row.kind.as_str().to_owned(),
            state: row.state.as_str().to_owned(),
            overdue: row.ended_at.is_none() && row.due_at.is_some_and(|due| due <= now),
            asset: row.asset,
            title: row.title,
            supplier: row.supplier,
            role: (!rework).then(|| row.policy.clone()),
            policy: rework.then_some(row.policy),
            hash: Some(row.hash).filter(|hash| !hash.is_empty()),
            checks: row.checks,
            message: row.message,
            round: row.round,
            opened_at: row.opened_at.to_string(),
            due_at: row.due_at.map(|t| t.to_string()),
            ended_at: row.ended_at.map(|t| t.to_string()),
            units,
            waived,
            findings: row
                .findings
                .filter(|_| whole)
                .and_then(|text| serde_json::from_str(&text).ok()),
            history,
        })
    }
}

pub(super) fn judged_content(row: &TaskRow) -> JudgedContent<'_> {
    JudgedContent {
        asset: &row.asset,
        title: &row.title,
        policy: &row.policy,
        hash: &row.hash,
    }
}
