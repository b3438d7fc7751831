//! A tree of objects as a walk through directories. It needs what is below a directory to stand together, as it does in
//! the order of keys, and in the order of names directory by directory, which some servers list in.
use super::super::MhlError;
use super::super::write::is_xml_text;
use super::ObjectTree;
use async_trait::async_trait;
use storage::retry::{RetryBudget, retry};
use storage::{ListRequest, ListStart, ObjectState, StorageError};
use tokio_util::sync::CancellationToken;

/// Objects asked for at a time.
const PAGE_OBJECTS: u32 = 1_000;

/// Who is led through a tree. Paths are relative to its root, which is the empty path.
#[async_trait]
pub(super) trait Visitor: Send {
    /// Whether what is there is no part of the history.
    fn ignores(&self, path: &str, directory: bool) -> bool;
    /// A directory begins.
    async fn enter(&mut self, path: &str) -> Result<(), MhlError>;
    /// An object in the directory that began last and has not ended.
    async fn object(&mut self, path: &str, state: ObjectState) -> Result<(), MhlError>;
    /// An object whose key has no form in a history. It is passed over.
    fn unrecordable(&mut self, path: &str);
    /// That directory ends.
    async fn leave(&mut self) -> Result<(), MhlError>;
}

/// Asks for the objects of a tree page by page.
pub(super) struct Pages<'a> {
    tree: &'a ObjectTree,
    cancel: &'a CancellationToken,
    next: Option<Option<String>>,
}

impl<'a> Pages<'a> {
    /// From the first page on.
    pub(super) fn new(tree: &'a ObjectTree, cancel: &'a CancellationToken) -> Pages<'a> {
        Pages {
            tree,
            cancel,
            next: Some(None),
        }
    }

    /// The next page: paths relative to the tree, with their objects; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<(String, ObjectState)>>, MhlError> {
        let Some(page) = self.next.take() else {
            return Ok(None);
        };
        let (storage, prefix) = (&self.tree.storage, &self.tree.prefix);
        let start = ListStart::page(page.as_deref());
        let request = ListRequest {
            prefix,
            start,
            objects_max: PAGE_OBJECTS,
        };
        let asked = retry(RetryBudget::default(), || storage.list(request));
        let listing = self
            .cancel
            .run_until_cancelled(asked)
            .await
            .ok_or(MhlError::Cancelled)??;
        self.next = listing.next.map(Some);
        let inside = listing.objects.into_iter().filter_map(|state| {
            let path = state
                .key
                .strip_prefix(prefix.as_str())
                .filter(|path| !path.is_empty())?
                .to_owned();
            Some((path, state))
        });
        Ok(Some(inside.collect()))
    }
}

/// Leads a visitor through a tree.
pub(super) async fn walk(
    tree: &ObjectTree,
    visitor: &mut dyn Visitor,
    cancel: &CancellationToken,
) -> Result<(), MhlError> {
    let (mut pages, mut order, mut sequence) = (
        Pages::new(tree, cancel),
        Order::default(),
        Sequence::default(),
    );
    let mut skipped: Option<String> = None;
    visitor.enter("").await?;
    while let Some(page) = pages.next().await? {
        for (path, state) in page {
            if let Err(said) = sequence.next(&path) {
                return Err(StorageError::unsupported(tree.place(), said).into());
            }
            if skipped
                .as_ref()
                .is_some_and(|skipped| path.starts_with(skipped.as_str()))
            {
                continue;
            }
            if !is_walkable(&path) {
                visitor.unrecordable(&path);
                continue;
            }
            let (directory, file) = path.rsplit_once('/').unwrap_or(("", &path));
            let (leaves, enters) = order.go_to(directory);
            for _ in 0..leaves {
                visitor.leave().await?;
            }
            skipped = None;
            for entered in enters {
                if visitor.ignores(&entered, true) {
                    order.stay_out(&entered);
                    skipped = Some(format!("{entered}/"));
                    break;
                }
                visitor.enter(&entered).await?;
            }
            // A key that ends with a slash is a placeholder object for a directory.
            if skipped.is_none() && !file.is_empty() && !visitor.ignores(&path, false) {
                visitor.object(&path, state).await?;
            }
        }
    }
    let (leaves, _) = order.go_to("");
    for _ in 0..=leaves {
        visitor.leave().await?;
    }
    Ok(())
}

