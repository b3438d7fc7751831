//! Hashes content where it is. Nothing is copied: the recorded hash proves later that the bytes are still the same.
use super::transfer::requirements::ContentRequirements;
use super::{StepContext, assets};
use protocol::failure::Failure;
use protocol::media::asset::{Asset, AssetFact};
use protocol::model::hash::HashAlgorithm;
use protocol::wire::report::UnitResult;
use protocol::wire::step::checksum::ChecksumTask;
use protocol::wire::unit::Unit;
use std::sync::Arc;
use storage::StorageError;
use storage::content::digests;
use storage::retry::{RetryBudget, retry};

/// Hash of assets without a declared hash, when the step names none.
const USUAL: HashAlgorithm = HashAlgorithm::Xxh128;

/// Hashes every asset of a unit. An asset that differs from its declared size or hash fails, and its hash is not recorded.
pub async fn run(task: &ChecksumTask, unit: &Unit, context: &StepContext) -> UnitResult {
    let hashed = assets::each(unit, context, |asset| hash(task, asset, context)).await;
    let Some(hashed) = hashed else {
        return UnitResult::Cancelled;
    };
    let (mut facts, mut failures) = (Vec::new(), Vec::new());
    for (asset, result) in hashed {
        match result {
            Ok(Some(fact)) => facts.push(fact),
            Ok(None) => return UnitResult::Cancelled,
            Err(failure) => failures.push((asset.id.clone(), failure)),
        }
    }
    UnitResult::Finished { facts, failures }
}

/// The fact about one asset; `None` when the unit was revoked.
async fn hash(
    task: &ChecksumTask,
    asset: &Asset,
    context: &StepContext,
) -> Result<Option<AssetFact>, Failure> {
    let failed = |error: StorageError| error.failure();
    let asked: Vec<HashAlgorithm> = task.algorithm.into_iter().collect();
    let requirements =
        ContentRequirements::new(&asked, task.algorithm, asset, asset.location.clone())?;
    let algorithms = if requirements.algorithms.is_empty() {
        vec![USUAL]
    } else {
        requirements.algorithms.clone()
    };
    let opened = assets::open(asset, context).await.map_err(failed)?;
    let storage = Arc::clone(&opened.storage);
    let state = retry(RetryBudget::default(), || storage.stat(&opened.key))
        .await
        .map_err(failed)?;
    requirements.check_size(asset, state.bytes, None)?;
    let read = digests(
        opened.storage,
        &state,
        &algorithms,
        Some(&context.bytes),
        &context.cancel,
    )
    .await;
    let Some(digests) = read.map_err(failed)? else {
        return Ok(None);
    };
    requirements.check_declared(&digests)?;
    let hash = requirements
        .reported(&digests)
        .or_else(|| digests.first().map(ToString::to_string));
    Ok(Some(AssetFact {
        asset: asset.id.clone(),
        hash,
        bytes: Some(state.bytes),
        ..AssetFact::default()
    }))
}
