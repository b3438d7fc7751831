//! Settlement: the transition that a worker's report means for its unit. Effects on dependents are not part of it.
use super::lease::speaks_for;
use super::retry::{RetryDecision, RetryPolicy, decide as decide_retry};
use super::transition::UnitState;
use crate::failure::{ErrorClass, Failure};
use crate::id::{PartNo, UnitId};
use crate::time::Timestamp;
use std::time::Duration;

/// Durable facts of a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnitFacts {
    /// State of the unit.
    pub state: UnitState,
    /// Current epoch, the fencing token.
    pub epoch: u32,
    /// Number of failed attempts.
    pub attempt: u32,
    /// Number of assets of its partition.
    pub assets: u32,
}

/// Content of a report, without its wire form.
#[derive(Debug, Clone, PartialEq)]
pub enum Reported {
    /// The unit ended; these assets (by id) failed.
    Finished(Vec<(String, Failure)>),
    /// The unit failed as a whole.
    Failed(Failure),
    /// The unit was returned without execution.
    Returned,
    /// The unit waits: the pause until the next check, and a description of the condition.
    Waiting(Duration, String),
}

/// The units that a step dispatches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DispatchScope {
    /// One unit per partition.
    Partitions,
    /// One unit for the whole job.
    Once,
    /// No unit: a barrier or an approval.
    Nothing,
}

/// Whether the unit of a report can have been dispatched. Reports are input and may name anything. `parts` is the number of
/// partitions of the job.
pub fn is_possible(step: DispatchScope, unit: UnitId, parts: PartNo) -> bool {
    match (step, unit.slice) {
        (DispatchScope::Partitions, _) => (1..=parts).contains(&unit.part),
        (DispatchScope::Once, None) => unit.part == 0,
        (DispatchScope::Once, Some(_)) | (DispatchScope::Nothing, _) => false,
    }
}

/// Upper bound of an accounted execution in microseconds, so that sums do not overflow.
const EXECUTION_MAX_US: u64 = 366 * 86_400 * 1_000_000;

/// The duration of an execution in microseconds within its bound.
pub fn accountable_us(duration_us: u64) -> u64 {
    duration_us.min(EXECUTION_MAX_US)
}

/// Why a report is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rejection {
    /// The report belongs to another epoch (FEN-1).
    StaleEpoch,
    /// The unit has ended or is not leased.
    NotLeased,
}

/// The transition of a unit.
#[derive(Debug, Clone, PartialEq)]
pub enum Settlement {
    /// The unit does not change; the report is counted.
    Reject(Rejection),
    /// All assets succeeded.
    Succeed,
    /// The whole unit is retried at this time; `Failure` is shown until then.
    Retry(Timestamp, Failure),
    /// All assets failed finally.
    Die(Vec<(String, Failure)>),
    /// Some assets failed finally and leave the partition; the others succeeded (`None`) or are retried.
    Split {
        /// Assets that failed finally.
        dead: Vec<(String, Failure)>,
        /// Retry of the remaining assets, unless they succeeded.
        retry: Option<(Timestamp, Failure)>,
    },
    /// Ready again at once, without using an attempt.
    Release,
    /// Ready again at this time, without using an attempt. The text describes the condition.
    Wait(Timestamp, String),
}

/// Bounds of the pause between two checks of a waiting unit.
const LOOK_AGAIN: (Duration, Duration) =
    (Duration::from_millis(100), Duration::from_secs(24 * 3_600));

/// Decides the transition for a report of `epoch`. `jitter` is in 0..1.
pub fn decide(
    facts: UnitFacts,
    epoch: u32,
    reported: Reported,
    policy: &RetryPolicy,
    now: Timestamp,
    jitter: f64,
) -> Settlement {
    if facts.state != UnitState::Leased {
        return Settlement::Reject(Rejection::NotLeased);
    }
    if !speaks_for(facts.epoch, epoch) {
        return Settlement::Reject(Rejection::StaleEpoch);
    }
    let retry = |class: ErrorClass| decide_retry(policy, facts.attempt + 1, class, now, jitter);
    match reported {
        Reported::Returned => Settlement::Release,
        Reported::Waiting(pause, what) => {
            Settlement::Wait(now.after(pause.clamp(LOOK_AGAIN.0, LOOK_AGAIN.1)), what)
        }
        Reported::Failed(failure) => match retry(failure.class) {
            RetryDecision::At(at) => Settlement::Retry(at, failure),
            RetryDecision::GiveUp => Settlement::Die(vec![(String::new(), failure)]),
        },
        Reported::Finished(failures) => finished(facts, failures, retry),
    }
}

