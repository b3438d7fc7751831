//! How many units may be out at once: a small window per kind, so that order, pause and cancel are decided at the last
//! moment and the transport stays small; and a limit per endpoint that never overshoots.

/// What is known about one kind of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Slots of all live workers.
    pub slots: u32,
    /// Units published and not settled.
    pub out: u32,
    /// Least window, for light work whose units end faster than a round of publishing.
    pub floor: u32,
}

/// Units that may be published now: enough to keep twice the slots filled.
pub fn room(window: Window) -> u32 {
    if window.slots == 0 {
        return 0;
    }
    window.slots.saturating_mul(2).max(window.floor).saturating_sub(window.out)
}

/// How many of `wanted` an endpoint takes when `busy` of its `limit` are in use. A limit of `None` is no limit.
pub fn endpoint_room(limit: Option<u32>, busy: u32, wanted: u32) -> u32 {
    limit.map_or(wanted, |limit| wanted.min(limit.saturating_sub(busy)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn without_workers_nothing_is_published() {
        assert_eq!(room(Window { slots: 0, out: 0, floor: 1000 }), 0);
    }

    proptest! {
        /// What is out plus what is admitted never exceeds the window, whatever was out before.
        #[test]
        fn never_overshoots(slots in 0u32..10_000, out in 0u32..50_000, floor in 0u32..5_000) {
            let admitted = room(Window { slots, out, floor });
            prop_assert!(admitted == 0 || admitted + out <= (slots * 2).max(floor));
        }

        /// An endpoint's limit holds for any number of askers in any order.
        #[test]
        fn endpoints_never_overshoot(limit in 0u32..20, wanted in prop::collection::vec(0u32..10, 0..20)) {
            let mut busy = 0;
            for n in wanted {
                busy += endpoint_room(Some(limit), busy, n);
                prop_assert!(busy <= limit);
            }
        }
    }
}
