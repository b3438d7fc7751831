//! Smoothed growth rate of a total that is sampled at irregular times.
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Time constant of the smoothing in seconds.
const MEMORY_SECONDS: f64 = 10.0;

/// A growing total with its rate.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Rate {
    /// The total of the last sample.
    pub total: u64,
    /// Growth per second.
    pub per_second: f64,
    /// Time of the last sample.
    looked_at: Option<Timestamp>,
}

impl Rate {
    /// Adds a sample. A smaller total restarts the rate; a sample without progress of the clock is ignored.
    pub fn note(&mut self, total: u64, now: Timestamp) {
        let Some(before) = self.looked_at else {
            (self.total, self.looked_at) = (total, Some(now));
            return;
        };
        if total < self.total {
            *self = Rate {
                total,
                per_second: 0.0,
                looked_at: Some(now),
            };
            return;
        }
        let seconds = now.since(before).as_secs_f64();
        if seconds <= 0.0 {
            return;
        }
        let recent = (total - self.total) as f64 / seconds;
        let kept = (-seconds / MEMORY_SECONDS).exp();
        self.per_second = self.per_second * kept + recent * (1.0 - kept);
        (self.total, self.looked_at) = (total, Some(now));
    }

    /// The rate at `now`. It decays after the last sample.
    pub fn at(&self, now: Timestamp) -> f64 {
        let silence = self.looked_at.map_or(0.0, |at| now.since(at).as_secs_f64());
        self.per_second * (-(silence - MEMORY_SECONDS).max(0.0) / MEMORY_SECONDS).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn steady_growth_is_measured_and_decays_without_samples() {
        let at = |seconds: i64| Timestamp(seconds * 1_000_000);
        let mut rate = Rate::default();
        (0..60).for_each(|second| rate.note(second * 100, at(second as i64)));
        assert!((rate.per_second - 100.0).abs() < 1.0, "{rate:?}");
        assert!(rate.at(at(200)) < 0.01 && rate.at(at(60)) > 99.0);
        rate.note(10, at(61));
        assert_eq!((rate.total, rate.per_second), (10, 0.0));
    }

    proptest! {
        /// Never negative, never faster than the fastest stretch, whatever comes in whatever order.
        #[test]
        fn rate_stays_within_observed_rates(looks in prop::collection::vec((0u64..1_000_000, 0i64..100_000_000), 1..30)) {
            let mut rate = Rate::default();
            let mut fastest: f64 = 0.0;
            let mut last: Option<(u64, i64)> = None;
            for (total, at) in looks {
                if let Some((before, when)) = last
                    && total >= before && at > when
                {
                    fastest = fastest.max((total - before) as f64 / ((at - when) as f64 / 1e6));
                }
                rate.note(total, Timestamp(at));
                last = rate.looked_at.map(|at| (rate.total, at.0));
                prop_assert!(rate.per_second >= 0.0 && rate.per_second <= fastest * 1.000_001 + 0.001);
            }
        }
    }
}
