//! How many units may be out at once: a small window per kind, so that order, pause and cancel are decided at the last
//! moment and the transport stays small.
use std::time::Duration;

/// From this length on, the time of a round of publishing does not show: nearly nothing has to wait at the workers.
const LONG: Duration = Duration::from_secs(1);

/// What is known about one kind of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Slots of all live workers.
    pub slots: u32,
    /// Units published and not settled.
    pub out: u32,
    /// Least window, for light work whose units end faster than a round of publishing.
    pub floor: u32,
    /// What half of the units do not exceed, when enough have been measured.
    pub typical: Option<Duration>,
}

/// Units that may be out at once: twice the slots; one in eight above the slots where units last.
pub fn window(window: Window) -> u32 {
    let Window { slots, floor, typical, .. } = window;
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

/// Whether a unit may start on a worker that leaves after `remainder` (`None`: it stays), when nine of ten like it do not
/// exceed `p90`. A length that nobody has measured fits into no remainder.
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
        assert_eq!(room(Window { slots: 0, out: 0, floor: 1000, typical: None }), 0);
    }

    /// Case 56.
    #[test]
    fn a_leaving_worker_takes_nothing_longer_than_it_stays() {
        let minutes = |n: u64| Some(Duration::from_secs(n * 60));
        assert!(fits(minutes(2), minutes(2)) && !fits(minutes(2), minutes(3)));
        assert!(!fits(minutes(2), None) && fits(None, None) && fits(None, minutes(600)));
    }

    proptest! {
        /// What is out plus what is admitted never exceeds the window, whatever was out before.
        #[test]
        fn never_overshoots(slots in 0u32..10_000, out in 0u32..50_000, floor in 0u32..5_000, long in any::<bool>()) {
            let typical = long.then_some(LONG);
            let admitted = room(Window { slots, out, floor, typical });
            prop_assert!(admitted == 0 || admitted + out <= (slots * 2).max(floor));
        }
    }
}
