//! Requests readable copies of archived objects, and reports when they exist. The unit does not wait, because a restore
//! takes hours: it names the time of the next check and releases its slot.
use super::{StepContext, assets};
use protocol::failure::Failure;
use protocol::media::asset::Asset;
use protocol::model::location::shown;
use protocol::wire::report::UnitResult;
use protocol::wire::step::archive::RestoreTask;
use protocol::wire::unit::Unit;
use storage::retry::{RetryBudget, retry};
use storage::{ArchiveState, StorageError};

/// State of the content of an asset.
enum Content {
    /// The content can be read.
    Here,
    /// A restore is in progress.
    Coming,
}

/// Checks every asset of a unit and requests archived ones. Ends when all assets are readable or have failed.
pub async fn run(task: &RestoreTask, unit: &Unit, context: &StepContext) -> UnitResult {
    let looked = assets::each(unit, context, |asset| restore(task, asset, context)).await;
    let Some(looked) = looked else {
        return UnitResult::Cancelled;
    };
    let coming = looked
        .iter()
        .filter(|(_, found)| matches!(found, Ok(Content::Coming)));
    let (count, first) = (
        coming.clone().count(),
        coming
            .clone()
            .next()
            .map(|(asset, _)| shown(&asset.location).into_owned()),
    );
    if let Some(first) = first {
        // Failures are found again at the last check.
        let message = format!(
            "{count} of {} are on their way from the archive ({}), {first} among them",
            unit.assets.len(),
            format!("{:?}", task.tier).to_lowercase()
        );
        return UnitResult::Waiting {
            look_again_us: task.look_again_us,
            message,
        };
    }
    let failures = looked
        .into_iter()
        .filter_map(|(asset, found)| Some((asset.id.clone(), found.err()?)));
    UnitResult::Finished {
        facts: Vec::new(),
        failures: failures.collect(),
    }
}

async fn restore(
    task: &RestoreTask,
    asset: &Asset,
    context: &StepContext,
) -> Result<Content, Failure> {
    let failed = |error: StorageError| error.failure();
    let opened = assets::open(asset, context).await.map_err(failed)?;
    let (storage, key) = (&opened.storage, opened.key.as_str());
    let state = retry(RetryBudget::default(), || storage.stat(key))
        .await
        .map_err(failed)?;
    match state.archive {
        None | Some(ArchiveState::Restored) => Ok(Content::Here),
        Some(ArchiveState::Restoring) => Ok(Content::Coming),
        Some(ArchiveState::Archived) => {
            let archive = storage.archive(key).map_err(failed)?;
            let asked = retry(RetryBudget::default(), || {
                archive.restore(key, task.days, task.tier)
            })
            .await;
            asked.map(|()| Content::Coming).map_err(failed)
        }
    }
}