fn finished(
    facts: UnitFacts,
    failures: Vec<(String, Failure)>,
    retry: impl Fn(ErrorClass) -> RetryDecision,
) -> Settlement {
    let mut dead = Vec::new();
    let mut again: Option<(Timestamp, Failure)> = None;
    for (asset, failure) in failures {
        match retry(failure.class) {
            RetryDecision::GiveUp => dead.push((asset, failure)),
            // The unit runs once more, when the latest retry of its assets is due.
            RetryDecision::At(at) => match &mut again {
                Some((latest, _)) if *latest >= at => {}
                _ => again = Some((at, failure)),
            },
        }
    }
    if dead.is_empty() {
        return match again {
            None => Settlement::Succeed,
            Some((at, failure)) => Settlement::Retry(at, failure),
        };
    }
    if dead.len() as u64 >= u64::from(facts.assets) {
        return Settlement::Die(dead);
    }
    Settlement::Split { dead, retry: again }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::SliceNo;
    use proptest::prelude::*;

    fn facts(state: UnitState, epoch: u32, attempt: u32, assets: u32) -> UnitFacts {
        UnitFacts {
            state,
            epoch,
            attempt,
            assets,
        }
    }

    fn failed(asset: &str, class: ErrorClass) -> (String, Failure) {
        (asset.to_owned(), Failure::new(class, "r", "m"))
    }

    #[test]
    fn units_that_cannot_be_out_are_not_possible() {
        let unit = |packed| UnitId::from_packed(crate::id::JobNo(1), crate::id::StepNo(2), packed);
        let slice = |part, number| {
            unit(part)
                .with_slice(SliceNo::new(number).expect("a slice"))
                .packed_part()
        };
        for (step, part, possible) in [
            (DispatchScope::Partitions, 1, true),
            (DispatchScope::Partitions, 7, true),
            (DispatchScope::Partitions, 8, false),
            (DispatchScope::Partitions, 0, false),
            (DispatchScope::Partitions, -1, false),
            (DispatchScope::Partitions, i64::MIN, false),
            (DispatchScope::Partitions, i64::MAX, false),
            (DispatchScope::Partitions, slice(7, 3), true),
            (DispatchScope::Partitions, slice(8, 3), false),
            (DispatchScope::Partitions, slice(0, 3), false),
            (DispatchScope::Once, 0, true),
            (DispatchScope::Once, 1, false),
            (DispatchScope::Once, slice(0, 1), false),
            (DispatchScope::Nothing, 0, false),
            (DispatchScope::Nothing, 1, false),
        ] {
            assert_eq!(
                is_possible(step, unit(part), 7),
                possible,
                "{step:?} {part}"
            );
        }
        assert_eq!(
            (accountable_us(5), accountable_us(u64::MAX)),
            (5, EXECUTION_MAX_US)
        );
    }

    #[test]
    fn late_report_changes_nothing() {
        let leased = facts(UnitState::Leased, 4, 0, 1);
        let got = decide(
            leased,
            3,
            Reported::Finished(vec![]),
            &RetryPolicy::default(),
            Timestamp(0),
            0.0,
        );
        assert_eq!(got, Settlement::Reject(Rejection::StaleEpoch));
        for state in UnitState::ALL
            .into_iter()
            .filter(|s| *s != UnitState::Leased)
        {
            let got = decide(
                facts(state, 4, 0, 1),
                4,
                Reported::Finished(vec![]),
                &RetryPolicy::default(),
                Timestamp(0),
                0.0,
            );
            assert_eq!(got, Settlement::Reject(Rejection::NotLeased));
        }
    }

    #[test]
    fn one_bad_asset_leaves_its_unit_and_the_rest_succeeds() {
        let got = decide(
            facts(UnitState::Leased, 1, 0, 3),
            1,
            Reported::Finished(vec![failed("b", ErrorClass::Permanent)]),
            &RetryPolicy::default(),
            Timestamp(0),
            0.0,
        );
        assert!(
            matches!(got, Settlement::Split { ref dead, retry: None } if dead.len() == 1),
            "{got:?}"
        );
    }

    #[test]
    fn last_attempt_makes_the_unit_dead() {
        let last = facts(UnitState::Leased, 3, 2, 1);
        let policy = RetryPolicy {
            attempts_max: 3,
            ..RetryPolicy::default()
        };
        let got = decide(
            last,
            3,
            Reported::Failed(Failure::transient("r", "m")),
            &policy,
            Timestamp(0),
            0.0,
        );
        assert!(matches!(got, Settlement::Die(_)), "{got:?}");
    }

    proptest! {
        /// Waiting uses no attempt, ends nothing, and comes to an end whatever a worker asks for.
        #[test]
        fn waiting_is_neither_failure_nor_end(pause in any::<u64>(), attempt in 0u32..9, now in 0i64..1_000_000) {
            let reported = Reported::Waiting(Duration::from_micros(pause), "w".into());
            let policy = RetryPolicy { attempts_max: 1, ..RetryPolicy::default() };
            match decide(facts(UnitState::Leased, 1, attempt, 3), 1, reported, &policy, Timestamp(now), 0.5) {
                Settlement::Wait(at, _) => {
                    let wait = at.since(Timestamp(now));
                    prop_assert!(at > Timestamp(now) && wait <= Duration::from_secs(86_400));
                }
                other => prop_assert!(false, "{:?}", other),
            }
        }

        /// Every asset of a finished unit has exactly one fate, and no failed asset is ever taken for a success.
        #[test]
        fn no_failure_is_lost(classes in prop::collection::vec(0..3usize, 0..6), passed in 0u32..4, attempt in 0u32..4) {
            let pick = [ErrorClass::Permanent, ErrorClass::Transient, ErrorClass::Ambiguous];
            let failures: Vec<_> = classes.iter().enumerate().map(|(i, c)| failed(&i.to_string(), pick[*c])).collect();
            let count = failures.len() as u32;
            if count + passed == 0 { return Ok(()); }
            let policy = RetryPolicy { attempts_max: 3, ..RetryPolicy::default() };
            let got = decide(facts(UnitState::Leased, 1, attempt, count + passed), 1, Reported::Finished(failures), &policy, Timestamp(0), 0.5);
            let final_attempt = attempt + 1 >= policy.attempts_max;
            let dies = classes.iter().filter(|c| final_attempt || **c == 0).count();
            match got {
                Settlement::Succeed => prop_assert_eq!(count, 0),
                Settlement::Retry(..) => prop_assert!(dies == 0 && count > 0),
                Settlement::Die(dead) => prop_assert!(dead.len() == dies && passed == 0 && dies == count as usize),
                Settlement::Split { dead, retry } => {
                    prop_assert_eq!(dead.len(), dies);
                    prop_assert_eq!(retry.is_some(), dies < count as usize);
                }
                other => prop_assert!(false, "{:?}", other),
            }
        }
    }
}
