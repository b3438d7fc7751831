//! Histories that come from, or go to, trees of objects.
use super::super::import::{import as import_local, proven};
use super::super::tree::join;
use super::super::{CHAIN_FILE, FOLDER, MhlError};
use super::mirror::{mirror, survey, upload};
use super::scratch::Scratch;
use super::{ObjectTree, blocking, hash};
use crate::storage::persist::{Patience, persist};
use crate::storage::{Condition, StorageError};
use protocol::wire::unit::HashAlgorithm;
use std::path::Path;
use tokio_util::sync::CancellationToken;

/// Gives the tree `to` the history of the tree `from`, when it has none of its own. Returns the number of generations
/// that came with it.
pub async fn import(from: &ObjectTree, to: &ObjectTree, cancel: &CancellationToken) -> Result<u64, MhlError> {
    let Some(scratch) = fetched(from, cancel).await? else { return Ok(0) };
    import_into(scratch.path(), to, cancel).await.map_err(|error| error.seen_at(scratch.path(), &from.place()))
}

/// The same from a directory.
pub async fn import_into(from: &Path, to: &ObjectTree, cancel: &CancellationToken) -> Result<u64, MhlError> {
    let source = from.to_owned();
    let Some(links) = blocking(move || proven(&source)).await? else { return Ok(0) };
    let chain = to.key(&join(FOLDER, CHAIN_FILE));
    match persist(Patience::default(), || to.storage.stat(&chain)).await {
        Ok(_) => return Ok(0),
        Err(StorageError::NotFound(_)) => {}
        Err(error) => return Err(error.into()),
    }
    for link in &links {
        let relative = join(FOLDER, &link.file);
        match upload(to, &relative, &from.join(&relative), &Condition::Free).await {
            // An earlier attempt may have got this far.
            Err(MhlError::Storage(error @ StorageError::Condition { .. })) => {
                let key = to.key(&relative);
                let there = persist(Patience::default(), || to.storage.stat(&key)).await?;
                let digests = hash(&to.storage, &there, &[HashAlgorithm::C4], cancel).await?;
                if digests.first().is_none_or(|digest| digest.text != link.c4) {
                    return Err(error.into());
                }
            }
            sent => drop(sent?),
        }
    }
    let relative = join(FOLDER, CHAIN_FILE);
    upload(to, &relative, &from.join(&relative), &Condition::Free).await?;
    Ok(links.len() as u64)
}

/// The same to a directory.
pub async fn import_to_directory(from: &ObjectTree, to: &Path, cancel: &CancellationToken) -> Result<u64, MhlError> {
    let Some(scratch) = fetched(from, cancel).await? else { return Ok(0) };
    let (source, target) = (scratch.path().to_owned(), to.to_owned());
    let imported = blocking(move || import_local(&source, &target)).await;
    imported.map_err(|error| error.seen_at(scratch.path(), &from.place()))
}

/// A copy of the history at the root of a tree.
async fn fetched(from: &ObjectTree, cancel: &CancellationToken) -> Result<Option<Scratch>, MhlError> {
    let survey = survey(from, None, cancel).await?;
    let Some(files) = survey.histories.get("") else { return Ok(None) };
    let scratch = Scratch::new()?;
    mirror(from, "", files, scratch.path(), cancel).await?;
    Ok(Some(scratch))
}
