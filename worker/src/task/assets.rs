//! Work on the assets of a unit, several at a time, and their local files.
use super::TaskContext;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, stream};
use protocol::failure::Failure;
use protocol::media::asset::Asset;
use protocol::wire::unit::Unit;
use std::fs::File;
use std::future::Future;
use std::path::{Path, PathBuf};
use storage::backend::Opened;
use storage::{RootError, Roots, StorageError, local_path};

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

/// Opens the storage of an asset, a local one below the base of the asset.
pub(super) async fn open(asset: &Asset, context: &TaskContext) -> Result<Opened, StorageError> {
    context
        .storage
        .open(&asset.location, base(asset).as_deref())
        .await
}

/// Runs `work` for every asset of a unit; results in their order. `None` when the unit was revoked.
pub(super) async fn each<'a, T, F, Fut>(
    unit: &'a Unit,
    context: &TaskContext,
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
