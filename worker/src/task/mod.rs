//! What a worker can do. A new task is one file here and one line in [`run`].
pub mod archive;
mod assets;
pub mod noop;
mod probe;
pub mod purge;
pub mod qc;
pub mod restore;
pub mod scan;
pub mod seal;
pub mod transfer;

/// What tasks open locations with, and the media programs they run; actors only hand both on.
pub use ::qc::Tools;
pub use storage::Registry;

use async_trait::async_trait;
use protocol::failure::Failure;
use protocol::id::{UnitId, WorkerId};
use protocol::wire::report::{Burial, ScanPage, UnitResult};
use protocol::wire::unit::{TaskSpec, Unit};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use tokio_util::sync::CancellationToken;

/// Where a task sends what its end does not carry: pages of listings, and what was removed. Waits while the coordinator is behind, so that a listing never piles up in memory.
#[async_trait]
pub trait PageSink: Send + Sync {
    /// Hands over one page; an error means the scan has lost its lease or its coordinator and should stop.
    async fn send(&self, page: ScanPage) -> Result<(), Failure>;

    /// The same for a page of a bucket, with the last key in it.
    async fn send_up_to(&self, page: ScanPage, key: String) -> Result<(), Failure> {
        let _ = key;
        self.send(page).await
    }

    /// Hands over what an execution has removed for good.
    async fn buried(&self, unit: UnitId, epoch: u32, burials: Vec<Burial>) -> Result<(), Failure> {
        let _ = (unit, epoch);
        let count = burials.len();
        Err(Failure::permanent("purge_unrecorded", format!("nobody here keeps what is left of {count} files")))
    }
}

/// What a running task may use besides its unit.
#[derive(Clone)]
pub struct TaskContext {
    /// Set when the unit is revoked; a task stops as soon as it can and cleans up.
    pub cancel: CancellationToken,
    /// The worker this runs in.
    pub worker: WorkerId,
    /// Receiver of scan pages.
    pub pages: Arc<dyn PageSink>,
    /// Bytes this execution has moved, for progress.
    pub bytes: Arc<AtomicU64>,
    /// Media programs.
    pub tools: Arc<Tools>,
    /// What `noop` units note and how they misbehave.
    pub rehearsal: Arc<noop::Rehearsal>,
    /// Storage of every kind.
    pub storage: Arc<Registry>,
}

/// Runs one unit to its end. Never panics on input; a panic inside a task is caught by the executor.
pub async fn run(unit: &Unit, context: &TaskContext) -> UnitResult {
    run_task(unit.task.as_ref(), unit, context).await
}

async fn run_task(task: &TaskSpec, unit: &Unit, context: &TaskContext) -> UnitResult {
    // Heavy tasks are boxed, so that the light ones do not carry the size of the largest through every move.
    match task {
        TaskSpec::Scan(task) => Box::pin(scan::run(task, None, unit, context)).await,
        TaskSpec::ScanSelected { scan: task, filter } => Box::pin(scan::run(task, Some(filter), unit, context)).await,
        TaskSpec::Transfer(task) => Box::pin(transfer::run(task, unit, context)).await,
        TaskSpec::Replace(task) => Box::pin(transfer::replace(task, unit, context)).await,
        TaskSpec::Cut(task) => Box::pin(transfer::cut(task, unit, context)).await,
        TaskSpec::Slice(task) => Box::pin(transfer::slice(task, unit, context)).await,
        TaskSpec::Assemble(task) => Box::pin(transfer::assemble(task, unit, context)).await,
        TaskSpec::Qc(task) => Box::pin(qc::run(task, &[], unit, context)).await,
        TaskSpec::Judge(task) => Box::pin(qc::run(&task.qc, &task.known, unit, context)).await,
        TaskSpec::Noop(task) => noop::run(task, unit, context).await,
        TaskSpec::Seal(task) => Box::pin(seal::run(task, None, context)).await,
        TaskSpec::SealCopy { seal: task, from } => Box::pin(seal::run(task, Some(from), context)).await,
        TaskSpec::Archive(task) => Box::pin(archive::run(task, unit, context)).await,
        TaskSpec::Restore(task) => Box::pin(restore::run(task, unit, context)).await,
        TaskSpec::Purge(task) => Box::pin(purge::run(task, unit, context)).await,
        // Whoever executes it has seen to it that it is alone.
        TaskSpec::Alone(task) => Box::pin(run_task(task, unit, context)).await,
    }
}
