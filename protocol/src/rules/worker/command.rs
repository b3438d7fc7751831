//! Commands to a worker: drain and release, until its heartbeat confirms them.
use crate::time::Timestamp;
use std::time::Duration;

/// A heartbeat this long after a release was sent by a worker that has read every earlier command: two intervals.
const SETTLED: Duration = Duration::from_secs(6);

/// Mode that a worker should be in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DesiredMode {
    /// The worker takes no units.
    Pause,
    /// The worker takes units; requested at this time.
    Work(Timestamp),
}

/// The next step for a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandStep {
    /// Send a drain.
    SendPause,
    /// Send a release.
    SendRelease,
    /// Nothing: the worker is in the mode; the request stays.
    Keep,
    /// The worker confirmed the release; the request is removed.
    Done,
}

/// Decides the next step for a worker with its last heartbeat at `heard_at`, which shows whether it `pauses`. A release is
/// sent also to a worker that still works, since an earlier drain may not have arrived yet.
pub fn next_command(wanted: DesiredMode, pauses: bool, heard_at: Timestamp) -> CommandStep {
    match (wanted, pauses) {
        (DesiredMode::Pause, true) => CommandStep::Keep,
        (DesiredMode::Pause, false) => CommandStep::SendPause,
        (DesiredMode::Work(since), false) if heard_at > since.after(SETTLED) => CommandStep::Done,
        (DesiredMode::Work(_), _) => CommandStep::SendRelease,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn release_right_after_drain_is_sent_to_working_worker() {
        let at = |seconds: i64| Timestamp(seconds * 1_000_000);
        assert_eq!(
            next_command(DesiredMode::Work(at(10)), false, at(9)),
            CommandStep::SendRelease,
            "a drain may still be on its way"
        );
        assert_eq!(
            next_command(DesiredMode::Work(at(10)), false, at(17)),
            CommandStep::Done
        );
        assert_eq!(
            next_command(DesiredMode::Work(at(10)), true, at(99)),
            CommandStep::SendRelease
        );
    }

    proptest! {
        /// A request ends only with a heartbeat late enough after it.
        #[test]
        fn only_confirmed_release_ends_the_request(since in 0i64..100_000_000, heard in 0i64..100_000_000, pauses in any::<bool>()) {
            let done = next_command(DesiredMode::Work(Timestamp(since)), pauses, Timestamp(heard)) == CommandStep::Done;
            prop_assert_eq!(done, !pauses && heard > since + 6_000_000);
            prop_assert_ne!(next_command(DesiredMode::Pause, pauses, Timestamp(heard)), CommandStep::Done);
        }
    }
}
