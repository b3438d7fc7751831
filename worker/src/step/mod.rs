//! The execution of each step kind. A new kind is one file here and one line in [`run`].
pub mod archive;
mod assets;
pub mod checksum;
mod effects;
mod mount;
pub mod noop;
mod probe;
pub mod purge;
pub mod qc;
pub mod restore;
pub mod scan;
pub mod seal;
pub mod transfer;

/// Storage and media programs of steps; actors only pass them on.
pub use ::qc::Tools;
pub use effects::{Effect, Effects};
pub use storage::Registry;

use protocol::id::WorkerId;
use protocol::wire::report::UnitResult;
use protocol::wire::step::TaskSpec;
use protocol::wire::unit::Unit;
use protocol::workflow::file::OnLink;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use tokio_util::sync::CancellationToken;
use transfer::Request;

/// What a running step uses besides its unit.
#[derive(Clone)]
pub struct StepContext {
    /// Cancelled when the unit is revoked; the step then stops soon and cleans up.
    pub cancel: CancellationToken,
    /// The worker this runs in.
    pub worker: WorkerId,
    /// Receiver of pages and tombstones.
    pub effects: Arc<dyn Effects>,
    /// Bytes this execution has moved, for progress.
    pub bytes: Arc<AtomicU64>,
    /// Media programs, with their time limits.
    pub tools: Arc<Tools>,
    /// Execution log and fault plan of `noop` units.
    pub rehearsal: Arc<noop::Rehearsal>,
    /// Storage of every kind.
    pub storage: Arc<Registry>,
}

/// Runs one unit to its end. Never panics on input; a panic inside a step is caught by the executor.
pub async fn run(unit: &Unit, context: &StepContext) -> UnitResult {
    run_step(unit.task.as_ref(), unit, context).await
}

async fn run_step(task: &TaskSpec, unit: &Unit, context: &StepContext) -> UnitResult {
    // Heavy steps are boxed, so that the light ones do not carry the size of the largest through every move.
    match task {
        TaskSpec::Scan(task) => Box::pin(scan::run(task, None, OnLink::Fail, unit, context)).await,
        TaskSpec::ScanSelected { scan: task, filter } => {
            Box::pin(scan::run(task, Some(filter), OnLink::Fail, unit, context)).await
        }
        TaskSpec::ScanWithoutLinks { scan: task, filter } => {
            Box::pin(scan::run(task, Some(filter), OnLink::Skip, unit, context)).await
        }
        TaskSpec::Transfer(task) => {
            Box::pin(transfer::run(Request::Copy(task), unit, context)).await
        }
        TaskSpec::Replace(task) => {
            Box::pin(transfer::run(Request::Replace(task), unit, context)).await
        }
        TaskSpec::BeginUploads(task) => {
            Box::pin(transfer::run(Request::BeginUploads(task), unit, context)).await
        }
        TaskSpec::Slice(task) => {
            Box::pin(transfer::run(Request::SendSlice(task), unit, context)).await
        }
        TaskSpec::CompleteUploads(task) => {
            Box::pin(transfer::run(Request::CompleteUploads(task), unit, context)).await
        }
        TaskSpec::Qc(task) => Box::pin(qc::run(task, &[], unit, context)).await,
        TaskSpec::Judge(task) => Box::pin(qc::run(&task.qc, &task.known, unit, context)).await,
        TaskSpec::Noop(task) => noop::run(task, unit, context).await,
        TaskSpec::Seal(task) => Box::pin(seal::run(task, None, context)).await,
        TaskSpec::SealCopy { seal: task, from } => {
            Box::pin(seal::run(task, Some(from), context)).await
        }
        TaskSpec::Checksum(task) => Box::pin(checksum::run(task, unit, context)).await,
        TaskSpec::Archive(task) => Box::pin(archive::run(task, unit, context)).await,
        TaskSpec::Restore(task) => Box::pin(restore::run(task, unit, context)).await,
        TaskSpec::Purge(task) => Box::pin(purge::run(task, unit, context)).await,
        // The executor has ensured that no other unit runs.
        TaskSpec::Alone(task) => Box::pin(run_step(task, unit, context)).await,
    }
}
