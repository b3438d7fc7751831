//! Rate limits of an endpoint: bytes and requests per second over all units of this worker, and a pause for all of them
//! when the endpoint throttles one.
use super::layer::{Call, Layer};
use super::settings::EndpointSettings;
use super::{ByteStream, StorageError};
use async_trait::async_trait;
use futures_util::StreamExt;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// Budget that an idle endpoint accumulates.
const BURST: Duration = Duration::from_millis(250);
/// Longest sleep of a thread between two checks whether it should stop.
const STOP_CHECK: Duration = Duration::from_millis(100);
/// First and longest pause after a throttled reply that names no wait.
const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// Consecutive throttled replies that lengthen the pause.
const DOUBLINGS_MAX: u32 = 8;

/// Budget of an endpoint, shared by everything that uses it.
pub struct Budget {
    bytes: Option<Rate>,
    requests: Option<Rate>,
    pause: Mutex<Pause>,
}

#[derive(Default)]
struct Pause {
    until: Option<Instant>,
    in_a_row: u32,
}

/// So much a second.
struct Rate {
    per_second: f64,
    /// When everything taken so far is paid for.
    paid_at: Mutex<Instant>,
}

impl Rate {
    fn new(per_second: f64) -> Rate {
        Rate {
            per_second,
            paid_at: Mutex::new(Instant::now()),
        }
    }

    /// Takes an amount and returns the time when the caller may continue. The wait follows the amount that caused it,
    /// so that an amount above the budget of a second passes as well.
    fn take(&self, amount: f64) -> Instant {
        let mut paid_at = self.paid_at.lock();
        let now = Instant::now();
        let from = (*paid_at).max(now.checked_sub(BURST).unwrap_or(now));
        *paid_at = from + Duration::from_secs_f64(amount / self.per_second);
        from
    }
}

impl Budget {
    /// Full, as the settings say.
    pub fn new(settings: &EndpointSettings) -> Budget {
        Budget {
            bytes: settings
                .bytes_per_second
                .map(|bytes| Rate::new(bytes.0 as f64)),
            requests: settings.requests_per_second.map(Rate::new),
            pause: Mutex::default(),
        }
    }

    /// Waits until a request with this number of bytes may be sent.
    pub async fn admit(&self, bytes: u64) {
        loop {
            let until = self.pause.lock().until;
            match until.filter(|until| *until > Instant::now()) {
                // Checked again: the pause may have become longer.
                Some(until) => sleep_until(until).await,
                None => break,
            }
        }
        if let Some(requests) = &self.requests {
            sleep_until(requests.take(1.0)).await;
        }
        self.spend(bytes).await;
    }

    /// Waits until this number of bytes may pass.
    async fn spend(&self, bytes: u64) {
        if let Some(rate) = self.bytes.as_ref().filter(|_| bytes > 0) {
            sleep_until(rate.take(bytes as f64)).await;
        }
    }

    /// Waits in this thread until a number of bytes of local files may pass, or until `is_stopped`.
    pub fn spend_blocking(&self, bytes: u64, is_stopped: impl Fn() -> bool) {
        let Some(rate) = self.bytes.as_ref().filter(|_| bytes > 0) else {
            return;
        };
        let until = rate.take(bytes as f64);
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || is_stopped() {
                return;
            }
            std::thread::sleep(left.min(STOP_CHECK));
        }
    }

    /// Notes how the endpoint answered.
    pub fn note(&self, error: Option<&StorageError>) {
        let mut pause = self.pause.lock();
        let now = Instant::now();
        let open = pause.until.is_none_or(|until| until <= now);
        let Some(StorageError::Throttled { retry_after, .. }) = error else {
            if error.is_none() && open {
                *pause = Pause::default();
            }
            return;
        };
        // Requests that were out together are answered together: that is one sign, not many.
        if open {
            pause.in_a_row = (pause.in_a_row + 1).min(DOUBLINGS_MAX);
        }
        let own = PAUSE_MIN
            .saturating_mul(1 << (pause.in_a_row.max(1) - 1))
            .min(PAUSE_MAX);
        let until = now
            + retry_after
                .unwrap_or(own.mul_f64(0.75 + 0.5 * fastrand::f64()))
                .min(PAUSE_MAX);
        pause.until = Some(pause.until.map_or(until, |known| known.max(until)));
    }
}

