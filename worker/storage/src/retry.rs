//! Retries where they are safe: idempotent calls, and reads that are interrupted.
use super::{ByteStream, ObjectState, Storage, StorageError, Version};
use bytes::Bytes;
use futures_util::stream;
use protocol::failure::ErrorClass;
use std::future::Future;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// Limits of a retry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryBudget {
    /// Calls without progress before the error is returned.
    pub attempts: u32,
    /// Backoff before the second call. It doubles with each further call.
    pub wait_min: Duration,
    /// Upper bound of the backoff.
    pub wait_max: Duration,
}

impl Default for RetryBudget {
    fn default() -> RetryBudget {
        RetryBudget {
            attempts: 6,
            wait_min: Duration::from_millis(100),
            wait_max: Duration::from_secs(10),
        }
    }
}

impl RetryBudget {
    /// Waits for the backoff after this number of consecutive failures.
    pub async fn wait(&self, failures: u32) {
        let wait = self
            .wait_min
            .saturating_mul(1 << failures.saturating_sub(1).min(16))
            .min(self.wait_max);
        tokio::time::sleep(wait.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
    }
}

/// Whether the same call may be repeated. A change whose outcome is unknown is checked by the caller first.
fn is_retryable(error: &StorageError) -> bool {
    let passing = matches!(
        error.class(),
        ErrorClass::Transient | ErrorClass::Throttled { .. }
    );
    passing
        && !matches!(
            error,
            StorageError::UploadGone(_) | StorageError::Full { .. }
        )
}

/// Repeats a call until it succeeds, fails permanently, or exhausts its budget.
pub async fn retry<T, F>(
    patience: RetryBudget,
    mut call: impl FnMut() -> F,
) -> Result<T, StorageError>
where
    F: Future<Output = Result<T, StorageError>>,
{
    let mut failures = 0;
    loop {
        match call().await {
            Err(error) if is_retryable(&error) && failures + 1 < patience.attempts => {
                failures += 1;
                tracing::debug!(%error, failures, "retrying a storage call");
                patience.wait(failures).await;
            }
            other => return other,
        }
    }
}

/// Reads a range of an object in one state. An interrupted read resumes at the next byte. Every response must report the
/// size of that state.
pub fn resume_read(
    storage: Arc<dyn Storage>,
    state: &ObjectState,
    range: Range<u64>,
    patience: RetryBudget,
) -> ByteStream {
    let (key, same, whole) = (state.key.clone(), state.version.clone(), state.bytes);
    let (at, end) = (range.start, range.end);
    let reader = ResumingReader {
        storage,
        key,
        at,
        end,
        same,
        whole,
        patience,
        open: None,
        failures: 0,
    };
    let (location, bytes) = (
        reader.storage.location(&reader.key),
        reader.end.saturating_sub(reader.at),
    );
    let pieces = stream::unfold(Some(reader), |reader| async move {
        let mut reader = reader?;
        match reader.next().await {
            Ok(Some(piece)) => Some((Ok(piece), Some(reader))),
            Ok(None) => None,
            Err(error) => Some((Err(error), None)),
        }
    });
    ByteStream::new(location, bytes, pieces)
}

/// Reads a whole object in one state, as [`resume_read`] does.
pub fn read_all(
    storage: Arc<dyn Storage>,
    state: &ObjectState,
    patience: RetryBudget,
) -> ByteStream {
    resume_read(storage, state, 0..state.bytes, patience)
}

struct ResumingReader {
    storage: Arc<dyn Storage>,
    key: String,
    at: u64,
    end: u64,
    same: Version,
    /// Size of the object in that state.
    whole: u64,
    patience: RetryBudget,
    open: Option<ByteStream>,
    /// Consecutive failures without a byte in between.
    failures: u32,
}

impl ResumingReader {
    async fn next(&mut self) -> Result<Option<Bytes>, StorageError> {
        while self.at < self.end {
            match self.step().await {
                Ok(piece) => {
                    self.at += piece.len() as u64;
                    // An empty piece is returned when the server sent only bytes before the requested range.
                    if !piece.is_empty() {
                        self.failures = 0;
                    }
                    return Ok(Some(piece));
                }
                Err(error)
                    if is_retryable(&error) && self.failures + 1 < self.patience.attempts =>
                {
                    self.open = None;
                    self.failures += 1;
                    tracing::debug!(%error, at = self.at, "resuming an interrupted read");
                    self.patience.wait(self.failures).await;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    async fn step(&mut self) -> Result<Bytes, StorageError> {
        let reading = match &mut self.open {
            Some(reading) => reading,
            None => {
                let range = self.at..self.end;
                let same = Some(&self.same).filter(|same| !same.tag.is_empty());
                let reading = self.storage.read(&self.key, range, same).await?;
                let known = self.whole;
                if let Some(reported) = reading.whole_bytes.filter(|reported| *reported != known) {
                    let said = format!("it had {known} bytes and has {reported}");
                    return Err(StorageError::precondition(
                        self.storage.location(&self.key),
                        said,
                    ));
                }
                self.open.insert(reading)
            }
        };
        let ended = || {
            StorageError::unavailable(
                self.storage.location(&self.key),
                "the content ended too early",
            )
        };
        reading.next().await.unwrap_or_else(|| Err(ended()))
    }
}
