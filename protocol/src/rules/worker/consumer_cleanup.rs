//! Cleanup of consumers in a stream group, and of entries that they never acknowledged.
use std::time::Duration;

/// State of a consumer from the server and the heartbeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConsumerSnapshot {
    /// Whether its worker sent a recent heartbeat.
    pub alive: bool,
    /// Time since its last command. A clock step of the server can make this any value.
    pub idle: Duration,
    /// Delivered entries without an acknowledgement.
    pub pending: u64,
}

/// The action for a consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConsumerDecision {
    /// The consumer is or may be alive.
    Keep,
    /// The consumer is dead. Entries whose epoch is no longer leased are acknowledged on its behalf.
    HandOver,
    /// The consumer is dead and has no entries.
    Remove,
}

/// Decides the action. A consumer is dead only when it is idle and its worker sends no heartbeat: the clock of the server may
/// have stepped, and a new coordinator has not received heartbeats yet. A consumer with entries is never removed.
pub fn decide(seen: ConsumerSnapshot, idle_min: Duration) -> ConsumerDecision {
    if seen.alive || seen.idle < idle_min {
        return ConsumerDecision::Keep;
    }
    if seen.pending == 0 {
        ConsumerDecision::Remove
    } else {
        ConsumerDecision::HandOver
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn live_consumer_or_one_with_entries_is_never_removed(alive: bool, idle in 0u64..200, pending in 0u64..3, min in 0u64..100) {
            let seen = ConsumerSnapshot { alive, idle: Duration::from_secs(idle), pending };
            let decision = decide(seen, Duration::from_secs(min));
            prop_assert_eq!(decision == ConsumerDecision::Keep, alive || idle < min);
            if decision == ConsumerDecision::Remove {
                prop_assert!(pending == 0);
            }
        }
    }
}
