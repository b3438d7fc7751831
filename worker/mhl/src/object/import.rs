//! Histories that come from, or go to, trees of objects.
use super::super::chain::{self, Link};
use super::super::folder::Folder;
use super::super::import::{Imported, import_chains, source};
use super::super::proof::proven;
use super::super::tree::join;
use super::super::{CHAIN_FILE, FOLDER, MhlError};
use super::mirror::{download, files, mirror, survey, upload};
use super::scratch::Scratch;
use super::{ObjectTree, blocking, hash};
use protocol::model::hash::HashAlgorithm;
use std::path::Path;
use std::sync::Arc;
use storage::retry::{RetryBudget, retry};
use storage::{Precondition, Roots, StorageError};
use tokio_util::sync::CancellationToken;

/// Gives the tree `to` the histories of the tree `from`, where it has none of its own.
pub async fn import(
    from: &ObjectTree,
    to: &ObjectTree,
    cancel: &CancellationToken,
) -> Result<Imported, MhlError> {
    let Some(scratch) = fetched(from, cancel).await? else {
        return Ok(Imported::default());
    };
    import_into((scratch.path(), &Roots::default()), to, cancel)
        .await
        .map_err(|error| error.seen_at(scratch.path(), &from.place()))
}

/// The same from a directory.
pub async fn import_into(
    (from, roots): (&Path, &Roots),
    to: &ObjectTree,
    cancel: &CancellationToken,
) -> Result<Imported, MhlError> {
    let (opened, roots) = (from.to_owned(), roots.clone());
    let Some(from) = blocking(move || source(&opened, &roots)).await? else {
        return Ok(Imported::default());
    };
    let (from, cancelled) = (Arc::new(from), cancel.clone());
    let tree = Arc::clone(&from);
    let chains = blocking(move || proven(&tree, &cancelled)).await?;
    let mut imported = Imported::default();
    // The outermost history comes before those in it.
    for (prefix, links) in chains {
        if let Some(ours) = chain_of(to, &prefix, cancel).await? {
            let (from, cancel, mut source) = (
                Arc::clone(&from),
                cancel.clone(),
                std::mem::take(&mut imported.source),
            );
            imported.source = blocking(move || {
                source.add(&from, &prefix, &links, &ours, &cancel)?;
                Ok(source)
            })
            .await?;
        } else {
            send(&from, to, &prefix, &links, cancel).await?;
            imported.generations += links.len() as u64;
        }
    }
    Ok(imported)
}

/// The same to a directory.
pub async fn import_to_directory(
    from: &ObjectTree,
    (to, roots): (&Path, &Roots),
    cancel: &CancellationToken,
) -> Result<Imported, MhlError> {
    let Some(scratch) = fetched(from, cancel).await? else {
        return Ok(Imported::default());
    };
    let (fetched, target, cancel) = (scratch.path().to_owned(), to.to_owned(), cancel.clone());
    let roots = roots.clone();
    let imported = blocking(move || {
        let fetched = Folder::open(&fetched)?;
        let chains = proven(&fetched, &cancel)?;
        // Where there are only objects, a history alone knows of directories without any.
        import_chains(&fetched, (&target, &roots), &chains, None, &cancel)
    });
    imported
        .await
        .map_err(|error| error.seen_at(scratch.path(), &from.place()))
}

/// The chain of the history of a directory, when it has one.
async fn chain_of(
    tree: &ObjectTree,
    prefix: &str,
    cancel: &CancellationToken,
) -> Result<Option<Vec<Link>>, MhlError> {
    let key = tree.key(&join(prefix, &join(FOLDER, CHAIN_FILE)));
    let state = match retry(RetryBudget::default(), || tree.storage.stat(&key)).await {
        Ok(state) => state,
        Err(StorageError::NotFound(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let scratch = Scratch::new()?;
    let path = scratch.path().join(CHAIN_FILE);
    download(tree, &state, &path, cancel).await?;
    let place = format!("{}/{}", tree.place(), join(prefix, FOLDER));
    let read = Folder::open(scratch.path()).and_then(|folder| chain::read(&folder, CHAIN_FILE));
    read.map(Some)
        .map_err(|error| error.seen_at(scratch.path(), &place))
}

/// Writes the history of a directory, the chain last.
async fn send(
    from: &Folder,
    to: &ObjectTree,
    prefix: &str,
    links: &[Link],
    cancel: &CancellationToken,
) -> Result<(), MhlError> {
    let folder = from.below(join(prefix, FOLDER))?;
    let file = |name: &str| Ok::<_, MhlError>((folder.open_file(name, false)?, folder.at(name)));
    for link in links {
        let relative = join(prefix, &join(FOLDER, &link.file));
        match upload(to, &relative, file(&link.file)?, &Precondition::IfAbsent).await {
            // An earlier attempt may have got this far.
            Err(MhlError::Storage(error @ StorageError::Precondition { .. })) => {
                let key = to.key(&relative);
                let there = retry(RetryBudget::default(), || to.storage.stat(&key)).await?;
                let digests = hash(&to.storage, &there, &[HashAlgorithm::C4], cancel).await?;
                if digests.first().is_none_or(|digest| digest.text != link.c4) {
                    return Err(error.into());
                }
            }
            sent => drop(sent?),
        }
    }
    let relative = join(prefix, &join(FOLDER, CHAIN_FILE));
    upload(to, &relative, file(CHAIN_FILE)?, &Precondition::IfAbsent)
        .await
        .map(drop)
}

/// Whether the directory that a tree is has a history.
pub(in super::super) async fn has_chain(tree: &ObjectTree) -> Result<bool, MhlError> {
    let key = tree.key(&join(FOLDER, CHAIN_FILE));
    match retry(RetryBudget::default(), || tree.storage.stat(&key)).await {
        Ok(_) => Ok(true),
        Err(StorageError::NotFound(_)) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// A copy of the history of the directory that a tree is, without those below it.
pub(in super::super) async fn fetched_one(
    tree: &ObjectTree,
    cancel: &CancellationToken,
) -> Result<Scratch, MhlError> {
    let listed = files(&tree.below(FOLDER), cancel).await?;
    let named = listed.into_iter().filter_map(|state| {
        let name = state
            .key
            .rsplit('/')
            .next()
            .filter(|name| *name == CHAIN_FILE || name.ends_with(".mhl"))?
            .to_owned();
        Some((name, state))
    });
    let scratch = Scratch::new()?;
    mirror(tree, "", &named.collect::<Vec<_>>(), scratch.path(), cancel).await?;
    Ok(scratch)
}

/// A copy of the histories of a tree, without anything else in it.
async fn fetched(
    from: &ObjectTree,
    cancel: &CancellationToken,
) -> Result<Option<Scratch>, MhlError> {
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
