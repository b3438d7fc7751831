//! `/api/v1/workers`.
use crate::audit::AuditContext;
use crate::command;
use crate::http::endpoint::endpoints;
use crate::query::workers::{self, WorkerView};
use actix_web::{get, post};

endpoints! {
    "workers";

    /// Lists the workers with a recent heartbeat.
    get list List "/api/v1/workers" -> Vec<WorkerView> = |tx, ask| Ok(workers::workers(tx, ask.now)?);

    /// Drains a worker: it takes no new units and finishes those it holds.
    post drain Drain "/api/v1/workers/{worker}/drain" path("worker": String) body(AuditContext) -> WorkerView
        = |tx, ask| command::drain(tx, &ask.path.0, &ask.body, ask.now);

    /// Releases a drained or quarantined worker: it takes units again.
    post release Release "/api/v1/workers/{worker}/release" path("worker": String) body(AuditContext) -> WorkerView
        = |tx, ask| command::release(tx, &ask.path.0, &ask.body, ask.now);
}
