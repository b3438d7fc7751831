//! `/api/v1/failures`: dead letters by cause.
use crate::command::{self, Among, Retried, RetryRequest, WaiveRequest};
use crate::http::State;
use crate::http::body::Asked;
use crate::http::endpoint::{Checked, endpoints};
use crate::http::problem::{Problem, Refused};
use crate::paging::{PAGE, PAGE_MAX, limit_in_range};
use crate::query::causes::{self, CauseView, Waived};
use crate::query::failed_assets::{FailedAsset, FailedAssetsFilter, failed_assets};
use crate::workflows::Workflows;
use actix_web::web::{Data, Json, Query};
use actix_web::{HttpRequest, get, post};
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

endpoints! {
    "failures" and [retry];

    /// Lists causes of failure, those with the most units first.
    get list List "/api/v1/failures" query(OfJob) -> Vec<CauseView>
        = |tx, ask| causes::causes(tx, &Workflows::default(), ask.query.job.as_deref(), ask.query.limit, ask.now);

    /// Assets that failed for one cause, by job, step, partition and id.
    get assets Assets "/api/v1/failures/{cause}/assets" path("cause": String) query(FailedAssetsFilter)
        -> Vec<FailedAsset> = |tx, ask| failed_assets(tx, &ask.path.0, &ask.query);

    /// Waives a cause: records the decision to accept its failures.
    post waive Waive "/api/v1/failures/{cause}/waive" path("cause": String) body(WaiveRequest) -> Waived
        = |tx, ask| command::waive(tx, &ask.path.0, &ask.body, ask.now);
}

fn page() -> u32 {
    PAGE
}

/// Entries about one job, or about all.
#[derive(Debug, Clone, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct OfJob {
    /// Only of this job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// Entries at most.
    #[param(minimum = 1, maximum = 1000)]
    #[serde(default = "page")]
    pub limit: u32,
}

impl Checked for FailedAssetsFilter {}

impl Checked for OfJob {
    fn checked(self) -> Result<Self, Problem> {
        limit_in_range(self.limit)?;
        Ok(self)
    }
}

impl OfJob {
    /// Entries about `job`, or about all jobs, at most as many as a page holds.
    pub fn new(job: Option<&str>, limit: u32) -> OfJob {
        OfJob {
            job: job.map(str::to_owned),
            limit: limit.clamp(1, PAGE_MAX),
        }
    }
}

/// Runs dead units again, of one job or of all.
#[utoipa::path(
    tag = "failures",
    params(("job" = Option<String>, Query, description = "Only of this job.")),
    request_body = RetryRequest,
    responses((status = 200, body = Retried), Refused)
)]
#[post("/api/v1/failures/retry")]
async fn retry(
    state: Data<State>,
    request: HttpRequest,
    of: Query<OfJob>,
    Asked(asked): Asked<RetryRequest>,
) -> Result<Json<Retried>, Problem> {
    state
        .bring_back(&request, Among::Dead(of.into_inner().job), asked)
        .await
        .map(Json)
}
