//! Finds the histories around the sources of a copy.
//!
//! A copy with a layout of its own cannot continue the histories of its source. Its journal names the source of each
//! file instead, and the histories in the directories above that source say which content the file must have.
use super::folder::Folder;
use super::history::History;
use super::journal::Copied;
use super::model::MhlError;
use super::object::{self, ObjectTree};
use super::proof::proven_one;
use super::source::Source;
use super::tree::has_history;
use futures_util::{StreamExt, TryStreamExt, stream};
use protocol::model::location::Scheme;
use std::collections::BTreeSet;
use std::path::PathBuf;
use storage::{Registry, StorageError, local_path};
use tokio_util::sync::CancellationToken;

/// Directories that are searched for a history at the same time.
const SEARCHES_AT_ONCE: usize = 16;

/// A directory that may have a history, in any storage.
enum Place {
    Directory(PathBuf),
    Objects(ObjectTree),
}

impl Source {
    /// Adds what the histories around the sources of `copies` say. Histories of the tree `continued` are left out: the
    /// copy continues them, and its files are compared with them by path.
    pub async fn add_origins(
        &mut self,
        copies: Vec<Copied>,
        continued: Option<&str>,
        storages: &Registry,
        cancel: &CancellationToken,
    ) -> Result<(), MhlError> {
        let refused = copies
            .iter()
            .filter(|copy| !copy.hashes.is_empty())
            .cloned()
            .collect();
        let copies = copies
            .into_iter()
            .filter_map(|copy| Some((normal(&copy.source)?, copy.path)));
        let mut copies: Vec<(String, String)> = copies.collect();
        copies.sort();
        let continued = continued.and_then(normal);
        let directories = directories(&copies, continued.as_deref());
        self.tree = continued;
        let found = stream::iter(directories)
            .map(|directory| async move {
                let place = Place::with_history(&directory, storages, cancel).await?;
                Ok::<_, MhlError>(place.map(|place| (directory, place)))
            })
            .buffered(SEARCHES_AT_ONCE);
        let mut found: Vec<(String, Place)> = found
            .try_filter_map(|found| async { Ok(found) })
            .try_collect()
            .await?;
        // The innermost first: what it knows of a file counts.
        found.sort_by_key(|(directory, _)| std::cmp::Reverse(directory.len()));
        for (directory, place) in found {
            if let Some(history) = place.history(storages, cancel).await? {
                self.take_origins(&history, &format!("{directory}/"), &copies);
            }
        }
        self.take_refused(refused);
        Ok(())
    }
}

impl Place {
    /// The directory at a location, when it has a history. What may not be looked at has none that could be read.
    async fn with_history(
        location: &str,
        storages: &Registry,
        cancel: &CancellationToken,
    ) -> Result<Option<Place>, MhlError> {
        if cancel.is_cancelled() {
            return Err(MhlError::Cancelled);
        }
        if Scheme::is_local(location) {
            let Ok(path) = local_path(location) else {
                return Ok(None);
            };
            let roots = storages.roots().clone();
            return object::blocking(move || {
                let opened = Folder::open_within(&path, &roots);
                Ok(opened
                    .is_ok_and(|folder| has_history(&folder))
                    .then_some(Place::Directory(path)))
            })
            .await;
        }
        let opened = storages.open(location, None).await?;
        let tree = ObjectTree::new(opened.storage, &opened.key);
        match object::has_chain(&tree).await {
            Ok(has) => Ok(has.then_some(Place::Objects(tree))),
            Err(MhlError::Storage(error @ StorageError::Denied { .. })) => {
                tracing::warn!(%error, "a source cannot be searched for a history");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Its history, once the chain is proven.
    async fn history(
        self,
        storages: &Registry,
        cancel: &CancellationToken,
    ) -> Result<Option<History>, MhlError> {
        let tree = match self {
            Place::Objects(tree) => tree,
            Place::Directory(path) => {
                let (roots, cancel) = (storages.roots().clone(), cancel.clone());
                return object::blocking(move || {
                    load(&Folder::open_within(&path, &roots)?, &cancel)
                })
                .await;
            }
        };
        let scratch = object::fetched_one(&tree, cancel).await?;
        let (fetched, cancel) = (scratch.path().to_owned(), cancel.clone());
        let loaded = object::blocking(move || load(&Folder::open(&fetched)?, &cancel)).await;
        loaded.map_err(|error| error.seen_at(scratch.path(), &tree.place()))
    }
}

fn load(directory: &Folder, cancel: &CancellationToken) -> Result<Option<History>, MhlError> {
    match proven_one(directory)? {
        Some(_) => History::load(directory, cancel).map(Some),
        None => Ok(None),
    }
}

/// A location in the one spelling that all are compared in.
fn normal(location: &str) -> Option<String> {
    if !Scheme::is_local(location) {
        return Some(location.trim_end_matches('/').to_owned());
    }
    Some(format!(
        "{}{}",
        Scheme::File.prefix(),
        local_path(location).ok()?.display()
    ))
}

/// Every directory above a source that is not in the tree `continued`; of a bucket, down from its root.
fn directories(copies: &[(String, String)], continued: Option<&str>) -> BTreeSet<String> {
    let mut directories = BTreeSet::new();
    for (source, _) in copies {
        let end = Scheme::split(source).map_or(0, |(scheme, _)| scheme.prefix().len());
        let mut rest = source.as_str();
        while let Some(at) = rest.rfind('/').filter(|at| *at > end) {
            rest = &rest[..at];
            let inside = continued.is_some_and(|tree| {
                rest.strip_prefix(tree)
                    .is_some_and(|below| below.is_empty() || below.starts_with('/'))
            });
            if !inside && !directories.insert(rest.to_owned()) {
                break;
            }
        }
    }
    directories
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_above_sources_are_searched_outside_of_the_continued_tree() {
        let copies: Vec<(String, String)> = [
            "file:/m/card/a/x.mov",
            "file:/m/y.mov",
            "s3://bucket/p/q/z.mov",
            "s3://bucket/w.mov",
        ]
        .map(|source| (normal(source).expect("a location"), String::new()))
        .into();
        let found = |continued| {
            directories(&copies, continued)
                .into_iter()
                .collect::<Vec<_>>()
        };
        let buckets = ["s3://bucket", "s3://bucket/p", "s3://bucket/p/q"];
        let all = ["file:/m", "file:/m/card", "file:/m/card/a"];
        assert_eq!(found(None), [&all[..], &buckets[..]].concat());
        assert_eq!(
            found(Some("file:/m/card")),
            [&all[..1], &buckets[..]].concat()
        );
        assert_eq!(found(Some("s3://bucket")), all);
        assert_eq!(normal("file:///m/x").as_deref(), Some("file:/m/x"));
    }
}
