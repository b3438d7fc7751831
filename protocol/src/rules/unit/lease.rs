//! Who may report, and when the coordinator takes work back (FEN-2, LEASE-1).
use crate::id::{Kind, WorkerId};
use crate::time::Timestamp;
use std::time::Duration;

/// Limits of leases.
#[derive(Debug, Clone, Copy)]
pub struct LeaseLimits {
    /// A worker that has not been heard of for this long has lost what it holds.
    pub silence_max: Duration,
    /// A published unit that no worker has claimed for this long is published again.
    pub unclaimed_max: Duration,
}

impl Default for LeaseLimits {
    fn default() -> LeaseLimits {
        LeaseLimits { silence_max: Duration::from_secs(15), unclaimed_max: Duration::from_secs(60) }
    }
}

/// What the coordinator knows of one unit that is out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The fencing token it was published under.
    pub epoch: u32,
    /// When it was published.
    pub published_at: Timestamp,
    /// Who said it holds the unit, and when it said so last.
    pub held: Option<(WorkerId, Timestamp)>,
}

/// The answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseDecision {
    /// Leave it where it is.
    Keep,
    /// Take it back: epoch + 1, then publish again.
    TakeBack,
}

/// Judges a lease at `now`. `readable_since` is the moment since when reports have been readable without a gap: silence
/// before it proves nothing, so while the coordinator cannot read, no lease lapses (LEASE-1).
pub fn judge(lease: &Lease, limits: &LeaseLimits, readable_since: Timestamp, now: Timestamp) -> LeaseDecision {
    let (last, allowed) = match &lease.held {
        Some((_, heard)) => (*heard, limits.silence_max),
        None => (lease.published_at, limits.unclaimed_max),
    };
    let silence = now.since(last.max(readable_since));
    if silence > allowed { LeaseDecision::TakeBack } else { LeaseDecision::Keep }
}

/// How much time may pass, as leases are judged, with a batch of reports that did not hold all there were.
const PARTIAL_STEP: Duration = Duration::from_secs(1);

/// The moment up to which workers have been heard, after a batch whose reading began at `read_at` has been taken in. What
/// they said later is not known, so leases are judged as of this moment (LEASE-1). A batch that was not all there was
/// (`whole`) lets little time pass: there may be signs of life behind it.
pub fn heard_until(before: Timestamp, read_at: Timestamp, whole: bool) -> Timestamp {
    let latest = if whole { read_at } else { read_at.min(before.after(PARTIAL_STEP)) };
    latest.max(before)
}

/// Whether a report speaks for the current execution of a unit.
pub fn speaks_for(current_epoch: u32, reported_epoch: u32) -> bool {
    current_epoch == reported_epoch
}

/// Slots of one kind that a worker may say it has: what it claims beyond them is not believed, and sums stay countable.
const SLOTS_MAX: u32 = 10_000;

/// The slots (kind, total, free) of a heartbeat as they are counted: each kind once, never more free than there are.
pub fn believed(slots: &[(Kind, u32, u32)]) -> Vec<(Kind, u32, u32)> {
    let mut believed: Vec<(Kind, u32, u32)> = Vec::new();
    for (kind, total, free) in slots {
        if believed.iter().all(|(known, ..)| known != kind) {
            let total = (*total).min(SLOTS_MAX);
            believed.push((*kind, total, (*free).min(total)));
        }
    }
    believed
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lease(published: i64, heard: Option<i64>) -> Lease {
        Lease {
            epoch: 1,
            published_at: Timestamp(published),
            held: heard.map(|at| (WorkerId("w".into()), Timestamp(at))),
        }
    }

    #[test]
    fn slots_beyond_belief_are_bounded() {
        let said = [(Kind::Noop, 4, 3), (Kind::Qc, u32::MAX, u32::MAX), (Kind::Scan, 2, 9), (Kind::Noop, 9, 9)];
        let counted = [(Kind::Noop, 4, 3), (Kind::Qc, SLOTS_MAX, SLOTS_MAX), (Kind::Scan, 2, 2)];
        assert_eq!(believed(&said), counted);
    }

    #[test]
    fn silence_takes_back_and_signs_of_life_keep() {
        let limits = LeaseLimits::default();
        let at = |s: i64| Timestamp(s * 1_000_000);
        assert_eq!(judge(&lease(0, Some(0)), &limits, at(0), at(15)), LeaseDecision::Keep);
        assert_eq!(judge(&lease(0, Some(0)), &limits, at(0), at(16)), LeaseDecision::TakeBack);
        assert_eq!(judge(&lease(0, None), &limits, at(0), at(16)), LeaseDecision::Keep);
        assert_eq!(judge(&lease(0, None), &limits, at(0), at(61)), LeaseDecision::TakeBack);
    }

    #[test]
    fn time_passes_with_what_is_read() {
        let at = |s: i64| Timestamp(s * 1_000_000);
        assert_eq!(heard_until(at(10), at(30), true), at(30));
        assert_eq!(heard_until(at(10), at(30), false), at(11));
        assert_eq!(heard_until(at(10), Timestamp(10_200_000), false), Timestamp(10_200_000));
        assert_eq!(heard_until(at(10), at(5), true), at(10));
    }

    proptest! {
        /// LEASE-1: right after reports become readable again nothing lapses, whatever the silence was before.
        #[test]
        fn no_evidence_no_expiry(published in 0i64..1_000_000_000, heard in prop::option::of(0i64..1_000_000_000), outage in 0i64..1_000_000_000) {
            let now = Timestamp(2_000_000_000 + outage);
            prop_assert_eq!(judge(&lease(published, heard), &LeaseLimits::default(), now, now), LeaseDecision::Keep);
        }

        /// A foreign epoch never speaks for a unit.
        #[test]
        fn only_the_current_epoch_speaks(current in any::<u32>(), reported in any::<u32>()) {
            prop_assert_eq!(speaks_for(current, reported), current == reported);
        }
    }
}
