//! Copies and verifies. Every asset of a unit goes from its location to the place that its target names; it becomes
//! visible there only when it is complete and proven (EFF-1), and is reported only when it would survive a power loss.
//!
//! - [`route`] decides which engine transfers a unit
//! - [`local`]: from directory to directory, in batches and pipelines
//! - [`remote`]: from any storage to any other, as streams and multipart uploads
//! - [`library`]: no target lies inside the library that is copied
//! - [`requirements`]: the hashes and the size that an asset must have
//! - one failed asset never stops the others
mod error_map;
mod library;
mod local;
mod remote;
pub(super) mod requirements;
mod route;
mod settings;

pub(super) use error_map::root as unopened;
pub use route::Request;
pub use settings::Settings;

use super::StepContext;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use protocol::failure::Failure;
use protocol::media::asset::Asset;
use protocol::wire::report::UnitResult;
use protocol::wire::step::transfer::TransferTask;
use protocol::wire::unit::Unit;
use remote::OnConflict;
use remote::multipart::{open, slice};
use route::{Route, is_remote};

/// Transfers a unit.
pub async fn run(request: Request<'_>, unit: &Unit, context: &StepContext) -> UnitResult {
    run_with(request, unit, context, Settings::default()).await
}

/// Transfers a unit with other settings than the default.
pub async fn run_with(
    request: Request<'_>,
    unit: &Unit,
    context: &StepContext,
    settings: Settings,
) -> UnitResult {
    if let Err(failure) = checked_target(request, unit).await {
        return UnitResult::Failed(failure);
    }
    match Route::of(request, &unit.assets) {
        Route::Local(task) => copy_files(task, unit.assets.clone(), context, settings).await,
        Route::Remote {
            task,
            on_conflict,
            uploads,
        } => {
            remote::transfer(
                task,
                on_conflict,
                unit,
                unit.assets.clone(),
                uploads,
                context,
            )
            .await
        }
        Route::Split { task, uploads } => {
            let (others, files): (Vec<Asset>, Vec<Asset>) =
                unit.assets.iter().cloned().partition(is_remote);
            let transferred =
                remote::transfer(task, OnConflict::Fail, unit, others, uploads, context).await;
            joined(
                transferred,
                copy_files(task, files, context, settings).await,
            )
        }
        Route::BeginUploads(task) => match open::open(task, &unit.assets, context).await {
            Some(open_uploads) => UnitResult::UploadsBegun(open_uploads),
            None => boxed(Request::Copy(&task.transfer), unit, context, settings).await,
        },
        Route::SendSlice(task) => slice::send(task, unit, context).await,
        Route::DiscardUploads(task) => {
            open::discard(task, &unit.assets, context).await;
            UnitResult::Cancelled
        }
    }
}

/// Checks where a unit copies to, before anything is created there.
async fn checked_target(request: Request<'_>, unit: &Unit) -> Result<(), Failure> {
    let listed = unit
        .assets
        .iter()
        .find(|asset| asset.is_in_listed_library())
        .cloned();
    let (Some(asset), Some(task)) = (listed, request.task().cloned()) else {
        return Ok(());
    };
    let checking = tokio::task::spawn_blocking(move || library::outside_library(&task, &[asset]));
    checking
        .await
        .unwrap_or_else(|error| Err(Failure::transient("worker_stopping", error.to_string())))
}

/// The same as a type without a name, for the one route that leads to another.
fn boxed<'a>(
    request: Request<'a>,
    unit: &'a Unit,
    context: &'a StepContext,
    settings: Settings,
) -> BoxFuture<'a, UnitResult> {
    run_with(request, unit, context, settings).boxed()
}

async fn copy_files(
    task: &TransferTask,
    assets: Vec<Asset>,
    context: &StepContext,
    settings: Settings,
) -> UnitResult {
    let (task, context) = (task.clone(), context.clone());
    let work = move || local::unit::transfer(&task, &assets, &context, settings);
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(error) => UnitResult::Failed(Failure::transient(
            "worker_stopping",
            format!("the copy did not run: {error}"),
        )),
    }
}

/// The result of a unit whose assets were transferred by two engines.
fn joined(one: UnitResult, other: UnitResult) -> UnitResult {
    match (one, other) {
        (
            UnitResult::Finished {
                mut facts,
                mut failures,
            },
            UnitResult::Finished {
                facts: more,
                failures: failed,
            },
        ) => {
            facts.extend(more);
            failures.extend(failed);
            UnitResult::Finished { facts, failures }
        }
        (UnitResult::Finished { .. }, ended) | (ended, _) => ended,
    }
}
