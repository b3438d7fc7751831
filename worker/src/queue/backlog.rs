//! When a page of a listing may be sent. Pages are made faster than they are stored, so they wait while the coordinator is
//! behind (MEM-1). Reports of a thousand workers are a backlog too, one that never ends: a listing that waited for its end
//! would not move at all.

/// Entries under way that delay no page.
pub(super) const ENTRIES_AHEAD: usize = 32;

/// What a page sees of the stream of reports while it waits. A worker may ask for the length of the stream and for nothing
/// else of it; only the coordinator removes entries.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    last: Option<usize>,
    settled: usize,
}

impl Backlog {
    /// Whether there is room for a page, now that the stream has this length: few entries are under way, or the coordinator
    /// has been seen to settle as many since the page waits. So pages are at most one in [`ENTRIES_AHEAD`] of what it
    /// settles, and none is sent while it settles nothing.
    pub(super) fn has_room(&mut self, length: usize) -> bool {
        let before = self.last.replace(length).unwrap_or(length);
        self.settled += before.saturating_sub(length);
        length <= ENTRIES_AHEAD || self.settled >= ENTRIES_AHEAD
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// How many of these lengths a page waits for; nothing when they do not suffice.
    fn waits(lengths: impl IntoIterator<Item = usize>) -> Option<usize> {
        let mut backlog = Backlog::default();
        lengths
            .into_iter()
            .position(|length| backlog.has_room(length))
    }

    #[test]
    fn page_goes_at_once_when_few_entries_are_under_way() {
        assert_eq!(waits([ENTRIES_AHEAD]), Some(0));
        assert_eq!(waits([ENTRIES_AHEAD + 1, ENTRIES_AHEAD]), Some(1));
    }

    #[test]
    fn page_waits_for_a_coordinator_that_settles_nothing() {
        assert_eq!(waits(100..10_000), None);
        assert_eq!(waits([500; 1_000]), None);
    }

    #[test]
    fn page_gets_through_a_backlog_that_never_ends() {
        let crowd = (0..100).map(|turn| if turn % 2 == 0 { 400 } else { 390 });
        assert_eq!(waits(crowd), Some(7));
    }

    proptest! {
        #[test]
        fn page_goes_only_after_as_many_entries_were_settled(lengths in prop::collection::vec(ENTRIES_AHEAD + 1..500, 1..200)) {
            if let Some(at) = waits(lengths.iter().copied()) {
                let settled: usize = lengths[..=at].windows(2).map(|pair| pair[0].saturating_sub(pair[1])).sum();
                prop_assert!(settled >= ENTRIES_AHEAD);
            }
        }
    }
}
