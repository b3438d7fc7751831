//! `/api/v1/operations`: requests of operators, and how far they are.
use crate::audit::AuditContext;
use crate::command::{OperationChange, change_operation};
use crate::http::endpoint::endpoints;
use crate::http::failures::OfJob;
use crate::query::operations::{self, OperationView};
use actix_web::{get, post};

endpoints! {
    "operations";

    /// Lists operations, newest first.
    get list List "/api/v1/operations" query(OfJob) -> Vec<OperationView>
        = |tx, ask| operations::operations(tx, ask.query.job.as_deref(), ask.query.limit);

    /// Pauses a running operation.
    post pause Pause "/api/v1/operations/{operation}/pause" path("operation": i64) body(AuditContext) -> OperationView
        = |tx, ask| change_operation(tx, ask.path.0, OperationChange::Pause, &ask.body, ask.now);

    /// Resumes a paused operation.
    post resume Resume "/api/v1/operations/{operation}/resume" path("operation": i64) body(AuditContext) -> OperationView
        = |tx, ask| change_operation(tx, ask.path.0, OperationChange::Resume, &ask.body, ask.now);

    /// Aborts an operation; units that it has changed stay changed.
    post abort Abort "/api/v1/operations/{operation}/abort" path("operation": i64) body(AuditContext) -> OperationView
        = |tx, ask| change_operation(tx, ask.path.0, OperationChange::Abort, &ask.body, ask.now);
}
