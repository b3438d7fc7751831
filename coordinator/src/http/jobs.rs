//! `/api/v1/jobs`.
use crate::audit::AuditContext;
use crate::command::submission::{Sources, Submitted, compile_sent, entropy_of, submission_of, submit};
use crate::command::{self, Among, JobChanged, PriorityRequest, Retried, RetryRequest};
use crate::error::Answer;
use crate::http::State;
use crate::http::body::{Asked, Body, key};
use crate::http::problem::{Problem, Refused};
use crate::query::jobs::{self, JobExplanation, JobListed, JobsFilter, Progress};
use crate::query::summary::Summary;
use crate::store::{NewJob, Tx};
use actix_web::http::StatusCode;
use actix_web::web::{Data, Json, Path, Query};
use actix_web::{HttpRequest, HttpResponse, get, post, web};
use protocol::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;
use utoipa_actix_web::service_config::ServiceConfig;

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(list).service(add).service(get).service(progress).service(explain);
    config.service(pause).service(resume).service(cancel).service(priority).service(retry);
}

/// Whether to do it or only to say what would happen.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Submission {
    /// Check everything, submit nothing.
    #[serde(default)]
    pub dry_run: bool,
}

/// Lists jobs, newest first.
#[utoipa::path(tag = "jobs", params(JobsFilter), responses((status = 200, body = Vec<JobListed>), Refused))]
#[get("/api/v1/jobs")]
async fn list(state: Data<State>, filter: Query<JobsFilter>) -> Result<Json<Vec<JobListed>>, Problem> {
    let filter = state.query(filter)?;
    state.read(move |tx| jobs::jobs(tx, &filter)).await.map(Json)
}

/// Submits a job: its file and every delivery spec it refers to. The same `Idempotency-Key` never makes a second job.
#[utoipa::path(
    tag = "jobs",
    params(Submission, ("Idempotency-Key" = Option<String>, Header, pattern = "^[!-~]{1,128}$")),
    request_body = Sources,
    responses((status = 201, body = Submitted), (status = 200, description = "checked only", body = Submitted), Refused)
)]
#[post("/api/v1/jobs")]
async fn add(
    state: Data<State>,
    request: HttpRequest,
    asked: Query<Submission>,
    Body(sources): Body<Sources>,
) -> Result<HttpResponse, Problem> {
    let dry_run = asked.dry_run;
    let key = key(&request)?;
    let entropy = key.as_deref().map_or_else(|| fastrand::u64(..), entropy_of);
    if !dry_run {
        state.leads(&request)?;
    }
    let now = state.now();
    let compiled = web::block(move || compile_sent(&sources, entropy, now)).await;
    let job = compiled.map_err(|error| Problem::new("unavailable", error.to_string()))?.map_err(Problem::from)?;
    let job = NewJob { submission: key.as_deref().map(submission_of), ..job };
    if dry_run {
        return Ok(HttpResponse::Ok().json(Submitted { job: job.id, dry_run }));
    }
    let submitted = state.write(&request, move |tx| submit(tx, &job)).await?;
    Ok(HttpResponse::build(StatusCode::CREATED).json(submitted))
}

/// The account of a job: counts, barriers, what failed and why.
#[utoipa::path(tag = "jobs", params(("job" = String, Path)), responses((status = 200, body = Summary), Refused))]
#[get("/api/v1/jobs/{job}")]
async fn get(state: Data<State>, job: Path<String>) -> Result<Json<Summary>, Problem> {
    let now = state.now();
    state.read(move |tx| jobs::job(tx, &job, now)).await.map(Json)
}

/// How far a job is: cheap enough to be asked every second.
#[utoipa::path(tag = "jobs", params(("job" = String, Path)), responses((status = 200, body = Progress), Refused))]
#[get("/api/v1/jobs/{job}/progress")]
async fn progress(state: Data<State>, job: Path<String>) -> Result<Json<Progress>, Problem> {
    state.read(move |tx| jobs::progress(tx, &job)).await.map(Json)
}

