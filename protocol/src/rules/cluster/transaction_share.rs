//! Adapts the size of write transactions to the speed of the machine. Work that takes 100 ms on one machine takes 10 s on a
//! busy one, and every other transaction waits for it. A leader whose transactions outlast its lease loses them, and so
//! does its successor. Therefore the used share of the bounds follows the measured time of transactions.
use std::time::Duration;

/// Parts into which the bounds are divided.
const FULL: u32 = 64;
/// Parts added after a short transaction.
const STEP: u32 = 2;
/// A longer transaction halves the share, since it delays others noticeably.
const LONG: Duration = Duration::from_millis(200);
/// A shorter transaction raises the share.
const SHORT: Duration = Duration::from_millis(80);

/// The share of its bounds that a transaction uses, in parts of 64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share(u32);

impl Default for Share {
    fn default() -> Share {
        Share(FULL)
    }
}

impl Share {
    /// The share of `parts` in 64; larger values count as 64.
    pub fn from_parts(parts: u32) -> Share {
        Share(parts.clamp(1, FULL))
    }

    /// The share in parts of 64, 1 to 64.
    pub fn parts(self) -> u32 {
        self.0
    }

    /// The share after a transaction of this duration: halved after a long one, a step more after a short one.
    pub fn after(self, took: Duration) -> Share {
        match took {
            took if took > LONG => Share::from_parts(self.0 / 2),
            took if took < SHORT => Share::from_parts(self.0 + STEP),
            _ => self,
        }
    }

    /// This share of `bound`, at least 1, so that work progresses.
    pub fn of(self, bound: u32) -> u32 {
        let part = u64::from(bound) * u64::from(self.0) / u64::from(FULL);
        u32::try_from(part).unwrap_or(bound).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn share_falls_at_once_and_rises_in_steps() {
        let long = Duration::from_secs(1);
        let halved = Share::default().after(long);
        assert_eq!(
            (halved.of(4_096), halved.after(long).of(4_096)),
            (2_048, 1_024)
        );
        assert_eq!(
            halved.after(Duration::from_millis(100)),
            halved,
            "neither long nor short"
        );
        let calm = (0..16).fold(halved, |share, _| share.after(Duration::from_millis(5)));
        assert_eq!(calm, Share::default());
        let least = (0..20).fold(Share::default(), |share, _| share.after(long));
        assert_eq!(
            (least.parts(), least.of(4_096), least.of(400), least.of(3)),
            (1, 64, 6, 1)
        );
    }

    proptest! {
        #[test]
        fn share_is_at_least_one_and_at_most_its_bound(
            took in proptest::collection::vec(0_u64..2_000, 0..50),
            bound in 1_u32..,
        ) {
            let share = took.iter().fold(Share::default(), |share, ms| share.after(Duration::from_millis(*ms)));
            prop_assert!((1..=bound).contains(&share.of(bound)));
            prop_assert_eq!(Share::from_parts(share.parts()), share);
        }
    }
}
