//! Histories that come from, or go to, trees of objects.
use super::super::chain::{self, Link};
use super::super::import::{Chains, Imported, import_chains, proven};
use super::super::tree::join;
use super::super::{CHAIN_FILE, FOLDER, MhlError};
use super::mirror::{download, mirror, survey, upload};
use super::scratch::Scratch;
use super::{ObjectTree, blocking, hash};
use protocol::wire::unit::HashAlgorithm;
use std::path::Path;
use storage::persist::{Patience, persist};
use storage::{Condition, StorageError};
use tokio_util::sync::CancellationToken;

/// Gives the tree `to` the histories of the tree `from`, where it has none of its own.
pub async fn import(from: &ObjectTree, to: &ObjectTree, cancel: &CancellationToken) -> Result<Imported, MhlError> {
    let Some(scratch) = fetched(from, cancel).await? else { return Ok(Imported::default()) };
    import_into(scratch.path(), to, cancel).await.map_err(|error| error.seen_at(scratch.path(), &from.place()))
}

/// The same from a directory.
pub async fn import_into(from: &Path, to: &ObjectTree, cancel: &CancellationToken) -> Result<Imported, MhlError> {
    let chains = chains_of(from, cancel).await?;
    let mut imported = Imported::default();
    // The outermost history comes before those in it.
    for (prefix, links) in chains {
        if let Some(ours) = chain_of(to, &prefix, cancel).await? {
            let (from, cancel, mut source) = (from.to_owned(), cancel.clone(), std::mem::take(&mut imported.source));
            imported.source = blocking(move || {
                source.add(&from, &prefix, &links, &ours, &cancel)?;
                Ok(source)
            })
            .await?;
        } else {
            send(from, to, &prefix, &links, cancel).await?;
            imported.generations += links.len() as u64;
        }
    }
    Ok(imported)
}

/// The same to a directory.
pub async fn import_to_directory(
    from: &ObjectTree,
    to: &Path,
    cancel: &CancellationToken,
) -> Result<Imported, MhlError> {
    let Some(scratch) = fetched(from, cancel).await? else { return Ok(Imported::default()) };
    let chains = chains_of(scratch.path(), cancel).await;
    let imported = match chains {
        Ok(chains) => {
            let (source, target, cancel) = (scratch.path().to_owned(), to.to_owned(), cancel.clone());
            // Where there are only objects, a history alone knows of directories without any.
            blocking(move || import_chains(&source, &target, &chains, None, &cancel)).await
        }
        Err(error) => Err(error),
    };
    imported.map_err(|error| error.seen_at(scratch.path(), &from.place()))
}

async fn chains_of(tree: &Path, cancel: &CancellationToken) -> Result<Chains, MhlError> {
    let (tree, cancel) = (tree.to_owned(), cancel.clone());
    blocking(move || proven(&tree, &cancel)).await
}

/// The chain of the history of a directory, when it has one.
async fn chain_of(tree: &ObjectTree, prefix: &str, cancel: &CancellationToken) -> Result<Option<Vec<Link>>, MhlError> {
    let key = tree.key(&join(prefix, &join(FOLDER, CHAIN_FILE)));
    let state = match persist(Patience::default(), || tree.storage.stat(&key)).await {
        Ok(state) => state,
        Err(StorageError::NotFound(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let scratch = Scratch::new()?;
    let path = scratch.path().join(CHAIN_FILE);
    download(tree, &state, &path, cancel).await?;
    let place = format!("{}/{}", tree.place(), join(prefix, FOLDER));
    chain::read(&path).map(Some).map_err(|error| error.seen_at(scratch.path(), &place))
}

/// Writes the history of a directory, the chain last.
async fn send(
    from: &Path,
    to: &ObjectTree,
    prefix: &str,
    links: &[Link],
    cancel: &CancellationToken,
) -> Result<(), MhlError> {
    for link in links {
        let relative = join(prefix, &join(FOLDER, &link.file));
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
    let relative = join(prefix, &join(FOLDER, CHAIN_FILE));
    upload(to, &relative, &from.join(&relative), &Condition::Free).await.map(drop)
}

/// A copy of the histories of a tree, without anything else in it.
async fn fetched(from: &ObjectTree, cancel: &CancellationToken) -> Result<Option<Scratch>, MhlError> {
    let survey = survey(from, None, cancel).await?;
    if survey.histories.is_empty() {
        return Ok(None);
    }
    let scratch = Scratch::new()?;
    for (directory, files) in &survey.histories {
        mirror(from, directory, files, scratch.path(), cancel).await?;
    }
    Ok(Some(scratch))
}