/// Keeps to a budget.
pub struct Throttle(pub Arc<Budget>);

#[async_trait]
impl Layer for Throttle {
    type Mark = ();

    async fn before(&self, call: &Call) -> Result<(), StorageError> {
        self.0.admit(call.bytes).await;
        Ok(())
    }

    fn content(&self, _mark: &(), content: ByteStream) -> ByteStream {
        if self.0.bytes.is_none() {
            return content;
        }
        let budget = Arc::clone(&self.0);
        content.changed(move |pieces| {
            pieces.then(move |piece| {
                let budget = Arc::clone(&budget);
                async move {
                    if let Ok(bytes) = &piece {
                        budget.spend(bytes.len() as u64).await;
                    }
                    piece
                }
            })
        })
    }

    fn after(&self, (): (), _call: &Call, error: Option<&StorageError>) -> Option<StorageError> {
        self.0.note(error);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::quantity::Bytes;

    fn budget(bytes: Option<u64>, requests: Option<f64>) -> Budget {
        let bytes_per_second = bytes.map(Bytes);
        Budget::new(&EndpointSettings {
            bytes_per_second,
            requests_per_second: requests,
            ..Default::default()
        })
    }

    fn asks_for_less(retry_after: Option<Duration>) -> StorageError {
        StorageError::Throttled {
            location: "s3://b".into(),
            said: "SlowDown".into(),
            retry_after,
        }
    }

    #[tokio::test]
    async fn rate_limits_hold_over_all_units() {
        let (start, budget) = (Instant::now(), Arc::new(budget(Some(10_000), Some(100.0))));
        let users: Vec<_> = (0..4)
            .map(|_| {
                let budget = Arc::clone(&budget);
                tokio::spawn(async move {
                    for _ in 0..15 {
                        budget.admit(0).await;
                    }
                })
            })
            .collect();
        for user in users {
            user.await.expect("ends");
        }
        // 60 requests at 100 a second, less what had been saved up.
        let taken = start.elapsed();
        assert!(taken >= Duration::from_millis(330), "{taken:?}");
        // The last amount is not waited for, only what it costs the next.
        for _ in 0..3 {
            budget.admit(5_000).await;
        }
        assert!(
            start.elapsed() - taken >= Duration::from_millis(700),
            "{:?}",
            start.elapsed() - taken
        );
    }

    #[tokio::test]
    async fn throttled_endpoint_pauses_all_units() {
        let (start, budget) = (Instant::now(), budget(None, None));
        budget.note(Some(&asks_for_less(Some(Duration::from_millis(120)))));
        budget.admit(0).await;
        assert!(
            start.elapsed() >= Duration::from_millis(120),
            "{:?}",
            start.elapsed()
        );
        // Without a wish the pause doubles, once for all that were out together.
        let pauses = (0..3).map(|_| {
            budget.pause.lock().until = None;
            budget.note(Some(&asks_for_less(None)));
            budget.note(Some(&asks_for_less(None)));
            budget.pause.lock().until.map(|until| {
                until
                    .saturating_duration_since(Instant::now())
                    .as_secs_f64()
            })
        });
        let pauses: Vec<f64> = pauses.flatten().collect();
        // The first of them follows one that was asked for, so it is the second in a row.
        assert!(
            pauses.len() == 3 && pauses[0] > 0.7 && pauses[1] > 1.4 && pauses[2] > 2.9,
            "{pauses:?}"
        );
        assert!(pauses[2] < 5.1, "{pauses:?}");
        budget.pause.lock().until = None;
        budget.note(None);
        budget.note(Some(&asks_for_less(None)));
        let first = budget
            .pause
            .lock()
            .until
            .map(|until| until.saturating_duration_since(Instant::now()));
        assert!(
            first.is_some_and(|first| first < Duration::from_millis(630)),
            "{first:?}"
        );
    }
}
