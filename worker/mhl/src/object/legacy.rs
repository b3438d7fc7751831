//! Verifies a tree of objects against its MHL 1.1 lists.
use super::super::folder::Folder;
use super::super::ignore::{Ignore, default_patterns};
use super::super::legacy::{Listed, Lists};
use super::super::model::MhlError;
use super::super::report::VerifyReport;
use super::mirror::download;
use super::scratch::Scratch;
use super::walk::{Pages, is_walkable};
use super::{ObjectTree, hash};
use futures_util::{StreamExt, stream};
use std::collections::{BTreeMap, BTreeSet};
use storage::hash::Digest;
use storage::{ObjectState, StorageError};
use tokio_util::sync::CancellationToken;

/// Histories by the directory of each.
type Histories = BTreeMap<String, Vec<(String, ObjectState)>>;

/// Directories with a history that are in no other such directory.
pub(super) fn outermost(histories: &Histories) -> Vec<String> {
    let directories = histories.keys().filter(|directory| {
        let mut above = directory.match_indices('/').map(|(at, _)| &directory[..at]);
        !above.any(|above| histories.contains_key(above))
    });
    directories.cloned().collect()
}

/// Compares a tree with its lists. Directories with a history are left out: they are verified by themselves.
pub(super) async fn verify(
    (tree, lists, histories): (&ObjectTree, &[(String, ObjectState)], &[String]),
    at_once: usize,
    cancel: &CancellationToken,
    scratch: &Scratch,
) -> Result<VerifyReport, MhlError> {
    let in_history = |path: &str| {
        histories.iter().any(|directory| {
            path.strip_prefix(directory.as_str())
                .is_some_and(|rest| rest.starts_with('/'))
        })
    };
    let lists = lists.iter().filter(|(path, _)| !in_history(path));
    let lists = read(tree, lists, cancel, scratch).await?;
    let (mut report, ignored) = (lists.report(), Ignore::new(&default_patterns()));
    let mut missing: BTreeSet<&str> = lists.files.keys().map(String::as_str).collect();
    let mut pages = Pages::new(tree, cancel);
    while let Some(page) = pages.next().await? {
        let mut reads = Vec::new();
        for (path, state) in page {
            if !is_walkable(&path) {
                report.unrecordable(path);
                continue;
            }
            let Some((key, listed)) = lists.files.get_key_value(&path) else {
                // A name that ends in a slash marks a directory.
                let other = path.ends_with('/') || ignored.covers(&path) || in_history(&path);
                report
                    .new
                    .extend(Some(path).filter(|path| !other && lists.is_new(path)));
                continue;
            };
            missing.remove(key.as_str());
            let algorithms = listed.algorithms(&path, state.bytes, &mut report);
            if !algorithms.is_empty() {
                reads.push(async move {
                    (
                        path,
                        listed,
                        state.bytes,
                        hash(&tree.storage, &state, &algorithms, cancel).await,
                    )
                });
            }
        }
        let mut reads = stream::iter(reads).buffer_unordered(at_once.max(1));
        while let Some((path, listed, bytes, digests)) = reads.next().await {
            take(&mut report, path, (listed, bytes), digests)?;
        }
    }
    report
        .missing
        .extend(missing.into_iter().map(str::to_owned));
    Ok(report)
}

fn take(
    report: &mut VerifyReport,
    path: String,
    (listed, bytes): (&Listed, u64),
    digests: Result<Vec<Digest>, MhlError>,
) -> Result<(), MhlError> {
    match digests {
        Ok(digests) => listed.compare(&path, &digests, bytes, report),
        // It was removed during the walk.
        Err(MhlError::Storage(StorageError::NotFound(_))) => report.missing.push(path),
        Err(MhlError::Storage(error)) => report.unreadable.push((path, error.to_string())),
        Err(error) => return Err(error),
    }
    Ok(())
}

/// Reads lists by way of a copy of each.
async fn read(
    tree: &ObjectTree,
    listed: impl Iterator<Item = &(String, ObjectState)>,
    cancel: &CancellationToken,
    scratch: &Scratch,
) -> Result<Lists, MhlError> {
    let mut lists = Lists::default();
    for (path, state) in listed {
        let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
        let folder = scratch.path().join(directory);
        std::fs::create_dir_all(&folder).map_err(MhlError::io(&folder))?;
        download(tree, state, &folder.join(name), cancel).await?;
        let read = lists.read(&Folder::open(&folder)?, directory, name);
        read.map_err(|error| error.seen_at(scratch.path(), &tree.place()))?;
        std::fs::remove_file(folder.join(name)).map_err(MhlError::io(&folder))?;
    }
    lists.speak_of(scratch.path(), &tree.place());
    Ok(lists)
}
