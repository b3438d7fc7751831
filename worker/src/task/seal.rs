//! Closes a destination tree with an ASC MHL generation.
use super::TaskContext;
use crate::mhl::seal::seal;
use crate::mhl::{MhlError, is_recordable};
use crate::storage::local_path;
use protocol::failure::Failure;
use protocol::wire::report::UnitResult;
use protocol::wire::unit::{SealTask, Unit};
use std::io;

/// Files named in a failure; the generation has them all.
const NAMED_MAX: usize = 5;

/// Closes a destination tree with an ASC MHL generation.
pub async fn run(task: &SealTask, _unit: &Unit, context: &TaskContext) -> UnitResult {
    let invalid = |message: String| UnitResult::Failed(Failure::permanent("mhl_invalid", message));
    let root = match local_path(&task.root) {
        Ok(root) => root,
        Err(error) => return invalid(error.to_string()),
    };
    if !is_recordable(task.algorithm) {
        let name = task.algorithm.as_str();
        return invalid(format!("ASC MHL cannot record {name}: verify with xxh128, xxh3, xxh64, md5, sha1 or c4"));
    }
    let (job, algorithm, cancel) = (task.job.clone(), task.algorithm, context.cancel.clone());
    let sealed = tokio::task::spawn_blocking(move || seal(&root, &job, algorithm, &cancel)).await;
    match sealed {
        Ok(Ok(report)) if report.failed.is_empty() => UnitResult::Finished { facts: Vec::new(), failures: Vec::new() },
        Ok(Ok(report)) => UnitResult::Failed(mismatch(&report.failed)),
        Ok(Err(MhlError::Cancelled)) => UnitResult::Cancelled,
        Ok(Err(error)) => UnitResult::Failed(failure(&error)),
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(error) => UnitResult::Failed(Failure::transient("worker_stopping", format!("not sealed: {error}"))),
    }
}

fn mismatch(failed: &[String]) -> Failure {
    let named = failed.iter().take(NAMED_MAX).cloned().collect::<Vec<_>>().join("; ");
    let count = failed.len();
    let message = format!(
        "{count} files do not agree with the MHL history of their tree ({named}): the generation records them as failed; restore them or find out who changed them"
    );
    Failure::permanent("mhl_mismatch", message)
}

fn failure(error: &MhlError) -> Failure {
    let message = error.to_string();
    match error {
        MhlError::Io { source, .. } => match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Failure::transient("destination_full", format!("no space for the MHL generation: {message}"))
            }
            io::ErrorKind::NotFound => Failure::permanent("mhl_root_missing", format!("nothing to seal: {message}")),
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Failure::permanent("destination_unwritable", format!("the MHL generation cannot be written: {message}"))
            }
            _ => Failure::transient("mhl_io_failed", format!("the MHL generation cannot be written: {message}")),
        },
        MhlError::Malformed { .. } | MhlError::Broken { .. } => Failure::permanent("mhl_history_broken", message),
        MhlError::Unrecordable(_) => Failure::permanent("mhl_name_unrecordable", message),
        MhlError::Storage(error) => error.failure(),
        MhlError::Busy(_) | MhlError::Cancelled => Failure::transient("mhl_busy", message),
    }
}
