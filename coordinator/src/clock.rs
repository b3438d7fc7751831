//! The coordinator's clock: the machine's, but it never goes back. One that was set back would make every silence look
//! short, and nothing would be taken back until it had caught up (TIME-1).
use parking_lot::Mutex;
use protocol::time::Timestamp;
use std::sync::Arc;
use std::time::Instant;

/// Source of the coordinator's time; tests pass their own.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Follows `wall` when it is ahead; continues at the pace of monotonic time when `wall` has been set back.
pub fn steady(wall: impl Fn() -> Timestamp + Send + Sync + 'static) -> Clock {
    let last = Mutex::new((Instant::now(), wall()));
    Arc::new(move || {
        let mut last = last.lock();
        let instant = Instant::now();
        let gone = last.1.after(instant.saturating_duration_since(last.0));
        *last = (instant, gone.max(wall()));
        last.1
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicI64, Ordering};
    use std::time::Duration;

    #[test]
    fn it_follows_ahead_and_never_back() {
        let wall = Arc::new(AtomicI64::new(1_000_000_000));
        let set = Arc::clone(&wall);
        let clock = steady(move || Timestamp(wall.load(Ordering::Relaxed)));
        let first = clock();
        set.fetch_add(3_600_000_000, Ordering::Relaxed);
        let ahead = clock();
        assert!(ahead.since(first) >= Duration::from_secs(3_599));
        set.fetch_sub(7_200_000_000, Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(20));
        let gone = clock().since(ahead);
        assert!(
            gone >= Duration::from_millis(20) && gone < Duration::from_secs(60),
            "{gone:?}"
        );
    }
}
