//! The HTTP API: everything the command line does, by the same commands and queries. Routes and the OpenAPI document come from
//! the same functions. Every coordinator answers reads, the leader alone answers writes.
pub mod assets;
mod body;
mod connections;
mod document;
mod door;
pub mod endpoint;
mod events;
pub mod failures;
mod health;
pub mod jobs;
pub mod operations;
mod problem;
mod state;
pub mod status;
pub mod tasks;
pub mod units;
pub mod workers;

pub use crate::http::assets::{IMPORT_MAX, Import, Imported};
pub use crate::http::body::BODY_MAX;
pub use crate::http::document::document;
pub use crate::http::door::HostNames;
pub use crate::http::events::{LISTENERS_MAX, LISTENERS_PER_CLIENT};
pub use crate::http::health::{Part, serve_health};
pub use crate::http::jobs::Submission;
pub use crate::http::problem::Problem;
pub use crate::http::state::{State, leader_name};

use crate::http::connections::{ConnectionLimits, Connections};
use crate::http::door::Door;
use crate::http::events::Events;
use crate::leader::event_stream::{Event, EventPublisher};
use crate::metrics::ClusterGauges;
use actix_web::dev::{Server, ServerHandle};
use actix_web::http::header::{ALLOW, HeaderValue};
use actix_web::middleware::from_fn;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, ResponseError, web};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use utoipa::openapi::path::Paths;
use utoipa_actix_web::AppExt;
use utoipa_actix_web::service_config::ServiceConfig;

/// How long a client may take to send the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Seconds that answers may take when the server stops.
const SHUTDOWN_SECONDS: u64 = 5;

/// A server that has started.
pub struct Served {
    /// Stops it.
    pub handle: ServerHandle,
    /// Where it listens.
    pub address: SocketAddr,
    events: Option<watch::Sender<Event>>,
}

impl Served {
    /// Stops it: what is being answered is answered, streams end.
    pub async fn stop(self) {
        if let Some(events) = &self.events {
            events.send_replace(Event::last());
        }
        self.handle.stop(true).await;
    }
}

fn routes(config: &mut ServiceConfig<'_>) {
    jobs::routes(config);
    units::routes(config);
    assets::routes(config);
    failures::routes(config);
    tasks::routes(config);
    operations::routes(config);
    workers::routes(config);
    status::routes(config);
    health::routes(config);
    events::routes(config);
}

/// Starts the server. Fails at once when the address cannot be had.
pub fn serve(listen: &str, state: State) -> io::Result<Served> {
    let document = document();
    let paths = Arc::new(document.paths.clone());
    let document = web::Bytes::from(document.to_pretty_json().map_err(io::Error::other)?);
    let gauges = ClusterGauges::new(&state.registry).map_err(io::Error::other)?;
    let told = watch::Sender::default();
    let events = web::Data::new(Events::new(told.clone()));
    let observer = EventPublisher {
        store: state.store.clone(),
        role: Arc::clone(&state.role),
        clock: Arc::clone(&state.clock),
        gauges,
        events: told.clone(),
    };
    let (door, connections) = (
        Door::new(state.hosts.clone()),
        Connections::within(ConnectionLimits::API),
    );
    let server = HttpServer::new(move || {
        let (paths, document) = (Arc::clone(&paths), document.clone());
        let (app, _) = App::new()
            .into_utoipa_app()
            .configure(routes)
            .split_for_parts();
        app.app_data(web::Data::new(state.clone()))
            .app_data(events.clone())
            .configure(body::limits)
            .configure(health::plain_routes)
            .route(
                "/api/v1/openapi.json",
                web::get().to(move || {
                    let document = document.clone();
                    async move {
                        HttpResponse::Ok()
                            .content_type("application/json")
                            .body(document)
                    }
                }),
            )
            .default_service(web::to(move |request: HttpRequest| {
                let paths = Arc::clone(&paths);
                async move { elsewhere(&request, &paths) }
            }))
            .wrap({
                let door = door.clone();
                from_fn(move |request, next| door.clone().answer(request, next))
            })
    })
    .workers(1)
    .max_connections(ConnectionLimits::API.accepted())
    .on_connect(move |connection, extensions| connections.admit(connection, extensions))
    .client_request_timeout(HEAD_TIMEOUT)
    .shutdown_timeout(SHUTDOWN_SECONDS)
    .disable_signals()
    .bind(listen)?;
    tokio::spawn(observer.run());
    Ok(Served {
        events: Some(told),
        ..started(&server.addrs(), server.run())?
    })
}

fn started(addresses: &[SocketAddr], running: Server) -> io::Result<Served> {
    let address = addresses
        .first()
        .copied()
        .ok_or_else(|| io::Error::other("no address"))?;
    let handle = running.handle();
    tokio::spawn(running);
    Ok(Served {
        handle,
        address,
        events: None,
    })
}

/// The answer where no handler is: a wrong method at a path that exists, or nothing at all.
fn elsewhere(request: &HttpRequest, paths: &Paths) -> HttpResponse {
    let asked: Vec<&str> = request.uri().path().split('/').collect();
    let same = |path: &str| {
        let known: Vec<&str> = path.split('/').collect();
        known.len() == asked.len()
            && known
                .iter()
                .zip(&asked)
                .all(|(k, a)| k.starts_with('{') || k == a)
    };
    // An address that is written out goes before one with a name in its place.
    let exact = paths.paths.contains_key(request.uri().path());
    let mut methods: Vec<&str> = Vec::new();
    for (path, item) in &paths.paths {
        if if exact {
            path == request.uri().path()
        } else {
            same(path)
        } {
            methods.extend(item.get.as_ref().map(|_| "GET"));
            methods.extend(item.post.as_ref().map(|_| "POST"));
        }
    }
    if methods.is_empty() {
        return Problem::new("not_found", "there is nothing at this address")
            .hint("/api/v1/openapi.json")
            .error_response();
    }
    let why = format!("{} is not possible here", request.method());
    let mut response = Problem::new("method_not_allowed", why)
        .hint(methods.join(", "))
        .error_response();
    if let Ok(allowed) = HeaderValue::from_str(&methods.join(", ")) {
        response.headers_mut().insert(ALLOW, allowed);
    }
    response
}
