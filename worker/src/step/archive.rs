//! Moves objects to another storage class in place: no content is transferred.
use super::{StepContext, assets};
use protocol::failure::Failure;
use protocol::media::asset::Asset;
use protocol::wire::report::UnitResult;
use protocol::wire::step::archive::ArchiveTask;
use protocol::wire::unit::Unit;
use storage::retry::{RetryBudget, retry};
use storage::{ArchiveState, ObjectState, Storage, StorageError};

/// The storage class of objects that report none.
const USUAL: &str = "STANDARD";
/// Consecutive lost replies to one move before it fails.
const LOST_ANSWERS_MAX: u32 = 3;

/// Moves every asset of a unit. Objects in the class already are skipped.
pub async fn run(task: &ArchiveTask, unit: &Unit, context: &StepContext) -> UnitResult {
    let moved = assets::each(unit, context, |asset| archive(task, asset, context)).await;
    let Some(moved) = moved else {
        return UnitResult::Cancelled;
    };
    let failures = moved
        .into_iter()
        .filter_map(|(asset, done)| Some((asset.id.clone(), done.err()?)));
    UnitResult::Finished {
        facts: Vec::new(),
        failures: failures.collect(),
    }
}

async fn archive(task: &ArchiveTask, asset: &Asset, context: &StepContext) -> Result<(), Failure> {
    let opened = assets::open(asset, context)
        .await
        .map_err(|error| error.failure())?;
    let (storage, key) = (&*opened.storage, opened.key.as_str());
    let failed = |error: StorageError| error.failure();
    storage.classes(key).map_err(failed)?;
    let before = retry(RetryBudget::default(), || storage.stat(key))
        .await
        .map_err(failed)?;
    if class_of(&before) == task.class {
        return Ok(());
    }
    if matches!(
        before.archive,
        Some(ArchiveState::Archived | ArchiveState::Restoring)
    ) {
        // An archived object must be restored before it can be moved.
        return Err(failed(StorageError::Archived(asset.location.clone())));
    }
    let after = to_class(storage, &before, &task.class)
        .await
        .map_err(failed)?;
    let same_sum = before
        .checksum
        .zip(after.checksum)
        .is_none_or(|(was, is)| was.kind() != is.kind() || was == is);
    if after.bytes != before.bytes || !same_sum {
        let message = format!(
            "{} has {} bytes after it was moved to {} and had {} before, or another checksum: restore it from another copy",
            asset.location, after.bytes, task.class, before.bytes
        );
        return Err(Failure::permanent("archive_differs", message));
    }
    Ok(())
}

/// Moves an object. After a lost reply the state is checked before a retry.
async fn to_class(
    storage: &dyn Storage,
    before: &ObjectState,
    class: &str,
) -> Result<ObjectState, StorageError> {
    let (key, mut lost) = (before.key.as_str(), 0);
    let classes = storage.classes(key)?;
    loop {
        let moved = retry(RetryBudget::default(), || {
            classes.set_class(key, &before.version, class)
        })
        .await;
        let Err(error @ StorageError::Unknown { .. }) = moved else {
            return moved;
        };
        let now = retry(RetryBudget::default(), || storage.stat(key)).await?;
        if class_of(&now) == class {
            return Ok(now);
        }
        lost += 1;
        if lost == LOST_ANSWERS_MAX {
            return Err(error);
        }
    }
}

fn class_of(state: &ObjectState) -> &str {
    state.class.as_deref().unwrap_or(USUAL)
}
