//! `/api/v1/status`.
use crate::http::endpoint::endpoints;
use crate::query::status::{self, Status, StatusFilter};
use actix_web::get;

endpoints! {
    "status";

    /// The cluster at a glance: open jobs with their forecasts, slots, limits, the slowest running units, and workers.
    get now Now "/api/v1/status" query(StatusFilter) -> Status = |tx, ask| status::status(tx, &ask.query, ask.now);
}