/// Whether a path can stand in a history: a file system could have it, and XML can say it.
pub(super) fn is_walkable(path: &str) -> bool {
    let names = path.strip_suffix('/').unwrap_or(path);
    is_xml_text(path)
        && names
            .split('/')
            .all(|name| !name.is_empty() && name != "." && name != "..")
}

/// The order of a listing, as far as it has been seen.
#[derive(Debug)]
struct Sequence {
    before: Option<String>,
    /// Whether it may be the order of keys, and that of names.
    by_key: bool,
    by_name: bool,
}

impl Default for Sequence {
    fn default() -> Sequence {
        Sequence {
            before: None,
            by_key: true,
            by_name: true,
        }
    }
}

impl Sequence {
    fn next(&mut self, path: &str) -> Result<(), String> {
        if let Some(before) = &self.before {
            self.by_key &= before.as_str() < path;
            self.by_name &= before.split('/').lt(path.split('/'));
            if !self.by_key && !self.by_name {
                return Err(format!(
                    "it lists {path:?} after {before:?}: such an order cannot be walked"
                ));
            }
        }
        self.before = Some(path.to_owned());
        Ok(())
    }
}

/// Directories around the current key.
#[derive(Debug, Default)]
struct Order {
    open: Vec<String>,
}

impl Order {
    /// How many directories end, and which begin, on the way to `directory`.
    fn go_to(&mut self, directory: &str) -> (usize, Vec<String>) {
        let around = |open: &str| directory == open || directory.starts_with(&format!("{open}/"));
        let kept = self.open.iter().take_while(|open| around(open)).count();
        let leaves = self.open.len() - kept;
        self.open.truncate(kept);
        let inside = self.open.last().map_or(0, |open| open.len() + 1);
        let ends = directory
            .match_indices('/')
            .map(|(at, _)| at)
            .chain([directory.len()]);
        let enters: Vec<String> = ends
            .filter(|end| *end > inside.saturating_sub(1) && *end > 0)
            .map(|end| directory[..end].to_owned())
            .collect();
        self.open.extend(enters.iter().cloned());
        (leaves, enters)
    }

    /// Forgets a directory that is not entered, and those in it.
    fn stay_out(&mut self, directory: &str) {
        let outside = self
            .open
            .iter()
            .take_while(|open| *open != directory)
            .count();
        self.open.truncate(outside);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn directories_open_and_close_around_keys() {
        let mut order = Order::default();
        assert_eq!(
            order.go_to("a/b"),
            (0, vec!["a".to_owned(), "a/b".to_owned()])
        );
        assert_eq!(order.go_to("a/b"), (0, vec![]));
        assert_eq!(order.go_to("a/bc"), (1, vec!["a/bc".to_owned()]));
        assert_eq!(order.go_to(""), (2, vec![]));
        assert_eq!(order.go_to("x/y/z").1.len(), 3);
        order.stay_out("x/y");
        assert_eq!(order.go_to("x"), (0, vec![]));
    }

    #[test]
    fn either_order_is_walked_and_no_other() {
        let in_order = |paths: &[&str]| {
            let mut sequence = Sequence::default();
            paths.iter().try_for_each(|path| sequence.next(path))
        };
        assert_eq!(in_order(&["a-b", "a.c", "a/x", "b"]), Ok(()));
        assert_eq!(in_order(&["a/x", "a-b", "a.c", "b"]), Ok(()));
        assert!(
            in_order(&["a/x", "a-b", "a/y"])
                .expect_err("comes back")
                .contains("\"a/y\" after \"a-b\"")
        );
        assert!(in_order(&["a", "a"]).is_err());
    }

    proptest! {
        /// In the order of keys every directory begins once and ends once, and is open around what is in it.
        #[test]
        fn every_directory_begins_once(
            paths in prop::collection::btree_set("[a-c.-]{1,2}(/[a-c.-]{1,2}){0,3}", 1..40),
            by_name in any::<bool>(),
        ) {
            let mut paths: Vec<String> = paths.into_iter().collect();
            if by_name {
                paths.sort_by(|a, b| a.split('/').cmp(b.split('/')));
            }
            let (mut order, mut open, mut begun) = (Order::default(), Vec::<String>::new(), BTreeSet::new());
            for path in &paths {
                let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
                let (leaves, enters) = order.go_to(directory);
                open.truncate(open.len() - leaves);
                for entered in enters {
                    prop_assert!(begun.insert(entered.clone()), "{} begins twice", entered);
                    open.push(entered);
                }
                prop_assert_eq!(open.last().map_or("", String::as_str), directory);
            }
        }
    }
}
