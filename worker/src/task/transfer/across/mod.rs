//! From any storage to any other: each asset is read once, hashed while it streams, and proven by the destination before
//! it is visible there.
//!
//! - [`asset`]: one asset from the look at its source to its fact
//! - [`source`]: where it is read, and its content in stretches that are read ahead
//! - [`upload`]: content in parts, gone on with where an interrupted upload stopped
//! - [`land`]: content in parts into directories, written while it comes
//! - [`cut`], [`slice`], [`assemble`]: large content over several workers: begun, carried, completed
//! - [`commit`]: becoming visible, once, also when the answer is lost
//! - [`server_copy`]: what the other side copies by itself
mod assemble;
mod asset;
mod commit;
pub(super) mod cut;
mod fault;
mod land;
mod on_conflict;
mod receipt;
mod server_copy;
pub(super) mod slice;
mod source;
mod target;
mod upload;

pub(super) use on_conflict::OnConflict;

use super::TaskContext;
use ::mhl::journal::{self, Record};
use futures_util::{StreamExt, stream};
use parking_lot::Mutex;
use protocol::failure::Failure;
use protocol::id::UnitId;
use protocol::media::asset::{Asset, AssetFact};
use protocol::wire::report::UnitResult;
use protocol::wire::unit::{Assembly, TransferTask};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use storage::persist::{Patience, persist};
use storage::{Durability, Root, Storage, Upload};
use target::Target;
use tokio::sync::Semaphore;
use tokio_util::task::AbortOnDropHandle;

/// Assets of one unit on their way at the same time: enough for an answer that takes 25 ms to allow 1,200 a second.
const ASSETS_AT_ONCE: usize = 32;
/// Large ones among them: each fills a connection with parts of its own.
const LARGE_AT_ONCE: usize = 2;
/// Time that cleaning up after a revoked unit may take.
const CLEAN_UP_MAX: Duration = Duration::from_secs(10);

/// What the assets of a unit share.
struct Work {
    task: TransferTask,
    target: Target,
    context: TaskContext,
    /// An asset met something at its destination, or the unit was tried before: destinations are looked at first.
    look_first: AtomicBool,
    large: Semaphore,
    /// Large assets whose slices have been carried.
    assemblies: Vec<Assembly>,
    /// Uploads that are neither complete nor aborted.
    open: Mutex<Vec<(Arc<dyn Storage>, Upload)>>,
}

/// Whether a location is one that only this engine opens.
pub(super) fn is_remote(location: &str) -> bool {
    ["s3://", "gs://", "https://", "http://"].iter().any(|scheme| location.starts_with(scheme))
}

/// Transfers all assets of a unit, or those that are given of it; of some, all slices have been carried.
pub(super) async fn transfer(
    task: &TransferTask,
    on_conflict: OnConflict,
    unit: (UnitId, u32, u32),
    assets: Vec<Asset>,
    assemblies: &[Assembly],
    context: &TaskContext,
) -> UnitResult {
    let (id, epoch, attempt) = unit;
    let work = match Work::begin(task, on_conflict, (attempt, assemblies), context).await {
        Ok(work) => work,
        Err(failure) => return UnitResult::Failed(failure),
    };
    let Some(carried) = context.cancel.run_until_cancelled(Work::carry_all(&work, assets)).await else {
        work.clean_up().await;
        return UnitResult::Cancelled;
    };
    let (mut facts, mut failures, mut records) = (Vec::new(), Vec::new(), Vec::new());
    for (id, carried) in carried {
        match carried {
            Ok((fact, record)) => {
                facts.push(fact);
                records.push(record);
            }
            Err(failure) => failures.push((id, failure)),
        }
    }
    if task.mhl
        && !records.is_empty()
        && let Err(failure) = work.note(id, epoch, &records).await
    {
        return UnitResult::Failed(failure);
    }
    UnitResult::Finished { facts, failures }
}

type Carried = (String, Result<(AssetFact, Record), Failure>);

impl Work {
    async fn begin(
        task: &TransferTask,
        on_conflict: OnConflict,
        (attempt, assemblies): (u32, &[Assembly]),
        context: &TaskContext,
    ) -> Result<Arc<Work>, Failure> {
        Ok(Arc::new(Work {
            task: task.clone(),
            target: Target::open(task, on_conflict, context).await?,
            context: context.clone(),
            look_first: AtomicBool::new(attempt > 0),
            large: Semaphore::new(LARGE_AT_ONCE),
            assemblies: assemblies.to_vec(),
            open: Mutex::default(),
        }))
    }

    /// All assets, many at a time; results in their order.
    async fn carry_all(work: &Arc<Work>, assets: Vec<Asset>) -> Vec<Carried> {
        let mut carrying = stream::iter(assets)
            .map(|asset| {
                let work = Arc::clone(work);
                async move {
                    let id = asset.id.clone();
                    let carried = AbortOnDropHandle::new(tokio::spawn(asset::carry(work, asset))).await;
                    let carried = carried.unwrap_or_else(|error| match error.try_into_panic() {
                        Ok(panic) => std::panic::resume_unwind(panic),
                        Err(error) => Err(Failure::transient("worker_stopping", error.to_string())),
                    });
                    (id, carried)
                }
            })
            .buffered(ASSETS_AT_ONCE);
        let mut all = Vec::new();
        while let Some(carried) = carrying.next().await {
            all.push(carried);
        }
        all
    }

    /// Writes the journal that the seal of the tree reads.
    async fn note(&self, id: UnitId, epoch: u32, records: &[Record]) -> Result<(), Failure> {
        let job = self.task.job.clone();
        let Some(path) = self.target.directory().map(std::path::Path::to_owned) else {
            let (storage, root) = self.target.root();
            let put = journal::put(storage, root, &job, (id, epoch), records).await;
            return put.map_err(|error| error.failure());
        };
        let (worker, records) = (self.context.worker.clone(), records.to_vec());
        let roots = self.context.storage.roots().clone();
        let written = tokio::task::spawn_blocking(move || {
            let root = Root::create_within(&path, &roots).map_err(|error| super::fault::directory(&error))?;
            journal::append(&root, &job, &worker, &records, Durability::PowerLoss)
                .map_err(|error| super::fault::destination(&path, "write the journal in", super::fault::errno(&error)))
        });
        written.await.unwrap_or_else(|error| Err(Failure::transient("worker_stopping", error.to_string())))
    }

    /// Aborts what a revoked unit had begun.
    async fn clean_up(&self) {
        let open = std::mem::take(&mut *self.open.lock());
        let aborting = stream::iter(open).for_each_concurrent(LARGE_AT_ONCE, |(storage, upload)| async move {
            if let Err(error) = persist(Patience::default(), || storage.abort(&upload)).await {
                tracing::warn!(%error, "an upload of a revoked unit is left for the next one to that key");
            }
        });
        if tokio::time::timeout(CLEAN_UP_MAX, aborting).await.is_err() {
            tracing::warn!("uploads of a revoked unit are left for the next ones to their keys");
        }
    }

    fn opened(&self, storage: &Arc<dyn Storage>, upload: &Upload) {
        self.open.lock().push((Arc::clone(storage), upload.clone()));
    }

    fn closed(&self, upload: &Upload) {
        self.open.lock().retain(|(_, open)| open != upload);
    }
}
