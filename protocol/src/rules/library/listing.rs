//! Dispatch of the scan of a library. A scan without a new page is repeated with a growing backoff, since its cause (an
//! unreachable source, an emptied transport) may last.
use crate::time::Timestamp;
use std::time::Duration;

/// Backoff between attempts without a new page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListingLimits {
    /// Backoff after the first such attempt.
    pub backoff_min: Duration,
    /// Upper bound of the backoff.
    pub backoff_max: Duration,
}

impl Default for ListingLimits {
    fn default() -> ListingLimits {
        ListingLimits {
            backoff_min: Duration::from_millis(500),
            backoff_max: Duration::from_secs(60),
        }
    }
}

/// The last dispatch of a scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// Time of the dispatch.
    pub at: Timestamp,
    /// Stored pages at that time.
    pub pages: u64,
    /// Consecutive attempts before this one without a new page.
    pub fruitless: u32,
}

/// A library whose listing is incomplete.
#[derive(Debug, Clone, Copy)]
pub struct Listing {
    /// Whether a scan is leased under the epoch of the job row; only its pages count.
    pub in_flight: bool,
    /// Number of stored pages.
    pub pages: u64,
    /// The last attempt known to this leader.
    pub last: Option<Attempt>,
    /// Earliest time of the next attempt after a failure.
    pub due: Option<Timestamp>,
}

/// The next action for a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListingDecision {
    /// Nothing: the current scan is leased.
    Leave,
    /// Decide again at this time.
    Wait(Timestamp),
    /// Dispatch the scan under a new epoch; the attempt is the state for the next decision.
    Claim(Attempt),
}

/// Decides at `now`. The backoff counts from the start of the last attempt, so that a long attempt is repeated at once.
pub fn decide(listing: &Listing, limits: &ListingLimits, now: Timestamp) -> ListingDecision {
    if listing.in_flight {
        return ListingDecision::Leave;
    }
    let fruitless = match listing.last {
        Some(last) if listing.pages <= last.pages => last.fruitless.saturating_add(1),
        _ => 0,
    };
    let paused = listing
        .last
        .filter(|_| fruitless > 0)
        .map(|last| last.at.after(pause(fruitless, limits)));
    let due = paused.max(listing.due).filter(|due| *due > now);
    match due {
        Some(due) => ListingDecision::Wait(due),
        None => ListingDecision::Claim(Attempt {
            at: now,
            pages: listing.pages,
            fruitless,
        }),
    }
}

fn pause(fruitless: u32, limits: &ListingLimits) -> Duration {
    let doubled = limits
        .backoff_min
        .saturating_mul(1u32 << fruitless.saturating_sub(1).min(20));
    doubled.min(limits.backoff_max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn listing(pages: u64, last: Option<Attempt>) -> Listing {
        Listing {
            in_flight: false,
            pages,
            last,
            due: None,
        }
    }

    #[test]
    fn a_listing_in_flight_is_left_alone() {
        let listing = Listing {
            in_flight: true,
            ..listing(3, None)
        };
        assert_eq!(
            decide(&listing, &ListingLimits::default(), Timestamp(5)),
            ListingDecision::Leave
        );
    }

    #[test]
    fn a_listing_that_yielded_a_page_is_claimed_at_once() {
        let last = Attempt {
            at: Timestamp(9),
            pages: 3,
            fruitless: 7,
        };
        let again = Attempt {
            at: Timestamp(10),
            pages: 4,
            fruitless: 0,
        };
        let decided = decide(
            &listing(4, Some(last)),
            &ListingLimits::default(),
            Timestamp(10),
        );
        assert_eq!(decided, ListingDecision::Claim(again));
    }

    #[test]
    fn a_failed_scan_waits_for_its_pause_whatever_it_yielded() {
        let listing = Listing {
            due: Some(Timestamp(50)),
            ..listing(4, None)
        };
        assert_eq!(
            decide(&listing, &ListingLimits::default(), Timestamp(49)),
            ListingDecision::Wait(Timestamp(50))
        );
        let decided = decide(&listing, &ListingLimits::default(), Timestamp(50));
        assert!(matches!(decided, ListingDecision::Claim(_)), "{decided:?}");
    }

    proptest! {
        /// However often a scan ends without a page, the number of attempts grows with the logarithm of the time until the
        /// pause is at its longest, and one a pause from then on.
        #[test]
        fn fruitless_attempts_are_rare(seconds in 1i64..3_600, step in 1i64..500_000) {
            let (limits, mut last, mut claims) = (ListingLimits::default(), None, 0u64);
            let mut now = Timestamp(0);
            while now.0 < seconds * 1_000_000 {
                match decide(&listing(0, last), &limits, now) {
                    ListingDecision::Claim(attempt) => {
                        claims += 1;
                        last = Some(attempt);
                    }
                    ListingDecision::Wait(due) => {
                        prop_assert!(due.since(now) <= limits.backoff_max);
                        now = Timestamp(due.0 - 1);
                    }
                    ListingDecision::Leave => prop_assert!(false, "nothing is in flight"),
                }
                now = Timestamp(now.0 + step);
            }
            prop_assert!(claims <= 10 + seconds.unsigned_abs() / 60, "{claims} claims in {seconds} s");
        }
    }
}
