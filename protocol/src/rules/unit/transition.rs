//! States of a unit: `planned → ready → leased → succeeded | retrying → ready … | dead | cancelled`.
use serde::{Deserialize, Serialize};
use std::fmt;

/// State of a unit. The spelling is public: SQL, metrics, API and CLI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UnitState {
    /// Waits for the steps and barriers it needs.
    Planned,
    /// Waits for a free slot.
    Ready,
    /// Dispatched to a worker under an epoch.
    Leased,
    /// Failed and waits for its next attempt.
    Retrying,
    /// Ended with success.
    Succeeded,
    /// Failed for good; needs a redrive or a new input.
    Dead,
    /// Will not run, because it or its job was cancelled.
    Cancelled,
}

/// Event that changes the state of a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UnitEvent {
    /// The needs of the unit are met.
    NeedsMet,
    /// The unit was dispatched.
    Lease,
    /// A worker reports success.
    Succeed,
    /// A worker reports a retryable failure.
    FailRetryable,
    /// A worker reports a final failure.
    FailFinal,
    /// The worker returned the unit, or its lease lapsed.
    TakeBack,
    /// The backoff has elapsed.
    RetryDue,
    /// The job was cancelled, or the unit cannot run.
    Cancel,
    /// An operator requests a redrive.
    Redrive,
}

impl UnitState {
    /// Every state of a unit.
    pub const ALL: [UnitState; 7] = [
        UnitState::Planned,
        UnitState::Ready,
        UnitState::Leased,
        UnitState::Retrying,
        UnitState::Succeeded,
        UnitState::Dead,
        UnitState::Cancelled,
    ];

    /// Spelling in SQL, metrics, API and CLI.
    pub fn as_str(self) -> &'static str {
        match self {
            UnitState::Planned => "planned",
            UnitState::Ready => "ready",
            UnitState::Leased => "leased",
            UnitState::Retrying => "retrying",
            UnitState::Succeeded => "succeeded",
            UnitState::Dead => "dead",
            UnitState::Cancelled => "cancelled",
        }
    }

    /// Reads the spelling of [`UnitState::as_str`].
    pub fn parse(text: &str) -> Option<UnitState> {
        UnitState::ALL.into_iter().find(|s| s.as_str() == text)
    }

    /// Whether only a redrive can change this state.
    pub fn is_terminal(self) -> bool {
        matches!(
            self,
            UnitState::Succeeded | UnitState::Dead | UnitState::Cancelled
        )
    }

    /// Whether the scheduler handles the unit: ready, leased or retrying.
    pub fn is_live(self) -> bool {
        matches!(
            self,
            UnitState::Ready | UnitState::Leased | UnitState::Retrying
        )
    }
}

impl fmt::Display for UnitState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The state after `event`. `None` when the event does not apply (a late report, a second cancel): the unit does not change
/// and the event is counted (FEN-1).
pub fn next(state: UnitState, event: UnitEvent) -> Option<UnitState> {
    use UnitEvent as E;
    use UnitState as S;
    match (state, event) {
        (S::Planned, E::NeedsMet) | (S::Retrying, E::RetryDue) | (S::Leased, E::TakeBack) => {
            Some(S::Ready)
        }
        (S::Ready, E::Lease) => Some(S::Leased),
        (S::Leased, E::Succeed) => Some(S::Succeeded),
        (S::Leased, E::FailRetryable) => Some(S::Retrying),
        (S::Leased, E::FailFinal) => Some(S::Dead),
        (S::Planned | S::Ready | S::Leased | S::Retrying, E::Cancel) => Some(S::Cancelled),
        (S::Dead | S::Cancelled, E::Redrive) => Some(S::Ready),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const EVENTS: [UnitEvent; 9] = [
        UnitEvent::NeedsMet,
        UnitEvent::Lease,
        UnitEvent::Succeed,
        UnitEvent::FailRetryable,
        UnitEvent::FailFinal,
        UnitEvent::TakeBack,
        UnitEvent::RetryDue,
        UnitEvent::Cancel,
        UnitEvent::Redrive,
    ];

    #[test]
    fn spelling_reads_back() {
        for state in UnitState::ALL {
            assert_eq!(UnitState::parse(state.as_str()), Some(state));
        }
    }

    proptest! {
        /// FEN-1: along any history, a terminal state is left by a redrive only, and results count only while leased.
        #[test]
        fn terminal_states_are_final(history in prop::collection::vec(0usize..EVENTS.len(), 0..60)) {
            let mut state = UnitState::Planned;
            for event in history.into_iter().map(|i| EVENTS[i]) {
                let Some(after) = next(state, event) else { continue };
                prop_assert!(!state.is_terminal() || event == UnitEvent::Redrive);
                let result = matches!(event, UnitEvent::Succeed | UnitEvent::FailRetryable | UnitEvent::FailFinal);
                prop_assert!(!result || state == UnitState::Leased);
                prop_assert!(after != UnitState::Succeeded || event == UnitEvent::Succeed);
                state = after;
            }
        }
    }
}
