//! Health, metrics and the state of jobs over HTTP.
use crate::service::Workflows;
use crate::service::summary::summary;
use crate::store::StoreError;
use crate::store::handle::Store;
use actix_web::http::StatusCode;
use actix_web::{App, HttpResponse, HttpServer, dev::ServerHandle, web};
use prometheus::{Encoder, Registry, TextEncoder};
use protocol::time::Timestamp;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

/// Jobs listed at most.
const JOBS_MAX: u32 = 200;

/// A server that has started.
pub struct Served {
    /// Stops it.
    pub handle: ServerHandle,
    /// Where it listens.
    pub address: SocketAddr,
}

#[derive(Clone)]
struct State {
    store: Store,
    registry: Registry,
    role: RoleWord,
}

/// Says what this process is at the moment: `leader` or `standby`.
pub type RoleWord = Arc<dyn Fn() -> &'static str + Send + Sync>;

/// Starts the server. Fails at once when the address cannot be had.
pub fn serve(listen: &str, store: Store, registry: Registry, role: RoleWord) -> io::Result<Served> {
    let state = State { store, registry, role };
    let server = HttpServer::new(move || {
        App::new()
            .app_data(web::Data::new(state.clone()))
            .route("/healthz", web::get().to(healthz))
            .route("/readyz", web::get().to(readyz))
            .route("/metrics", web::get().to(metrics))
            .route("/api/v1/jobs", web::get().to(jobs))
            .route("/api/v1/jobs/{id}", web::get().to(job))
    })
    .workers(1)
    .disable_signals()
    .bind(listen)?;
    let address = server.addrs().first().copied().ok_or_else(|| io::Error::other("no address"))?;
    let running = server.run();
    let handle = running.handle();
    tokio::spawn(running);
    Ok(Served { handle, address })
}

/// Starts a server of health and metrics alone, as a worker has it. `ready` answers `/readyz`.
pub fn serve_health(
    listen: &str,
    registry: Registry,
    ready: Arc<dyn Fn() -> bool + Send + Sync>,
) -> io::Result<Served> {
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
    .disable_signals()
    .bind(listen)?;
    let address = server.addrs().first().copied().ok_or_else(|| io::Error::other("no address"))?;
    let running = server.run();
    let handle = running.handle();
    tokio::spawn(running);
    Ok(Served { handle, address })
}

async fn healthz() -> HttpResponse {
    HttpResponse::Ok().body("ok\n")
}

async fn readyz(state: web::Data<State>) -> HttpResponse {
    match state.store.read(|tx| tx.jobs(true, 1)).await {
        Ok(_) => HttpResponse::Ok().body(format!("ready {}\n", (state.role)())),
        Err(error) => refused(&error),
    }
}

async fn metrics(state: web::Data<State>) -> HttpResponse {
    exposition(&state.registry)
}

fn exposition(registry: &Registry) -> HttpResponse {
    let mut text = Vec::new();
    match TextEncoder::new().encode(&registry.gather(), &mut text) {
        Ok(()) => HttpResponse::Ok().content_type("text/plain; version=0.0.4").body(text),
        Err(error) => HttpResponse::InternalServerError().body(error.to_string()),
    }
}

async fn jobs(state: web::Data<State>) -> HttpResponse {
    let listed =
        state
            .store
            .read(|tx| {
                let rows = tx.jobs(false, JOBS_MAX)?;
                Ok(rows.into_iter().map(|row| serde_json::json!({
                "job": row.id, "name": row.name, "state": row.state.as_str(), "assets": row.assets,
                "submitted_at": row.submitted_at.to_string(), "ended_at": row.ended_at.map(|t| t.to_string()),
            })).collect::<Vec<_>>())
            })
            .await;
    match listed {
        Ok(rows) => HttpResponse::Ok().json(rows),
        Err(error) => refused(&error),
    }
}

async fn job(state: web::Data<State>, id: web::Path<String>) -> HttpResponse {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let now = Timestamp(i64::try_from(now.as_micros()).unwrap_or(i64::MAX));
    let id = id.into_inner();
    let found = state
        .store
        .read(move |tx| match tx.job_by_id(&id)? {
            Some(row) => summary(tx, &Workflows::default(), row.no, now).map(Some),
            None => Ok(None),
        })
        .await;
    match found {
        Ok(Some(account)) => HttpResponse::Ok().json(account),
        Ok(None) => HttpResponse::NotFound().json(serde_json::json!({ "error": "no such job" })),
        Err(error) => refused(&error),
    }
}

fn refused(error: &StoreError) -> HttpResponse {
    HttpResponse::build(StatusCode::SERVICE_UNAVAILABLE).json(serde_json::json!({ "error": error.to_string() }))
}
