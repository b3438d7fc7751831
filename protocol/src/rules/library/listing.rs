//! When the listing of a library is handed out, and again. A listing that comes to nothing is repeated more and more
//! slowly: what ends it (a source that is away, a transport that is emptied) may last. Pure.
use crate::time::Timestamp;
use std::time::Duration;

/// Pauses between attempts that yield no page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListingLimits {
    /// After the first of them.
    pub backoff_min: Duration,
    /// Longest pause.
    pub backoff_max: Duration,
}

impl Default for ListingLimits {
    fn default() -> ListingLimits {
        ListingLimits { backoff_min: Duration::from_millis(500), backoff_max: Duration::from_secs(60) }
    }
}

/// What is remembered of the last time a listing was handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// When.
    pub at: Timestamp,
    /// Pages that were stored then.
    pub pages: u64,
    /// Attempts in a row, up to the one before this, that yielded no page.
    pub fruitless: u32,
}

/// A library that is not listed yet, as a turn finds it.
#[derive(Debug, Clone, Copy)]
pub struct Listing {
    /// A scan is out under the epoch of the job row: only its pages count.
    pub in_flight: bool,
    /// Pages stored.
    pub pages: u64,
    /// The last attempt that this leader knows of.
    pub last: Option<Attempt>,
    /// Not before this moment: a failed scan pauses like any failed unit.
    pub due: Option<Timestamp>,
}

/// The answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListingDecision {
    /// Leave it alone: the current scan is out.
    Leave,
    /// Look again at this moment.
    Wait(Timestamp),
    /// Hand it out under a new epoch, and remember this.
    Claim(Attempt),
}

/// Decides at `now`. The pause counts from the moment of the last attempt, so that one that ran for long is repeated at once.
pub fn decide(listing: &Listing, limits: &ListingLimits, now: Timestamp) -> ListingDecision {
    if listing.in_flight {
        return ListingDecision::Leave;
    }
    let fruitless = match listing.last {
        Some(last) if listing.pages <= last.pages => last.fruitless.saturating_add(1),
        _ => 0,
    };
    let paused = listing.last.filter(|_| fruitless > 0).map(|last| last.at.after(pause(fruitless, limits)));
    let due = paused.max(listing.due).filter(|due| *due > now);
    match due {
        Some(due) => ListingDecision::Wait(due),
        None => ListingDecision::Claim(Attempt { at: now, pages: listing.pages, fruitless }),
    }
}

fn pause(fruitless: u32, limits: &ListingLimits) -> Duration {
    let doubled = limits.backoff_min.saturating_mul(1u32 << fruitless.saturating_sub(1).min(20));
    doubled.min(limits.backoff_max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn listing(pages: u64, last: Option<Attempt>) -> Listing {
        Listing { in_flight: false, pages, last, due: None }
    }

    #[test]
    fn a_listing_in_flight_is_left_alone() {
        let listing = Listing { in_flight: true, ..listing(3, None) };
        assert_eq!(decide(&listing, &ListingLimits::default(), Timestamp(5)), ListingDecision::Leave);
    }

    #[test]
    fn a_listing_that_yielded_a_page_is_claimed_at_once() {
        let last = Attempt { at: Timestamp(9), pages: 3, fruitless: 7 };
        let again = Attempt { at: Timestamp(10), pages: 4, fruitless: 0 };
        let decided = decide(&listing(4, Some(last)), &ListingLimits::default(), Timestamp(10));
        assert_eq!(decided, ListingDecision::Claim(again));
    }

    #[test]
    fn a_failed_scan_waits_for_its_pause_whatever_it_yielded() {
        let listing = Listing { due: Some(Timestamp(50)), ..listing(4, None) };
        assert_eq!(decide(&listing, &ListingLimits::default(), Timestamp(49)), ListingDecision::Wait(Timestamp(50)));
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
