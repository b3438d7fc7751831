//! Leases of units: valid reporters, and the time at which the coordinator reclaims a unit (FEN-2, LEASE-1).
use crate::id::WorkerId;
use crate::model::slot_count::SlotCount;
use crate::time::Timestamp;
use std::time::Duration;

/// Time limits of leases.
#[derive(Debug, Clone, Copy)]
pub struct LeaseLimits {
    /// A worker without a heartbeat for this time loses its units.
    pub silence_max: Duration,
    /// A published unit that no worker holds for this time is published again.
    pub unclaimed_max: Duration,
}

impl Default for LeaseLimits {
    fn default() -> LeaseLimits {
        LeaseLimits {
            silence_max: Duration::from_secs(15),
            unclaimed_max: Duration::from_secs(60),
        }
    }
}

/// A leased unit in the memory of the coordinator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The epoch it was published under.
    pub epoch: u32,
    /// Time of the publication.
    pub published_at: Timestamp,
    /// The worker that holds the unit, and its last heartbeat with it.
    pub held: Option<(WorkerId, Timestamp)>,
}

/// Whether a lease is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseDecision {
    /// The lease is valid.
    Keep,
    /// The unit is reclaimed: epoch + 1, then published again.
    Reclaim,
}

/// Decides about a lease at `now`. Reports have been readable without a gap since `readable_since`. Silence before that time
/// proves nothing, so no lease lapses while the coordinator cannot read (LEASE-1).
pub fn decide(
    lease: &Lease,
    limits: &LeaseLimits,
    readable_since: Timestamp,
    now: Timestamp,
) -> LeaseDecision {
    let (last, allowed) = match &lease.held {
        Some((_, heard)) => (*heard, limits.silence_max),
        None => (lease.published_at, limits.unclaimed_max),
    };
    let silence = now.since(last.max(readable_since));
    if silence > allowed {
        LeaseDecision::Reclaim
    } else {
        LeaseDecision::Keep
    }
}

/// Time step of leases after a batch that did not contain all reports.
const PARTIAL_STEP: Duration = Duration::from_secs(1);

/// The time at which leases are evaluated after a batch that was read at `read_at`: later heartbeats are not known yet
/// (LEASE-1). An incomplete batch (`whole` is false) advances this time only a little, since heartbeats may follow it.
pub fn heard_until(before: Timestamp, read_at: Timestamp, whole: bool) -> Timestamp {
    let latest = if whole {
        read_at
    } else {
        read_at.min(before.after(PARTIAL_STEP))
    };
    latest.max(before)
}

/// Whether a report belongs to the current execution of a unit.
pub fn speaks_for(current_epoch: u32, reported_epoch: u32) -> bool {
    current_epoch == reported_epoch
}

/// Upper bound of the slots of one kind in a heartbeat, so that sums do not overflow.
const SLOTS_MAX: u32 = 10_000;

/// The slots of a heartbeat within plausible bounds: each kind once, free at most total.
pub fn plausible_slots(slots: &[SlotCount]) -> Vec<SlotCount> {
    let mut believed: Vec<SlotCount> = Vec::new();
    for SlotCount { kind, total, free } in slots {
        if believed.iter().all(|known| known.kind != *kind) {
            let total = (*total).min(SLOTS_MAX);
            believed.push(SlotCount {
                kind: *kind,
                total,
                free: (*free).min(total),
            });
        }
    }
    believed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Kind;
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
        let slots = |(kind, total, free)| SlotCount { kind, total, free };
        let said = [
            (Kind::Noop, 4, 3),
            (Kind::Qc, u32::MAX, u32::MAX),
            (Kind::Scan, 2, 9),
            (Kind::Noop, 9, 9),
        ];
        let counted = [
            (Kind::Noop, 4, 3),
            (Kind::Qc, SLOTS_MAX, SLOTS_MAX),
            (Kind::Scan, 2, 2),
        ];
        assert_eq!(plausible_slots(&said.map(slots)), counted.map(slots));
    }

    #[test]
    fn silence_takes_back_and_signs_of_life_keep() {
        let limits = LeaseLimits::default();
        let at = |s: i64| Timestamp(s * 1_000_000);
        assert_eq!(
            decide(&lease(0, Some(0)), &limits, at(0), at(15)),
            LeaseDecision::Keep
        );
        assert_eq!(
            decide(&lease(0, Some(0)), &limits, at(0), at(16)),
            LeaseDecision::Reclaim
        );
        assert_eq!(
            decide(&lease(0, None), &limits, at(0), at(16)),
            LeaseDecision::Keep
        );
        assert_eq!(
            decide(&lease(0, None), &limits, at(0), at(61)),
            LeaseDecision::Reclaim
        );
    }

    #[test]
    fn time_passes_with_what_is_read() {
        let at = |s: i64| Timestamp(s * 1_000_000);
        assert_eq!(heard_until(at(10), at(30), true), at(30));
        assert_eq!(heard_until(at(10), at(30), false), at(11));
        assert_eq!(
            heard_until(at(10), Timestamp(10_200_000), false),
            Timestamp(10_200_000)
        );
        assert_eq!(heard_until(at(10), at(5), true), at(10));
    }

    proptest! {
        /// LEASE-1: right after reports become readable again nothing lapses, whatever the silence was before.
        #[test]
        fn no_evidence_no_expiry(published in 0i64..1_000_000_000, heard in prop::option::of(0i64..1_000_000_000), outage in 0i64..1_000_000_000) {
            let now = Timestamp(2_000_000_000 + outage);
            prop_assert_eq!(decide(&lease(published, heard), &LeaseLimits::default(), now, now), LeaseDecision::Keep);
        }

        /// A foreign epoch never speaks for a unit.
        #[test]
        fn only_the_current_epoch_speaks(current in any::<u32>(), reported in any::<u32>()) {
            prop_assert_eq!(speaks_for(current, reported), current == reported);
        }
    }
}
