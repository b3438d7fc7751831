//! Trying again, where that is known to be harmless: calls that change nothing or the same thing, and content that
//! breaks off while it is read.
use super::{ObjectState, Reading, Storage, StorageError, Version};
use bytes::Bytes;
use futures_util::stream;
use protocol::failure::ErrorClass;
use std::future::Future;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// How often and how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Calls without progress until the error is passed on.
    pub attempts: u32,
    /// Wait before the second call; it doubles.
    pub wait_min: Duration,
    /// Longest wait.
    pub wait_max: Duration,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience { attempts: 6, wait_min: Duration::from_millis(100), wait_max: Duration::from_secs(10) }
    }
}

impl Patience {
    /// Waits as long as after so many failures in a row.
    pub async fn wait(&self, failures: u32) {
        let wait = self.wait_min.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(self.wait_max);
        tokio::time::sleep(wait.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
    }
}

/// Whether the same call may simply be made again. What may have happened is looked at first, by whoever called.
fn again(error: &StorageError) -> bool {
    let passing = matches!(error.class(), ErrorClass::Transient | ErrorClass::Throttled { .. });
    passing && !matches!(error, StorageError::UploadGone(_) | StorageError::Full { .. })
}

/// Calls until it succeeds or fails for good.
pub async fn persist<T, F>(patience: Patience, mut call: impl FnMut() -> F) -> Result<T, StorageError>
where
    F: Future<Output = Result<T, StorageError>>,
{
    let mut failures = 0;
    loop {
        match call().await {
            Err(error) if again(&error) && failures + 1 < patience.attempts => {
                failures += 1;
                tracing::debug!(%error, failures, "a call is made again");
                patience.wait(failures).await;
            }
            other => return other,
        }
    }
}

/// Reads a stretch of an object in one state; where it breaks off, it is asked for again from there.
pub fn read_on(
    storage: Arc<dyn Storage>,
    key: String,
    range: Range<u64>,
    same: Version,
    patience: Patience,
) -> Reading {
    let whole = None;
    read_steadily(Steady {
        storage,
        key,
        at: range.start,
        end: range.end,
        same,
        whole,
        patience,
        open: None,
        failures: 0,
    })
}

/// Reads all of an object in one state, as [`read_on`] does. It must have the size of that state with every answer.
pub fn read_all(storage: Arc<dyn Storage>, state: &ObjectState, patience: Patience) -> Reading {
    let (key, same, end, whole) = (state.key.clone(), state.version.clone(), state.bytes, Some(state.bytes));
    read_steadily(Steady { storage, key, at: 0, end, same, whole, patience, open: None, failures: 0 })
}

fn read_steadily(steady: Steady) -> Reading {
    let (location, bytes) = (steady.storage.location(&steady.key), steady.end.saturating_sub(steady.at));
    let pieces = stream::unfold(Some(steady), |steady| async move {
        let mut steady = steady?;
        match steady.next().await {
            Ok(Some(piece)) => Some((Ok(piece), Some(steady))),
            Ok(None) => None,
            Err(error) => Some((Err(error), None)),
        }
    });
    Reading::new(location, bytes, pieces)
}

struct Steady {
    storage: Arc<dyn Storage>,
    key: String,
    at: u64,
    end: u64,
    same: Version,
    /// Size of the object, where it is known.
    whole: Option<u64>,
    patience: Patience,
    open: Option<Reading>,
    /// Without a byte in between.
    failures: u32,
}

impl Steady {
    async fn next(&mut self) -> Result<Option<Bytes>, StorageError> {
        while self.at < self.end {
            match self.step().await {
                Ok(piece) => {
                    self.at += piece.len() as u64;
                    // A piece without bytes is one that was passed over on the way to the place.
                    if !piece.is_empty() {
                        self.failures = 0;
                    }
                    return Ok(Some(piece));
                }
                Err(error) if again(&error) && self.failures + 1 < self.patience.attempts => {
                    self.open = None;
                    self.failures += 1;
                    tracing::debug!(%error, at = self.at, "content is asked for again");
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
                if let (Some(known), Some(told)) = (self.whole, reading.whole_bytes)
                    && known != told
                {
                    let said = format!("it had {known} bytes and has {told}");
                    return Err(StorageError::condition(self.storage.location(&self.key), said));
                }
                self.open.insert(reading)
            }
        };
        let ended = || StorageError::unavailable(self.storage.location(&self.key), "the content ended too early");
        reading.next().await.unwrap_or_else(|| Err(ended()))
    }
}
