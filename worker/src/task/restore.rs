//! Asks for readable copies of archived content, and reports when it is there. Nothing waits here: an archive takes hours,
//! so the unit says when to look again and gives its slot back.
use super::{TaskContext, assets};
use protocol::failure::Failure;
use protocol::media::asset::Asset;
use protocol::wire::report::UnitResult;
use protocol::wire::unit::{RestoreTask, Unit};
use storage::persist::{Patience, persist};
use storage::{Archive, StorageError};

/// Where the content of an asset is.
enum Content {
    /// It can be read.
    Here,
    /// It is on its way.
    Coming,
}

/// Looks at every asset of a unit and asks for those that are away. Ends when all of them can be read or have failed.
pub async fn run(task: &RestoreTask, unit: &Unit, context: &TaskContext) -> UnitResult {
    let looked = assets::each(unit, context, |asset| restore(task, asset, context)).await;
    let Some(looked) = looked else { return UnitResult::Cancelled };
    let coming = looked.iter().filter(|(_, found)| matches!(found, Ok(Content::Coming)));
    let (count, first) = (coming.clone().count(), coming.clone().next().map(|(asset, _)| asset.location.clone()));
    if let Some(first) = first {
        // What failed meanwhile is found again at the last look.
        let message = format!(
            "{count} of {} are on their way from the archive ({}), {first} among them",
            unit.assets.len(),
            format!("{:?}", task.tier).to_lowercase()
        );
        return UnitResult::Waiting { look_again_us: task.look_again_us, message };
    }
    let failures = looked.into_iter().filter_map(|(asset, found)| Some((asset.id.clone(), found.err()?)));
    UnitResult::Finished { facts: Vec::new(), failures: failures.collect() }
}

async fn restore(task: &RestoreTask, asset: &Asset, context: &TaskContext) -> Result<Content, Failure> {
    let failed = |error: StorageError| error.failure();
    let opened = context.storage.open(&asset.location, None).await.map_err(failed)?;
    let (storage, key) = (&opened.storage, opened.key.as_str());
    let state = persist(Patience::default(), || storage.stat(key)).await.map_err(failed)?;
    match state.archive {
        None | Some(Archive::Here) => Ok(Content::Here),
        Some(Archive::Coming) => Ok(Content::Coming),
        Some(Archive::Away) => {
            let asked = persist(Patience::default(), || storage.restore(key, task.days, task.tier)).await;
            asked.map(|()| Content::Coming).map_err(failed)
        }
    }
}
