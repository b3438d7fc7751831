//! Health, metrics, and the role of this coordinator.
use super::connections::{ConnectionLimits, Connections};
use super::problem::{Problem, Refused};
use super::{HEAD_TIMEOUT, Served, State, started};
use actix_web::web::{Data, Json};
use actix_web::{App, HttpResponse, HttpServer, get, web};
use prometheus::{Encoder, Registry, TextEncoder};
use serde::{Deserialize, Serialize};
use std::io;
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(cluster);
}

/// Routes outside of the API.
pub(super) fn plain_routes(config: &mut web::ServiceConfig) {
    config
        .route("/healthz", web::get().to(healthz))
        .route("/readyz", web::get().to(readyz))
        .route("/metrics", web::get().to(metrics));
}

/// Starts a server of health and metrics alone, as a worker has it. `ready` answers `/readyz`.
pub fn serve_health(
    listen: &str,
    registry: Registry,
    ready: Arc<dyn Fn() -> bool + Send + Sync>,
) -> io::Result<Served> {
    let connections = Connections::within(ConnectionLimits::HEALTH);
    let server = HttpServer::new(move || {
        let (registry, ready) = (registry.clone(), Arc::clone(&ready));
        App::new()
            .route("/healthz", web::get().to(healthz))
            .route(
                "/readyz",
                web::get().to(move || {
                    let ready = ready();
                    async move {
                        if ready {
                            HttpResponse::Ok().body("ready\n")
                        } else {
                            HttpResponse::ServiceUnavailable().body("draining\n")
                        }
                    }
                }),
            )
            .route(
                "/metrics",
                web::get().to(move || {
                    let text = exposition(&registry);
                    async move { text }
                }),
            )
    })
    .workers(1)
    .max_connections(ConnectionLimits::HEALTH.accepted())
    .on_connect(move |connection, extensions| connections.admit(connection, extensions))
    .client_request_timeout(HEAD_TIMEOUT)
    .disable_signals()
    .bind(listen)?;
    started(&server.addrs(), server.run())
}

async fn healthz() -> HttpResponse {
    HttpResponse::Ok().body("ok\n")
}

async fn readyz(state: Data<State>) -> Result<HttpResponse, Problem> {
    state.read(|tx| Ok(tx.jobs(true, 1)?)).await?;
    Ok(HttpResponse::Ok().body(format!("ready {}\n", state.part().0)))
}

async fn metrics(state: Data<State>) -> HttpResponse {
    exposition(&state.registry)
}

fn exposition(registry: &Registry) -> HttpResponse {
    let mut text = Vec::new();
    match TextEncoder::new().encode(&registry.gather(), &mut text) {
        Ok(()) => HttpResponse::Ok()
            .content_type("text/plain; version=0.0.4")
            .body(text),
        Err(error) => HttpResponse::InternalServerError().body(error.to_string()),
    }
}

/// Role of the answering coordinator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Part {
    /// `leader` or `standby`.
    pub role: String,
    /// Address of the leader's API; absent on the leader itself and while the leader is not known.
    pub leader: Option<String>,
    /// Version of the answering build.
    pub version: String,
}

/// Returns the role of the answering coordinator: leader or standby.
#[utoipa::path(tag = "cluster", responses((status = 200, body = Part), Refused))]
#[get("/api/v1/cluster")]
async fn cluster(state: Data<State>) -> Json<Part> {
    let (role, leader) = state.part();
    Json(Part {
        role: role.into(),
        leader,
        version: env!("CARGO_PKG_VERSION").into(),
    })
}
