//! What the assets of one unit share: step, target, and the uploads that a revoked unit has to abort.
use super::on_conflict::OnConflict;
use super::target::Target;
use crate::step::StepContext;
use crate::step::transfer::error_map;
use ::mhl::journal::{self, Record};
use futures_util::{StreamExt, stream};
use parking_lot::Mutex;
use protocol::failure::Failure;
use protocol::id::UnitId;
use protocol::wire::step::multipart::UploadReceipts;
use protocol::wire::step::transfer::TransferTask;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use storage::retry::{RetryBudget, retry};
use storage::{Durability, Root, Storage, Upload};
use tokio::sync::Semaphore;

/// Large assets of one unit in transit at the same time: each fills a connection with its own parts.
const LARGE_AT_ONCE: usize = 2;
/// Longest clean-up after a revoked unit.
const CLEAN_UP_MAX: Duration = Duration::from_secs(10);

/// What the assets of a unit share.
pub(super) struct Work {
    pub(super) task: TransferTask,
    pub(super) target: Target,
    pub(super) context: StepContext,
    /// An object existed at a destination, or the unit is a retry: destinations are checked first.
    pub(super) stat_first: AtomicBool,
    pub(super) large: Semaphore,
    /// Multipart uploads whose slices have ended.
    pub(super) upload_receipts: Vec<UploadReceipts>,
    /// Uploads that are neither complete nor aborted.
    open: Mutex<Vec<(Arc<dyn Storage>, Upload)>>,
}

impl Work {
    pub(super) async fn begin(
        task: &TransferTask,
        on_conflict: OnConflict,
        (attempt, upload_receipts): (u32, &[UploadReceipts]),
        context: &StepContext,
    ) -> Result<Arc<Work>, Failure> {
        Ok(Arc::new(Work {
            task: task.clone(),
            target: Target::open(task, on_conflict, context).await?,
            context: context.clone(),
            stat_first: AtomicBool::new(attempt > 0),
            large: Semaphore::new(LARGE_AT_ONCE),
            upload_receipts: upload_receipts.to_vec(),
            open: Mutex::default(),
        }))
    }

    /// Writes the journal for the seal of the tree.
    pub(super) async fn note(
        &self,
        id: UnitId,
        epoch: u32,
        records: &[Record],
    ) -> Result<(), Failure> {
        let job = self.task.job.clone();
        let Some(path) = self.target.directory().map(Path::to_owned) else {
            let (storage, root) = self.target.root();
            let put = journal::put(storage, root, &job, id.execution(epoch), records).await;
            return put.map_err(|error| error.failure());
        };
        let (worker, records) = (self.context.worker.clone(), records.to_vec());
        let roots = self.context.storage.roots().clone();
        let written = tokio::task::spawn_blocking(move || {
            let root =
                Root::create_within(&path, &roots).map_err(|error| error_map::directory(&error))?;
            journal::append(&root, &job, &worker, &records, Durability::PowerLoss).map_err(
                |error| {
                    error_map::destination(&path, "write the journal in", error_map::errno(&error))
                },
            )
        });
        written
            .await
            .unwrap_or_else(|error| Err(Failure::transient("worker_stopping", error.to_string())))
    }

    /// Aborts the uploads of a revoked unit.
    pub(super) async fn clean_up(&self) {
        let open = std::mem::take(&mut *self.open.lock());
        let aborting = stream::iter(open).for_each_concurrent(LARGE_AT_ONCE, |(storage, upload)| async move {
            let Ok(uploads) = storage.multipart(&upload.key) else { return };
            if let Err(error) = retry(RetryBudget::default(), || uploads.abort(&upload)).await {
                tracing::warn!(%error, "an upload of a revoked unit is left for the next one to that key");
            }
        });
        if tokio::time::timeout(CLEAN_UP_MAX, aborting).await.is_err() {
            tracing::warn!("uploads of a revoked unit are left for the next ones to their keys");
        }
    }

    pub(super) fn opened(&self, storage: &Arc<dyn Storage>, upload: &Upload) {
        self.open.lock().push((Arc::clone(storage), upload.clone()));
    }

    pub(super) fn closed(&self, upload: &Upload) {
        self.open.lock().retain(|(_, open)| open != upload);
    }
}
