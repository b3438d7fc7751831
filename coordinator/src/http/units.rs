//! `/api/v1/jobs/{job}/units`.
use crate::http::endpoint::{Checked, endpoints};
use crate::query::explain::UnitExplanation;
use crate::query::unit_log::{self, Execution, UnitLogFilter};
use crate::query::units::{self, UnitsFilter};
use crate::store::view::UnitView;
use actix_web::get;

impl Checked for UnitLogFilter {}

endpoints! {
    "units";

    /// Lists the units of a job by partition and step.
    get list List "/api/v1/jobs/{job}/units" path("job": String) query(UnitsFilter) -> Vec<UnitView>
        = |tx, ask| units::units(tx, &ask.path.0, &ask.query);

    /// Returns one unit by step and partition number.
    get get Get "/api/v1/jobs/{job}/units/{step}/{part}" path("job": String, "step": String, "part": i64) -> UnitView
        = |tx, ask| units::unit(tx, &ask.path.0, &ask.path.1, ask.path.2);

    /// What a unit waits for, and what ends the wait.
    get explain Explain "/api/v1/jobs/{job}/units/{step}/{part}/explain"
        path("job": String, "step": String, "part": i64) -> UnitExplanation
        = |tx, ask| units::explain_unit(tx, &ask.path.0, &ask.path.1, ask.path.2, ask.now);

    /// Lists the executions of a unit that failed or were lost, and the one that ended it, by epoch.
    get log Log "/api/v1/jobs/{job}/units/{step}/{part}/log" path("job": String, "step": String, "part": i64)
        query(UnitLogFilter) -> Vec<Execution>
        = |tx, ask| unit_log::unit_log(tx, &ask.path.0, &ask.path.1, ask.path.2, &ask.query);
}
