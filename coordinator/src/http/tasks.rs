//! `/api/v1/tasks`: decisions of people.
use crate::http::State;
use crate::http::body::Asked;
use crate::http::problem::{Problem, Refused};
use crate::review::{self, DecisionOutcome, TaskPicture, TaskRequest, TaskView, TasksFilter};
use crate::workflows::Workflows;
use actix_web::web::{Data, Json, Path, Query};
use actix_web::{HttpRequest, get, post};
use protocol::rules::review::task::Decision;
use utoipa_actix_web::service_config::ServiceConfig;

/// Checks named in one decision at most.
const CHECKS_MAX: usize = 100;

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(list).service(get).service(pictures).service(approve).service(reject).service(waive);
}

/// Lists tasks by number: the pending ones unless another state is asked for.
#[utoipa::path(tag = "tasks", params(TasksFilter), responses((status = 200, body = Vec<TaskView>), Refused))]
#[get("/api/v1/tasks")]
async fn list(state: Data<State>, filter: Query<TasksFilter>) -> Result<Json<Vec<TaskView>>, Problem> {
    let (filter, now) = (state.query(filter)?, state.now());
    state.read(move |tx| review::tasks(tx, &filter, now)).await.map(Json)
}

/// One task with its findings and its history.
#[utoipa::path(tag = "tasks", params(("task" = i64, Path)), responses((status = 200, body = TaskView), Refused))]
#[get("/api/v1/tasks/{task}")]
async fn get(state: Data<State>, task: Path<i64>) -> Result<Json<TaskView>, Problem> {
    let now = state.now();
    state.read(move |tx| review::task(tx, *task, now)).await.map(Json)
}

/// Pictures of what fails the delivery that a pending task is about.
#[utoipa::path(tag = "tasks", params(("task" = i64, Path)), responses((status = 200, body = Vec<TaskPicture>), Refused))]
#[get("/api/v1/tasks/{task}/pictures")]
async fn pictures(state: Data<State>, task: Path<i64>) -> Result<Json<Vec<TaskPicture>>, Problem> {
    state.read(move |tx| review::task_pictures(tx, *task)).await.map(Json)
}

async fn settle(
    state: &State,
    request: &HttpRequest,
    task: i64,
    decision: Decision,
    mut asked: TaskRequest,
) -> Result<Json<DecisionOutcome>, Problem> {
    asked.audit = state.order(asked.audit)?;
    if asked.checks.len() > CHECKS_MAX {
        let why = format!("{} checks in one request", asked.checks.len());
        return Err(Problem::new("usage", why).hint(format!("{CHECKS_MAX} at most")).at("checks"));
    }
    let now = state.now();
    state
        .write(request, move |tx| review::decide_task(tx, &Workflows::default(), task, decision, &asked, now))
        .await
        .map(Json)
}

/// Agrees: the units that wait go on.
#[utoipa::path(
    tag = "tasks",
    params(("task" = i64, Path)),
    request_body = TaskRequest,
    responses((status = 200, body = DecisionOutcome), Refused)
)]
#[post("/api/v1/tasks/{task}/approve")]
async fn approve(
    state: Data<State>,
    request: HttpRequest,
    task: Path<i64>,
    Asked(asked): Asked<TaskRequest>,
) -> Result<Json<DecisionOutcome>, Problem> {
    settle(&state, &request, *task, Decision::Approve, asked).await
}

/// Refuses: an approval ends, a rework waits for a new delivery.
#[utoipa::path(
    tag = "tasks",
    params(("task" = i64, Path)),
    request_body = TaskRequest,
    responses((status = 200, body = DecisionOutcome), Refused)
)]
#[post("/api/v1/tasks/{task}/reject")]
async fn reject(
    state: Data<State>,
    request: HttpRequest,
    task: Path<i64>,
    Asked(asked): Asked<TaskRequest>,
) -> Result<Json<DecisionOutcome>, Problem> {
    settle(&state, &request, *task, Decision::Reject, asked).await
}

/// Lets what was found stand, or does without an approval: with a reason, and until when.
#[utoipa::path(
    tag = "tasks",
    params(("task" = i64, Path)),
    request_body = TaskRequest,
    responses((status = 200, body = DecisionOutcome), Refused)
)]
#[post("/api/v1/tasks/{task}/waive")]
async fn waive(
    state: Data<State>,
    request: HttpRequest,
    task: Path<i64>,
    Asked(asked): Asked<TaskRequest>,
) -> Result<Json<DecisionOutcome>, Problem> {
    settle(&state, &request, *task, Decision::Waive, asked).await
}
