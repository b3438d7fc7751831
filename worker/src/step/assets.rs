//! Work on the assets of a unit, several at a time, and their local files.
use super::StepContext;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, stream};
use parking_lot::Mutex;
use protocol::failure::Failure;
use protocol::media::asset::Asset;
use protocol::wire::unit::Unit;
use std::collections::HashMap;
use std::fs::File;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use storage::backend::Opened;
use storage::{Base, RootError, Roots, StorageError, local_path};

/// Number of assets at the same time.
const AT_ONCE: usize = 8;

/// The directory of this machine that the file of an asset lies below: the one that was listed, or that of the step
/// which made the copy.
pub(super) fn base(asset: &Asset) -> Option<PathBuf> {
    local_path(asset.base()?).ok()
}

/// Opens the local file of an asset. A link that has replaced a directory since the listing or the copy is not followed
/// out of the base of the asset.
pub(super) fn open_file(asset: &Asset, path: &Path, roots: &Roots) -> Result<File, RootError> {
    match base(asset) {
        Some(base) => roots.open_file_below(&base, path),
        None => roots.open_file(path),
    }
}

/// Directories that a unit keeps open.
const BASES_MAX: usize = 32;

/// The bases of a unit's assets, opened once however many of its files lie below them.
pub(super) struct Bases<'a> {
    roots: &'a Roots,
    open: Mutex<HashMap<String, Arc<Base>>>,
}

impl<'a> Bases<'a> {
    /// None is open yet.
    pub(super) fn new(roots: &'a Roots) -> Bases<'a> {
        Bases {
            roots,
            open: Mutex::default(),
        }
    }

    /// Opens the local file of an asset, as [`open_file`] does.
    pub(super) fn open_file(&self, asset: &Asset, path: &Path) -> Result<File, RootError> {
        let Some((location, directory)) = asset.base().zip(base(asset)) else {
            return self.roots.open_file(path);
        };
        let known = self.open.lock().get(location).cloned();
        if let Some(known) = known {
            return known.open_file(path);
        }
        let opened = Arc::new(self.roots.base(&directory)?);
        let mut open = self.open.lock();
        // Each holds a descriptor; files mostly come from one listing, so forgetting all costs little.
        if open.len() >= BASES_MAX {
            open.clear();
        }
        open.insert(location.to_owned(), Arc::clone(&opened));
        drop(open);
        opened.open_file(path)
    }
}

/// Opens the storage of an asset, a local one below the base of the asset.
pub(super) async fn open(asset: &Asset, context: &StepContext) -> Result<Opened, StorageError> {
    context
        .storage
        .open(&asset.location, base(asset).as_deref())
        .await
}

/// Runs `work` for every asset of a unit; results in their order. `None` when the unit was revoked.
pub(super) async fn each<'a, T, F, Fut>(
    unit: &'a Unit,
    context: &StepContext,
    work: F,
) -> Option<Vec<(&'a Asset, Result<T, Failure>)>>
where
    F: Fn(&'a Asset) -> Fut,
    Fut: Future<Output = Result<T, Failure>> + Send + 'a,
    T: Send + 'a,
{
    // Boxed one by one and collected by hand: the compiler does not prove more to be `Send` over borrowed assets.
    let work: Vec<BoxFuture<'a, Result<T, Failure>>> = unit
        .assets
        .iter()
        .map(|asset| work(asset).boxed())
        .collect();
    let all = async {
        let (mut work, mut done) = (
            stream::iter(work).buffered(AT_ONCE),
            Vec::with_capacity(unit.assets.len()),
        );
        while let Some(one) = work.next().await {
            done.push(one);
        }
        done
    };
    let done = context.cancel.run_until_cancelled(all).await?;
    Some(unit.assets.iter().zip(done).collect())
}
