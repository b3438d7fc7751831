//! What a worker is told that an operator, or the coordinator itself, wants to work or to pause.
use crate::time::Timestamp;
use std::time::Duration;

/// A sign of life as late as this after a release was made by a worker that has read whatever it was told before the
/// release: two heartbeats.
const SETTLED: Duration = Duration::from_secs(6);

/// What a worker is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Take no more units.
    Pause,
    /// Take units again, since this moment.
    Work(Timestamp),
}

/// What is done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// It is told to take no more units.
    TellPause,
    /// It is told to take units again.
    TellWork,
    /// Nothing: it does what is wanted, which stays wanted.
    Keep,
    /// It works as wanted: that is forgotten.
    Done,
}

/// Decides for a worker that was heard of last at `heard_at`, and whether it paused then. A worker that is released is told
/// so even when its last sign of life shows it at work: what told it to pause may still be on its way.
pub fn steer(wanted: Wanted, pauses: bool, heard_at: Timestamp) -> Step {
    match (wanted, pauses) {
        (Wanted::Pause, true) => Step::Keep,
        (Wanted::Pause, false) => Step::TellPause,
        (Wanted::Work(since), false) if heard_at > since.after(SETTLED) => Step::Done,
        (Wanted::Work(_), _) => Step::TellWork,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn release_that_follows_at_once_is_told_although_the_worker_seems_at_work() {
        let at = |seconds: i64| Timestamp(seconds * 1_000_000);
        assert_eq!(steer(Wanted::Work(at(10)), false, at(9)), Step::TellWork, "it may have been told to pause since");
        assert_eq!(steer(Wanted::Work(at(10)), false, at(17)), Step::Done);
        assert_eq!(steer(Wanted::Work(at(10)), true, at(99)), Step::TellWork);
    }

    proptest! {
        /// What is wanted is forgotten only when a worker was seen at work for long enough after it.
        #[test]
        fn only_work_that_was_seen_ends_an_order(since in 0i64..100_000_000, heard in 0i64..100_000_000, pauses in any::<bool>()) {
            let done = steer(Wanted::Work(Timestamp(since)), pauses, Timestamp(heard)) == Step::Done;
            prop_assert_eq!(done, !pauses && heard > since + 6_000_000);
            prop_assert_ne!(steer(Wanted::Pause, pauses, Timestamp(heard)), Step::Done);
        }
    }
}
