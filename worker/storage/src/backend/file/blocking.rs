//! Blocking calls of the file system on their own threads.
use crate::StorageError;
use rustix::io::Errno;

/// Runs work on a thread that may block.
pub(super) async fn blocking<T: Send + 'static>(
    location: String,
    work: impl FnOnce() -> Result<T, StorageError> + Send + 'static,
) -> Result<T, StorageError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(error) => Err(StorageError::unavailable(
            location,
            format!("the worker is stopping: {error}"),
        )),
    }
}

/// The errno behind an I/O error; `EIO` without one.
pub(super) fn errno(error: &std::io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}
