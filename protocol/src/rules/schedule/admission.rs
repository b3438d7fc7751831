//! The window of dispatched units per kind. It is small, so that ranking, pause and cancel take effect quickly and the
//! transport stays small.
use std::time::Duration;

/// Units from this duration on need no reserve at the workers: a round of publishing is short in comparison.
const LONG: Duration = Duration::from_secs(1);

/// Slots and units of one kind of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Slots of all live workers.
    pub slots: u32,
    /// Published units without a settlement.
    pub out: u32,
    /// Minimum window, for light units that end faster than a round of publishing.
    pub floor: u32,
    /// Median duration, when enough units have been measured.
    pub typical: Option<Duration>,
}

/// Units that may be dispatched at once: twice the slots, or one eighth above the slots for long units.
pub fn window(window: Window) -> u32 {
    let Window {
        slots,
        floor,
        typical,
        ..
    } = window;
    if slots == 0 {
        return 0;
    }
    if typical.is_some_and(|typical| typical >= LONG) {
        return slots.saturating_add((slots / 8).max(1));
    }
    slots.saturating_mul(2).max(floor)
}

/// Units that may be published now.
pub fn room(asked: Window) -> u32 {
    window(asked).saturating_sub(asked.out)
}

/// Whether a unit with a 90th percentile of `p90` may start on a worker that leaves after `remainder` (`None`: it stays). An
/// unmeasured duration fits into no remainder.
pub fn fits(remainder: Option<Duration>, p90: Option<Duration>) -> bool {
    match (remainder, p90) {
        (None, _) => true,
        (Some(remainder), Some(p90)) => p90 <= remainder,
        (Some(_), None) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn without_workers_nothing_is_published() {
        assert_eq!(
            room(Window {
                slots: 0,
                out: 0,
                floor: 1000,
                typical: None
            }),
            0
        );
    }

    /// Case 56: a worker that leaves soon.
    #[test]
    fn leaving_worker_takes_only_units_that_finish() {
        let minutes = |n: u64| Some(Duration::from_secs(n * 60));
        assert!(fits(minutes(2), minutes(2)) && !fits(minutes(2), minutes(3)));
        assert!(!fits(minutes(2), None) && fits(None, None) && fits(None, minutes(600)));
    }

    proptest! {
        /// Dispatched plus admitted units never exceed the window.
        #[test]
        fn never_overshoots(slots in 0u32..10_000, out in 0u32..50_000, floor in 0u32..5_000, long in any::<bool>()) {
            let typical = long.then_some(LONG);
            let admitted = room(Window { slots, out, floor, typical });
            prop_assert!(admitted == 0 || admitted + out <= (slots * 2).max(floor));
        }
    }
}
