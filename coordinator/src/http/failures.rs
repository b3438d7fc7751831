//! `/api/v1/failures`: dead letters by cause.
use crate::command::{self, Among, Retried, RetryRequest, WaiveRequest};
use crate::http::State;
use crate::http::body::Asked;
use crate::http::problem::{Problem, Refused};
use crate::paging::{PAGE, limit_in_range};
use crate::query::causes::{self, CauseView, Waived};
use crate::workflows::Workflows;
use actix_web::web::{Data, Json, Path, Query};
use actix_web::{HttpRequest, get, post};
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;
use utoipa_actix_web::service_config::ServiceConfig;

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(list).service(retry).service(waive);
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

impl OfJob {
    pub(super) fn checked(self) -> Result<OfJob, Problem> {
        limit_in_range(self.limit)?;
        Ok(self)
    }
}

/// What failed, by cause, the causes with the most units first.
#[utoipa::path(tag = "failures", params(OfJob), responses((status = 200, body = Vec<CauseView>), Refused))]
#[get("/api/v1/failures")]
async fn list(state: Data<State>, filter: Query<OfJob>) -> Result<Json<Vec<CauseView>>, Problem> {
    let (filter, now) = (filter.into_inner().checked()?, state.now());
    state
        .read(move |tx| causes::causes(tx, &Workflows::default(), filter.job.as_deref(), filter.limit, now))
        .await
        .map(Json)
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
    state.bring_back(&request, Among::Dead(of.into_inner().job), asked).await.map(Json)
}

/// Records the decision to leave a cause as it is.
#[utoipa::path(
    tag = "failures",
    params(("cause" = String, Path)),
    request_body = WaiveRequest,
    responses((status = 200, body = Waived), Refused)
)]
#[post("/api/v1/failures/{cause}/waive")]
async fn waive(
    state: Data<State>,
    request: HttpRequest,
    cause: Path<String>,
    Asked(mut asked): Asked<WaiveRequest>,
) -> Result<Json<Waived>, Problem> {
    asked.audit = state.order(asked.audit)?;
    let now = state.now();
    state.write(&request, move |tx| command::waive(tx, &cause, &asked, now)).await.map(Json)
}
