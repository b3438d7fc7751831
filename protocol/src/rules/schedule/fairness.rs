//! Fair shares between tenants by two measures: units in flight, which is what makes others wait, and processing time,
//! which is what they pay for it. Who is above an equal share of either yields to those who are not.
use crate::time::Timestamp;
use std::time::Duration;

/// Processing time counts half after this long.
const HALF_LIFE: Duration = Duration::from_secs(300);
/// Below this much processing time in all, nobody has had much.
const BUSY_MIN_US: u64 = 10_000_000;

/// What a tenant has of one kind of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Units handed out that have not ended.
    pub out: u64,
    /// Processing time of late, in microseconds.
    pub busy_us: u64,
}

/// Whether a tenant has had more processing time than an equal share among `tenants` who want or hold something.
pub fn is_above_share(own: Usage, all: Usage, tenants: u64) -> bool {
    if tenants < 2 || all.busy_us < BUSY_MIN_US {
        return false;
    }
    u128::from(own.busy_us) * u128::from(tenants) > u128::from(all.busy_us)
}

/// Units a tenant may hold as long as others want some: an equal share of the window, and one at least.
pub fn out_max(window: u64, tenants: u64) -> u64 {
    window.div_ceil(tenants.max(1)).max(1)
}

/// An account of processing time that fades.
#[derive(Debug, Clone, Copy, Default)]
pub struct Account {
    us: f64,
    at: Timestamp,
}

impl Account {
    /// Adds processing time.
    pub fn add(&mut self, us: u64, now: Timestamp) {
        self.us = self.faded(now) + us as f64;
        self.at = now;
    }

    /// What counts at `now`, in microseconds.
    pub fn at(&self, now: Timestamp) -> u64 {
        self.faded(now) as u64
    }

    fn faded(&self, now: Timestamp) -> f64 {
        let lives = now.since(self.at).as_secs_f64() / HALF_LIFE.as_secs_f64();
        self.us * (-lives).exp2()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn processing_time_fades_by_half() {
        let mut account = Account::default();
        account.add(8_000_000, Timestamp(0));
        assert_eq!(account.at(Timestamp(0).after(HALF_LIFE)), 4_000_000);
        account.add(1_000_000, Timestamp(0).after(HALF_LIFE));
        assert_eq!(account.at(Timestamp(0).after(HALF_LIFE)), 5_000_000);
    }

    #[test]
    fn alone_nobody_is_above_a_share() {
        let all = Usage { out: 9, busy_us: 1 << 40 };
        assert!(!is_above_share(all, all, 1));
        assert!(is_above_share(all, all, 2));
        assert!(!is_above_share(Usage { busy_us: all.busy_us / 2, ..all }, all, 2));
    }

    proptest! {
        /// Somebody is always within its share, so work goes on whatever was measured.
        #[test]
        fn never_all_above(busy in prop::collection::vec(0u64..1 << 40, 1..20)) {
            let all = Usage { out: 0, busy_us: busy.iter().sum() };
            let within = busy.iter().filter(|us| !is_above_share(Usage { out: 0, busy_us: **us }, all, busy.len() as u64));
            prop_assert!(within.count() > 0);
        }

        /// Equal shares fill the window.
        #[test]
        fn shares_fill_the_window(window in 0u64..100_000, tenants in 1u64..500) {
            prop_assert!(out_max(window, tenants) * tenants >= window);
        }
    }
}
