//! Executions that heartbeats show although they are no longer out. After a wipe of the transport a unit is taken back while
//! a worker still runs it; when its job is cancelled then, only this list stops the execution.
use foldhash::HashMap as IdMap;
use protocol::id::{Execution, UnitId};
use protocol::time::Timestamp;
use std::time::Duration;

/// An execution that heartbeats show for this long without being out is called back: two heartbeats, so that the end of a
/// unit and the last heartbeat before it may pass each other.
pub(super) const SETTLED: Duration = Duration::from_secs(6);
/// What no heartbeat has shown for this long is forgotten.
const FORGOTTEN: Duration = Duration::from_secs(30);
/// Executions remembered at most.
const STRAYS_MAX: usize = 16_384;

/// When an execution was first shown, or called back last, and when it was shown last.
#[derive(Debug, Clone, Copy)]
struct Shown {
    since: Timestamp,
    last: Timestamp,
}

/// Executions that workers show and that are out no more.
#[derive(Debug, Default)]
pub(super) struct Strays(IdMap<Execution, Shown>);

impl Strays {
    /// Notes an execution that a heartbeat shows. Returns whether it is to be called back now.
    pub(super) fn note(&mut self, unit: UnitId, epoch: u32, now: Timestamp) -> bool {
        let execution = Execution { unit, epoch };
        if self.0.len() >= STRAYS_MAX && !self.0.contains_key(&execution) {
            return false;
        }
        let shown = self.0.entry(execution).or_insert(Shown {
            since: now,
            last: now,
        });
        shown.last = now;
        let call_back = now.since(shown.since) >= SETTLED;
        if call_back {
            shown.since = now;
        }
        call_back
    }

    /// Forgets what workers show no more.
    pub(super) fn forget(&mut self, now: Timestamp) {
        self.0.retain(|_, shown| now.since(shown.last) < FORGOTTEN);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::id::{JobNo, StepNo};

    #[test]
    fn stray_execution_is_called_back_once_it_is_shown_long_enough() {
        let (mut strays, unit) = (Strays::default(), UnitId::new(JobNo(1), StepNo(0), 1));
        let at = |seconds: i64| Timestamp(seconds * 1_000_000);
        assert!(
            !strays.note(unit, 1, at(0)) && !strays.note(unit, 1, at(3)),
            "its end may be on its way"
        );
        assert!(strays.note(unit, 1, at(6)));
        assert!(
            !strays.note(unit, 1, at(9)),
            "the worker has time to stop it"
        );
        assert!(
            strays.note(unit, 1, at(12)) && !strays.note(unit, 2, at(12)),
            "each epoch is an execution of its own"
        );
        strays.forget(at(50));
        assert!(strays.0.is_empty());
    }
}
