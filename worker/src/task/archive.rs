//! Moves content to another storage class, where it is: no byte of it comes here.
use super::{TaskContext, assets};
use protocol::failure::Failure;
use protocol::media::asset::Asset;
use protocol::wire::report::UnitResult;
use protocol::wire::unit::{ArchiveTask, Unit};
use storage::persist::{Patience, persist};
use storage::{Archive, ObjectState, Storage, StorageError};

/// The class of objects that tell none.
const USUAL: &str = "STANDARD";
/// Answers to one move that may be lost in a row.
const LOST_ANSWERS_MAX: u32 = 3;

/// Moves every asset of a unit; what is in the class already is left alone.
pub async fn run(task: &ArchiveTask, unit: &Unit, context: &TaskContext) -> UnitResult {
    let moved = assets::each(unit, context, |asset| archive(task, asset, context)).await;
    let Some(moved) = moved else { return UnitResult::Cancelled };
    let failures = moved.into_iter().filter_map(|(asset, done)| Some((asset.id.clone(), done.err()?)));
    UnitResult::Finished { facts: Vec::new(), failures: failures.collect() }
}

async fn archive(task: &ArchiveTask, asset: &Asset, context: &TaskContext) -> Result<(), Failure> {
    let opened = context.storage.open(&asset.location, None).await.map_err(|error| error.failure())?;
    let (storage, key) = (&*opened.storage, opened.key.as_str());
    let failed = |error: StorageError| error.failure();
    if !storage.capabilities().classes {
        return Err(failed(StorageError::unsupported(&asset.location, "it has no storage classes")));
    }
    let before = persist(Patience::default(), || storage.stat(key)).await.map_err(failed)?;
    if class_of(&before) == task.class {
        return Ok(());
    }
    if matches!(before.archive, Some(Archive::Away | Archive::Coming)) {
        // It must be readable to be moved, and to stay what it is.
        return Err(failed(StorageError::Archived(asset.location.clone())));
    }
    let after = to_class(storage, &before, &task.class).await.map_err(failed)?;
    let same_sum = before.checksum.zip(after.checksum).is_none_or(|(was, is)| was.kind() != is.kind() || was == is);
    if after.bytes != before.bytes || !same_sum {
        let message = format!(
            "{} has {} bytes after it was moved to {} and had {} before, or another checksum: restore it from another copy",
            asset.location, after.bytes, task.class, before.bytes
        );
        return Err(Failure::permanent("archive_differs", message));
    }
    Ok(())
}

/// Moves; where the answer was lost, looks before it is done again.
async fn to_class(storage: &dyn Storage, before: &ObjectState, class: &str) -> Result<ObjectState, StorageError> {
    let (key, mut lost) = (before.key.as_str(), 0);
    loop {
        let moved = persist(Patience::default(), || storage.set_class(key, &before.version, class)).await;
        let Err(error @ StorageError::Unknown { .. }) = moved else { return moved };
        let now = persist(Patience::default(), || storage.stat(key)).await?;
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
