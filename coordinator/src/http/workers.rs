//! `/api/v1/workers`.
use crate::audit::AuditContext;
use crate::command;
use crate::http::State;
use crate::http::body::Asked;
use crate::http::problem::{Problem, Refused};
use crate::query::workers::{self, WorkerView};
use actix_web::web::{Data, Json, Path};
use actix_web::{HttpRequest, get, post};
use utoipa_actix_web::service_config::ServiceConfig;

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(list).service(drain).service(release);
}

/// Lists the workers heard of lately.
#[utoipa::path(tag = "workers", responses((status = 200, body = Vec<WorkerView>), Refused))]
#[get("/api/v1/workers")]
async fn list(state: Data<State>) -> Result<Json<Vec<WorkerView>>, Problem> {
    let now = state.now();
    state.read(move |tx| Ok(workers::workers(tx, now)?)).await.map(Json)
}

/// Gives a worker no more work; what it holds ends.
#[utoipa::path(
    tag = "workers",
    params(("worker" = String, Path)),
    request_body = AuditContext,
    responses((status = 200, body = WorkerView), Refused)
)]
#[post("/api/v1/workers/{worker}/drain")]
async fn drain(
    state: Data<State>,
    request: HttpRequest,
    worker: Path<String>,
    Asked(audit): Asked<AuditContext>,
) -> Result<Json<WorkerView>, Problem> {
    let (audit, now) = (state.order(audit)?, state.now());
    state.write(&request, move |tx| command::drain(tx, &worker, &audit, now)).await.map(Json)
}

/// Gives a drained or quarantined worker work again.
#[utoipa::path(
    tag = "workers",
    params(("worker" = String, Path)),
    request_body = AuditContext,
    responses((status = 200, body = WorkerView), Refused)
)]
#[post("/api/v1/workers/{worker}/release")]
async fn release(
    state: Data<State>,
    request: HttpRequest,
    worker: Path<String>,
    Asked(audit): Asked<AuditContext>,
) -> Result<Json<WorkerView>, Problem> {
    let (audit, now) = (state.order(audit)?, state.now());
    state.write(&request, move |tx| command::release(tx, &worker, &audit, now)).await.map(Json)
}
