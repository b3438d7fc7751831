//! `/api/v1/jobs`.
use crate::audit::AuditContext;
use crate::command::submission::{
    Sources, Submitted, compile_sent, entropy_of, submission_of, submit,
};
use crate::command::{self, Among, JobChanged, PriorityRequest, Retried, RetryRequest};
use crate::http::State;
use crate::http::body::{Asked, Body, key};
use crate::http::endpoint::endpoints;
use crate::http::problem::{Problem, Refused};
use crate::query::jobs::{self, JobExplanation, JobIdsFilter, JobListed, JobProgress, JobsFilter};
use crate::query::summary::Summary;
use crate::store::NewJob;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Json, Path, Query};
use actix_web::{HttpRequest, HttpResponse, get, post, web};
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

endpoints! {
    "jobs" and [add, retry];

    /// Lists jobs, newest first.
    get list List "/api/v1/jobs" query(JobsFilter) -> Vec<JobListed> = |tx, ask| jobs::jobs(tx, &ask.query, ask.now);

    /// Ids of jobs that begin with a text, for completion.
    get ids Ids "/api/v1/job-ids" query(JobIdsFilter) -> Vec<String> = |tx, ask| jobs::job_ids(tx, &ask.query);

    /// Summary of a job: counts, barriers, and failures with their reasons.
    get get Get "/api/v1/jobs/{job}" path("job": String) -> Summary = |tx, ask| jobs::job(tx, &ask.path.0, ask.now);

    /// Progress of a job; cheap enough for a poll every second.
    get progress ProgressOf "/api/v1/jobs/{job}/progress" path("job": String) -> JobProgress
        = |tx, ask| jobs::progress(tx, &ask.path.0, ask.now);

    /// What a job waits for, and what ends the wait.
    get explain Explain "/api/v1/jobs/{job}/explain" path("job": String) -> JobExplanation
        = |tx, ask| jobs::explain_job(tx, &ask.path.0, ask.now);

    /// Dispatches no more units of a job; running units continue.
    post pause Pause "/api/v1/jobs/{job}/pause" path("job": String) body(AuditContext) -> JobChanged
        = |tx, ask| command::pause(tx, &ask.path.0, &ask.body, ask.now);

    /// Dispatches units of a paused job again.
    post resume Resume "/api/v1/jobs/{job}/resume" path("job": String) body(AuditContext) -> JobChanged
        = |tx, ask| command::resume(tx, &ask.path.0, &ask.body, ask.now);

    /// Cancels a job: running units are revoked, ended units keep their result.
    post cancel Cancel "/api/v1/jobs/{job}/cancel" path("job": String) body(AuditContext) -> JobChanged
        = |tx, ask| command::cancel(tx, &ask.path.0, &ask.body, ask.now);

    /// Changes the priority class and the deadline of a job.
    post priority Prioritise "/api/v1/jobs/{job}/priority" path("job": String) body(PriorityRequest) -> JobChanged
        = |tx, ask| command::prioritise(tx, &ask.path.0, &ask.body, ask.now);
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
    let job = compiled
        .map_err(|error| Problem::new("unavailable", error.to_string()))?
        .map_err(Problem::from)?;
    let job = NewJob {
        submission: key.as_deref().map(submission_of),
        ..job
    };
    if dry_run {
        return Ok(HttpResponse::Ok().json(Submitted {
            job: job.id,
            dry_run,
        }));
    }
    let submitted = state.write(&request, move |tx| submit(tx, &job)).await?;
    Ok(HttpResponse::build(StatusCode::CREATED).json(submitted))
}

/// Runs failed units again, with the dependents that were cancelled because of them.
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
    state
        .bring_back(&request, Among::Job(job.into_inner()), asked)
        .await
        .map(Json)
}