/// Why a job is where it is.
#[utoipa::path(tag = "jobs", params(("job" = String, Path)), responses((status = 200, body = JobExplanation), Refused))]
#[get("/api/v1/jobs/{job}/explain")]
async fn explain(state: Data<State>, job: Path<String>) -> Result<Json<JobExplanation>, Problem> {
    state.read(move |tx| jobs::explain_job(tx, &job)).await.map(Json)
}

type Steer = fn(&mut dyn Tx, &str, &AuditContext, Timestamp) -> Answer<JobChanged>;

async fn steer(
    state: &State,
    request: &HttpRequest,
    job: Path<String>,
    audit: AuditContext,
    steer: Steer,
) -> Result<Json<JobChanged>, Problem> {
    let (audit, now) = (state.order(audit)?, state.now());
    state.write(request, move |tx| steer(tx, &job, &audit, now)).await.map(Json)
}

/// Hands out no more units of a job; those that run go on.
#[utoipa::path(
    tag = "jobs",
    params(("job" = String, Path)),
    request_body = AuditContext,
    responses((status = 200, body = JobChanged), Refused)
)]
#[post("/api/v1/jobs/{job}/pause")]
async fn pause(
    state: Data<State>,
    request: HttpRequest,
    job: Path<String>,
    Asked(audit): Asked<AuditContext>,
) -> Result<Json<JobChanged>, Problem> {
    steer(&state, &request, job, audit, command::pause).await
}

/// Hands out units again.
#[utoipa::path(
    tag = "jobs",
    params(("job" = String, Path)),
    request_body = AuditContext,
    responses((status = 200, body = JobChanged), Refused)
)]
#[post("/api/v1/jobs/{job}/resume")]
async fn resume(
    state: Data<State>,
    request: HttpRequest,
    job: Path<String>,
    Asked(audit): Asked<AuditContext>,
) -> Result<Json<JobChanged>, Problem> {
    steer(&state, &request, job, audit, command::resume).await
}

/// Cancels a job: calls back what runs, keeps what is done.
#[utoipa::path(
    tag = "jobs",
    params(("job" = String, Path)),
    request_body = AuditContext,
    responses((status = 200, body = JobChanged), Refused)
)]
#[post("/api/v1/jobs/{job}/cancel")]
async fn cancel(
    state: Data<State>,
    request: HttpRequest,
    job: Path<String>,
    Asked(audit): Asked<AuditContext>,
) -> Result<Json<JobChanged>, Problem> {
    steer(&state, &request, job, audit, command::cancel).await
}

/// Changes who goes first: class and deadline.
#[utoipa::path(
    tag = "jobs",
    params(("job" = String, Path)),
    request_body = PriorityRequest,
    responses((status = 200, body = JobChanged), Refused)
)]
#[post("/api/v1/jobs/{job}/priority")]
async fn priority(
    state: Data<State>,
    request: HttpRequest,
    job: Path<String>,
    Asked(asked): Asked<PriorityRequest>,
) -> Result<Json<JobChanged>, Problem> {
    let (audit, now) = (state.order(asked.audit)?, state.now());
    let asked = PriorityRequest { audit, ..asked };
    state.write(&request, move |tx| command::prioritise(tx, &job, &asked, now)).await.map(Json)
}

/// Runs failed units again, and what was not run because of them.
#[utoipa::path(
    tag = "jobs",
    params(("job" = String, Path)),
    request_body = RetryRequest,
    responses((status = 200, body = Retried), Refused)
)]
#[post("/api/v1/jobs/{job}/retry")]
async fn retry(
    state: Data<State>,
    request: HttpRequest,
    job: Path<String>,
    Asked(asked): Asked<RetryRequest>,
) -> Result<Json<Retried>, Problem> {
    state.bring_back(&request, Among::Job(job.into_inner()), asked).await.map(Json)
}
