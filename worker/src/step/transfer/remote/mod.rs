//! From any storage to any other. Each asset is read once, hashed while it streams, and verified by the destination
//! before it becomes visible.
//!
//! - [`work`]: what the assets of a unit share
//! - [`asset`]: one asset, from its source to its fact
//! - [`source`], [`fetch`], [`measures`]: the source, its content read ahead, and what is computed of it
//! - [`target`]: the destination of a unit and of each asset
//! - [`upload`]: content in parts; an interrupted upload is resumed
//! - [`local_parts`]: content in parts into directories, written while it arrives
//! - [`multipart`]: large content over several workers
//! - [`commit`]: one visible change, also when the reply is lost
//! - [`server_copy`]: copies that the server makes
mod asset;
mod commit;
mod error_map;
mod fetch;
mod local_parts;
mod measures;
pub(super) mod multipart;
mod on_conflict;
mod open_uploads;
mod server_copy;
mod source;
mod target;
mod upload;
mod uploaded_parts;
mod work;

pub(super) use on_conflict::OnConflict;

use crate::step::StepContext;
use ::mhl::journal::Record;
use futures_util::{StreamExt, stream};
use protocol::failure::Failure;
use protocol::media::asset::{Asset, AssetFact};
use protocol::wire::report::UnitResult;
use protocol::wire::step::multipart::UploadReceipts;
use protocol::wire::step::transfer::TransferTask;
use protocol::wire::unit::Unit;
use std::sync::Arc;
use tokio_util::task::AbortOnDropHandle;
use work::Work;

/// Assets of one unit in transit at the same time: enough that a reply time of 25 ms allows 1,200 assets a second.
const ASSETS_AT_ONCE: usize = 32;

/// Transfers `assets` of a unit. `assemblies` are the multipart uploads among them whose slices have ended.
pub(super) async fn transfer(
    task: &TransferTask,
    on_conflict: OnConflict,
    unit: &Unit,
    assets: Vec<Asset>,
    upload_receipts: &[UploadReceipts],
    context: &StepContext,
) -> UnitResult {
    let work = match Work::begin(task, on_conflict, (unit.attempt, upload_receipts), context).await
    {
        Ok(work) => work,
        Err(failure) => return UnitResult::Failed(failure),
    };
    let Some(carried) = context
        .cancel
        .run_until_cancelled(carry_all(&work, assets))
        .await
    else {
        work.clean_up().await;
        return UnitResult::Cancelled;
    };
    let (mut facts, mut failures, mut records) = (Vec::new(), Vec::new(), Vec::new());
    for (id, carried) in carried {
        match carried {
            Ok((fact, record)) => {
                facts.push(fact);
                records.push(record);
            }
            Err(failure) => failures.push((id, failure)),
        }
    }
    if task.mhl
        && !records.is_empty()
        && let Err(failure) = work.note(unit.id, unit.epoch, &records).await
    {
        return UnitResult::Failed(failure);
    }
    UnitResult::Finished { facts, failures }
}

type Carried = (String, Result<(AssetFact, Record), Failure>);

/// Transfers all assets, many at a time; results in their order.
async fn carry_all(work: &Arc<Work>, assets: Vec<Asset>) -> Vec<Carried> {
    let mut carrying = stream::iter(assets)
        .map(|asset| {
            let work = Arc::clone(work);
            async move {
                let id = asset.id.clone();
                let carried = AbortOnDropHandle::new(tokio::spawn(asset::carry(work, asset))).await;
                let carried = carried.unwrap_or_else(|error| match error.try_into_panic() {
                    Ok(panic) => std::panic::resume_unwind(panic),
                    Err(error) => Err(Failure::transient("worker_stopping", error.to_string())),
                });
                (id, carried)
            }
        })
        .buffered(ASSETS_AT_ONCE);
    let mut all = Vec::new();
    while let Some(carried) = carrying.next().await {
        all.push(carried);
    }
    all
}
