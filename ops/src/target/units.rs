//! Units and assets.
use super::{Target, answered, pages};
use crate::error::CliResult;
use crate::submit::now;
use coordinator::error::outcome;
use coordinator::query::explain::UnitExplanation;
use coordinator::query::jobs::{self, AssetView, AssetsFilter, UnitsFilter};
use coordinator::store::view::UnitView;
use protocol::id::PartNo;

impl Target {
    /// Lists units of a job.
    pub(crate) fn units(
        &mut self,
        job: &str,
        state: Option<&str>,
        step: Option<&str>,
        limit: u32,
    ) -> CliResult<Vec<UnitView>> {
        pages(
            limit,
            |limit, after| {
                let filter =
                    UnitsFilter { state: state.map(str::to_owned), step: step.map(str::to_owned), after, limit };
                match self {
                    Target::Local(db) => answered(db.read(|tx| outcome(jobs::units(tx, job, &filter)))),
                    Target::Remote(remote) => remote.get(&["jobs", job, "units"], &filter),
                }
            },
            |unit| unit.unit.clone(),
        )
    }

    /// One unit by its id.
    pub(crate) fn unit(&mut self, (job, step, part): (&str, &str, PartNo)) -> CliResult<UnitView> {
        match self {
            Target::Local(db) => answered(db.read(|tx| outcome(jobs::unit(tx, job, step, part)))),
            Target::Remote(remote) => remote.get(&["jobs", job, "units", step, &part.to_string()], &()),
        }
    }

    /// Why a unit is where it is.
    pub(crate) fn explain_unit(&mut self, (job, step, part): (&str, &str, PartNo)) -> CliResult<UnitExplanation> {
        match self {
            Target::Local(db) => answered(db.read(|tx| outcome(jobs::explain_unit(tx, job, step, part, now())))),
            Target::Remote(remote) => remote.get(&["jobs", job, "units", step, &part.to_string(), "explain"], &()),
        }
    }

    /// Lists the catalogue in id order.
    pub(crate) fn assets(&mut self, title: Option<&str>, after: Option<&str>, limit: u32) -> CliResult<Vec<AssetView>> {
        let mut start = after.map(str::to_owned);
        pages(
            limit,
            |limit, after| {
                let filter =
                    AssetsFilter { title: title.map(str::to_owned), after: after.or_else(|| start.take()), limit };
                match self {
                    Target::Local(db) => answered(db.read(|tx| outcome(jobs::assets(tx, &filter)))),
                    Target::Remote(remote) => remote.get(&["assets"], &filter),
                }
            },
            |asset| asset.asset.clone(),
        )
    }

    /// Everything known about an asset.
    pub(crate) fn asset(&mut self, id: &str) -> CliResult<AssetView> {
        match self {
            Target::Local(db) => answered(db.read(|tx| outcome(jobs::asset(tx, id, now())))),
            Target::Remote(remote) => remote.get(&["assets", id], &()),
        }
    }
}
