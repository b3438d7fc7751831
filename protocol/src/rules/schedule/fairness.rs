//! Fair shares between tenants, by units in flight and by processing time. A tenant above an equal share of either yields to
//! the others.
use crate::time::Timestamp;
use std::time::Duration;

/// Half-life of recorded processing time.
const HALF_LIFE: Duration = Duration::from_secs(300);
/// Below this total of processing time no tenant is above its share.
const BUSY_MIN_US: u64 = 10_000_000;

/// Usage of one kind of work by a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Leased units that have not ended.
    pub out: u64,
    /// Recent processing time in microseconds, with decay.
    pub busy_us: u64,
}

/// Whether a tenant used more processing time than an equal share among the `tenants` that have work.
pub fn is_above_share(own: Usage, all: Usage, tenants: u64) -> bool {
    if tenants < 2 || all.busy_us < BUSY_MIN_US {
        return false;
    }
    u128::from(own.busy_us) * u128::from(tenants) > u128::from(all.busy_us)
}

/// Units a tenant may hold while others wait: an equal share of the window, and at least one.
pub fn out_max(window: u64, tenants: u64) -> u64 {
    window.div_ceil(tenants.max(1)).max(1)
}

/// Processing time with exponential decay.
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

    /// The value at `now` in microseconds.
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
    fn single_tenant_is_never_above_its_share() {
        let all = Usage {
            out: 9,
            busy_us: 1 << 40,
        };
        assert!(!is_above_share(all, all, 1));
        assert!(is_above_share(all, all, 2));
        assert!(!is_above_share(
            Usage {
                busy_us: all.busy_us / 2,
                ..all
            },
            all,
            2
        ));
    }

    proptest! {
        /// At least one tenant is within its share, so dispatch never stops.
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
