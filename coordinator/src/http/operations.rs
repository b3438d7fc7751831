//! `/api/v1/operations`: requests of operators, and how far they are.
use crate::audit::AuditContext;
use crate::command::{self, OperationChange};
use crate::http::State;
use crate::http::body::Asked;
use crate::http::failures::OfJob;
use crate::http::problem::{Problem, Refused};
use crate::query::operations::{self, OperationView};
use actix_web::web::{Data, Json, Path, Query};
use actix_web::{HttpRequest, get, post};
use utoipa_actix_web::service_config::ServiceConfig;

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(list).service(pause).service(resume).service(abort);
}

/// Lists operations, newest first.
#[utoipa::path(tag = "operations", params(OfJob), responses((status = 200, body = Vec<OperationView>), Refused))]
#[get("/api/v1/operations")]
async fn list(state: Data<State>, filter: Query<OfJob>) -> Result<Json<Vec<OperationView>>, Problem> {
    let filter = filter.into_inner().checked()?;
    state.read(move |tx| operations::operations(tx, filter.job.as_deref(), filter.limit)).await.map(Json)
}

async fn steer(
    state: &State,
    request: &HttpRequest,
    operation: i64,
    how: OperationChange,
    audit: AuditContext,
) -> Result<Json<OperationView>, Problem> {
    let (audit, now) = (state.order(audit)?, state.now());
    state.write(request, move |tx| command::change_operation(tx, operation, how, &audit, now)).await.map(Json)
}

/// Lets a running operation stand still.
#[utoipa::path(
    tag = "operations",
    params(("operation" = i64, Path)),
    request_body = AuditContext,
    responses((status = 200, body = OperationView), Refused)
)]
#[post("/api/v1/operations/{operation}/pause")]
async fn pause(
    state: Data<State>,
    request: HttpRequest,
    operation: Path<i64>,
    Asked(audit): Asked<AuditContext>,
) -> Result<Json<OperationView>, Problem> {
    steer(&state, &request, *operation, OperationChange::Pause, audit).await
}

/// Lets it go on.
#[utoipa::path(
    tag = "operations",
    params(("operation" = i64, Path)),
    request_body = AuditContext,
    responses((status = 200, body = OperationView), Refused)
)]
#[post("/api/v1/operations/{operation}/resume")]
async fn resume(
    state: Data<State>,
    request: HttpRequest,
    operation: Path<i64>,
    Asked(audit): Asked<AuditContext>,
) -> Result<Json<OperationView>, Problem> {
    steer(&state, &request, *operation, OperationChange::Resume, audit).await
}

/// Ends it; what it has done stays done.
#[utoipa::path(
    tag = "operations",
    params(("operation" = i64, Path)),
    request_body = AuditContext,
    responses((status = 200, body = OperationView), Refused)
)]
#[post("/api/v1/operations/{operation}/abort")]
async fn abort(
    state: Data<State>,
    request: HttpRequest,
    operation: Path<i64>,
    Asked(audit): Asked<AuditContext>,
) -> Result<Json<OperationView>, Problem> {
    steer(&state, &request, *operation, OperationChange::Abort, audit).await
}
