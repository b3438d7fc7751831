//! Retry of failed units: number of attempts and backoff.
use crate::failure::ErrorClass;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Retries of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryPolicy {
    /// Executions in all; at least 1.
    pub attempts_max: u32,
    /// Pause after the first failure.
    pub backoff_min: Duration,
    /// Upper bound of the backoff.
    pub backoff_max: Duration,
}

/// Executions of work that moves content, if the job says nothing: their pauses outlast an endpoint that restarts for two
/// minutes, however they are jittered.
const ATTEMPTS_MOVING: u32 = 8;
/// Executions of work that measures content: each costs a pass, and fails for other reasons than an endpoint.
const ATTEMPTS_MEASURING: u32 = 3;

impl Default for RetryPolicy {
    fn default() -> RetryPolicy {
        RetryPolicy {
            attempts_max: ATTEMPTS_MOVING,
            backoff_min: Duration::from_secs(2),
            backoff_max: Duration::from_secs(300),
        }
    }
}

impl RetryPolicy {
    /// The default of steps that measure content.
    pub fn measuring() -> RetryPolicy {
        RetryPolicy {
            attempts_max: ATTEMPTS_MEASURING,
            ..RetryPolicy::default()
        }
    }
}

/// Whether a unit is retried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryDecision {
    /// Next attempt at this time.
    At(Timestamp),
    /// No further attempt: the unit is dead.
    GiveUp,
}

/// Decides after the `attempt`-th failed execution (counted from 1). `jitter` is a random number in 0..1.
///
/// The backoff doubles from `backoff_min` to `backoff_max`. Its upper half is jittered, so that units that failed together
/// are not retried together. The `Retry-After` of a throttling server is the minimum.
pub fn decide(
    policy: &RetryPolicy,
    attempt: u32,
    class: ErrorClass,
    now: Timestamp,
    jitter: f64,
) -> RetryDecision {
    if !class.retryable() || attempt >= policy.attempts_max.max(1) {
        return RetryDecision::GiveUp;
    }
    let doubled = policy
        .backoff_min
        .saturating_mul(1u32 << attempt.saturating_sub(1).min(20));
    let ceiling = doubled.min(policy.backoff_max);
    let pause = ceiling.mul_f64(0.5 + 0.5 * jitter.clamp(0.0, 1.0));
    let asked = match class {
        ErrorClass::Throttled {
            retry_after_ms: Some(ms),
        } => Duration::from_millis(ms),
        _ => Duration::ZERO,
    };
    RetryDecision::At(now.after(pause.max(asked)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn permanent_failures_and_spent_attempts_give_up() {
        let policy = RetryPolicy::default();
        assert_eq!(
            decide(&policy, 1, ErrorClass::Permanent, Timestamp(0), 0.5),
            RetryDecision::GiveUp
        );
        assert_eq!(
            decide(&policy, 8, ErrorClass::Transient, Timestamp(0), 0.5),
            RetryDecision::GiveUp
        );
        assert_ne!(
            decide(&policy, 7, ErrorClass::Transient, Timestamp(0), 0.5),
            RetryDecision::GiveUp
        );
        let measuring = RetryPolicy::measuring();
        assert_eq!(
            decide(&measuring, 3, ErrorClass::Transient, Timestamp(0), 0.5),
            RetryDecision::GiveUp
        );
    }

    #[test]
    fn default_policy_outlasts_a_restart_of_two_minutes() {
        for jitter in [0.0, 0.5, 1.0] {
            let (mut now, mut attempt) = (Timestamp(0), 1);
            while let RetryDecision::At(at) = decide(
                &RetryPolicy::default(),
                attempt,
                ErrorClass::Transient,
                now,
                jitter,
            ) {
                (now, attempt) = (at, attempt + 1);
            }
            assert!(
                now.since(Timestamp(0)) >= Duration::from_secs(120),
                "{now:?} with jitter {jitter}"
            );
        }
    }

    #[test]
    fn a_throttling_server_is_obeyed() {
        let class = ErrorClass::Throttled {
            retry_after_ms: Some(60_000),
        };
        let got = decide(&RetryPolicy::default(), 1, class, Timestamp(0), 0.0);
        assert_eq!(got, RetryDecision::At(Timestamp(60_000_000)));
    }

    proptest! {
        /// The pause grows with the attempt, never exceeds its maximum, and never reaches attempts without end.
        #[test]
        fn pauses_are_bounded(attempt in 1u32..100, attempts_max in 0u32..50, jitter in 0.0f64..1.0, min in 0u64..10_000, max in 0u64..1_000_000) {
            let policy = RetryPolicy { attempts_max, backoff_min: Duration::from_millis(min), backoff_max: Duration::from_millis(max) };
            match decide(&policy, attempt, ErrorClass::Transient, Timestamp(5), jitter) {
                RetryDecision::At(at) => {
                    prop_assert!(attempt < attempts_max);
                    prop_assert!(at.since(Timestamp(5)) <= policy.backoff_max);
                }
                RetryDecision::GiveUp => prop_assert!(attempt >= attempts_max.max(1)),
            }
        }
    }
}
