//! What becomes of a consumer in a stream's group, and of the entries it never acknowledged. Pure.
use std::time::Duration;

/// A consumer as the server and the heartbeats show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConsumerSeen {
    /// Its worker has been heard of lately.
    pub alive: bool,
    /// Since it last asked the server for anything; a clock that steps may make this anything.
    pub idle: Duration,
    /// Entries delivered to it and not acknowledged.
    pub pending: u64,
}

/// What to do with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConsumerDecision {
    /// It works, or may.
    Keep,
    /// It is dead; entries whose units are out under no epoch of theirs any more are acknowledged for it.
    HandOver,
    /// It is dead and holds nothing.
    Remove,
}

/// Judges a consumer. Silence alone is no death: the server's clock may have stepped. Nor is a missing heartbeat alone: a
/// coordinator that has just begun has heard of nobody. What holds entries is never removed.
pub fn judge(seen: ConsumerSeen, idle_min: Duration) -> ConsumerDecision {
    if seen.alive || seen.idle < idle_min {
        return ConsumerDecision::Keep;
    }
    if seen.pending == 0 { ConsumerDecision::Remove } else { ConsumerDecision::HandOver }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn nothing_that_lives_or_holds_entries_is_removed(alive: bool, idle in 0u64..200, pending in 0u64..3, min in 0u64..100) {
            let seen = ConsumerSeen { alive, idle: Duration::from_secs(idle), pending };
            let decision = judge(seen, Duration::from_secs(min));
            prop_assert_eq!(decision == ConsumerDecision::Keep, alive || idle < min);
            if decision == ConsumerDecision::Remove {
                prop_assert!(pending == 0);
            }
        }
    }
}
