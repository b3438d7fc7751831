//! `/api/v1/jobs/{job}/units`.
use crate::http::State;
use crate::http::problem::{Problem, Refused};
use crate::query::explain::UnitExplanation;
use crate::query::jobs::{self, UnitsFilter};
use crate::store::view::UnitView;
use actix_web::get;
use actix_web::web::{Data, Json, Path, Query};
use utoipa_actix_web::service_config::ServiceConfig;

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(list).service(get).service(explain);
}

/// Lists the units of a job by partition and step.
#[utoipa::path(
    tag = "units",
    params(("job" = String, Path), UnitsFilter),
    responses((status = 200, body = Vec<UnitView>), Refused)
)]
#[get("/api/v1/jobs/{job}/units")]
async fn list(
    state: Data<State>,
    job: Path<String>,
    filter: Query<UnitsFilter>,
) -> Result<Json<Vec<UnitView>>, Problem> {
    let filter = state.query(filter)?;
    state.read(move |tx| jobs::units(tx, &job, &filter)).await.map(Json)
}

/// One unit.
#[utoipa::path(
    tag = "units",
    params(("job" = String, Path), ("step" = String, Path), ("part" = i64, Path)),
    responses((status = 200, body = UnitView), Refused)
)]
#[get("/api/v1/jobs/{job}/units/{step}/{part}")]
async fn get(state: Data<State>, unit: Path<(String, String, i64)>) -> Result<Json<UnitView>, Problem> {
    let (job, step, part) = unit.into_inner();
    state.read(move |tx| jobs::unit(tx, &job, &step, part)).await.map(Json)
}

/// Why a unit is where it is.
#[utoipa::path(
    tag = "units",
    params(("job" = String, Path), ("step" = String, Path), ("part" = i64, Path)),
    responses((status = 200, body = UnitExplanation), Refused)
)]
#[get("/api/v1/jobs/{job}/units/{step}/{part}/explain")]
async fn explain(state: Data<State>, unit: Path<(String, String, i64)>) -> Result<Json<UnitExplanation>, Problem> {
    let ((job, step, part), now) = (unit.into_inner(), state.now());
    state.read(move |tx| jobs::explain_unit(tx, &job, &step, part, now)).await.map(Json)
}
