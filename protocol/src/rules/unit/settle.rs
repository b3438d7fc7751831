//! What a worker's report means for its unit. The graph around the unit is not looked at here.
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
    /// Where it is.
    pub state: UnitState,
    /// Its current fencing token.
    pub epoch: u32,
    /// Attempts that failed so far.
    pub attempt: u32,
    /// Members of its partition.
    pub assets: u32,
}

/// What was reported, without its wire form.
#[derive(Debug, Clone, PartialEq)]
pub enum Reported {
    /// Ran to its end; these assets (by id) failed.
    Finished(Vec<(String, Failure)>),
    /// Failed as a whole.
    Failed(Failure),
    /// Came back unexecuted.
    Returned,
    /// What it needs is not there yet; it says after how long to look again, and what it waits for.
    Waiting(Duration, String),
}

/// What a step hands out, as far as reports are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandsOut {
    /// A unit for each partition.
    Partitions,
    /// One unit for the whole job.
    Once,
    /// Nothing: a barrier, or an approval that people decide.
    Nothing,
}

/// Whether a unit that a report names can have been handed out: anybody who may write the stream may name anything.
/// `parts` is the number of partitions of its job.
pub fn is_possible(step: HandsOut, unit: UnitId, parts: PartNo) -> bool {
    match (step, unit.of_slice()) {
        (HandsOut::Partitions, Some((of, number))) => number > 0 && (1..=parts).contains(&of.part),
        (HandsOut::Partitions, None) => (1..=parts).contains(&unit.part),
        (HandsOut::Once, None) => unit.part == 0,
        (HandsOut::Once, Some(_)) | (HandsOut::Nothing, _) => false,
    }
}

/// Longest execution that is accounted for: what a report claims beyond it is not believed, and the sum stays countable.
const EXECUTION_MAX_US: u64 = 366 * 86_400 * 1_000_000;

/// The duration of an execution as it is accounted for.
pub fn accounted(duration_us: u64) -> u64 {
    duration_us.min(EXECUTION_MAX_US)
}

/// Why a report changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rejection {
    /// It speaks for another epoch (FEN-1).
    StaleEpoch,
    /// The unit has already ended or is not out.
    NotLeased,
}

/// The decision.
#[derive(Debug, Clone, PartialEq)]
pub enum Settlement {
    /// Nothing changes; it is counted.
    Reject(Rejection),
    /// All assets passed.
    Succeed,
    /// Try the whole unit again at this moment; `Failure` is the reason shown meanwhile.
    Retry(Timestamp, Failure),
    /// All assets failed for good.
    Die(Vec<(String, Failure)>),
    /// These assets failed for good and leave the partition; the rest succeeded (`None`) or is tried again.
    Split {
        /// Assets that die.
        dead: Vec<(String, Failure)>,
        /// Retry of the remaining assets, if they are not done.
        retry: Option<(Timestamp, Failure)>,
    },
    /// Straight back to ready; no attempt was used.
    Release,
    /// Ready again at this moment; no attempt was used. The words say what it waits for.
    Wait(Timestamp, String),
}

/// Least and longest time until what a unit waits for is looked for again.
const LOOK_AGAIN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(24 * 3_600));

/// Decides what a report at `epoch` means. `jitter` in 0..1.
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
        Reported::Waiting(pause, what) => Settlement::Wait(now.after(pause.clamp(LOOK_AGAIN.0, LOOK_AGAIN.1)), what),
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
            // The unit runs again once, when the most patient of its assets is due.
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
    use proptest::prelude::*;

    fn facts(state: UnitState, epoch: u32, attempt: u32, assets: u32) -> UnitFacts {
        UnitFacts { state, epoch, attempt, assets }
    }

    fn failed(asset: &str, class: ErrorClass) -> (String, Failure) {
        (asset.to_owned(), Failure::new(class, "r", "m"))
    }

    #[test]
    fn units_that_cannot_be_out_are_not_possible() {
        let unit = |part| UnitId { job: crate::id::JobNo(1), step: crate::id::StepNo(2), part };
        for (step, part, possible) in [
            (HandsOut::Partitions, 1, true),
            (HandsOut::Partitions, 7, true),
            (HandsOut::Partitions, 8, false),
            (HandsOut::Partitions, 0, false),
            (HandsOut::Partitions, -1, false),
            (HandsOut::Partitions, i64::MIN, false),
            (HandsOut::Partitions, i64::MAX, false),
            (HandsOut::Partitions, unit(7).slice(3).part, true),
            (HandsOut::Partitions, unit(8).slice(3).part, false),
            (HandsOut::Partitions, unit(0).slice(3).part, false),
            (HandsOut::Once, 0, true),
            (HandsOut::Once, 1, false),
            (HandsOut::Once, unit(0).slice(1).part, false),
            (HandsOut::Nothing, 0, false),
            (HandsOut::Nothing, 1, false),
        ] {
            assert_eq!(is_possible(step, unit(part), 7), possible, "{step:?} {part}");
        }
        assert_eq!((accounted(5), accounted(u64::MAX)), (5, EXECUTION_MAX_US));
    }

    #[test]
    fn a_late_report_changes_nothing() {
        let leased = facts(UnitState::Leased, 4, 0, 1);
        let got = decide(leased, 3, Reported::Finished(vec![]), &RetryPolicy::default(), Timestamp(0), 0.0);
        assert_eq!(got, Settlement::Reject(Rejection::StaleEpoch));
        for state in UnitState::ALL.into_iter().filter(|s| *s != UnitState::Leased) {
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
        assert!(matches!(got, Settlement::Split { ref dead, retry: None } if dead.len() == 1), "{got:?}");
    }

    #[test]
    fn the_last_attempt_kills() {
        let last = facts(UnitState::Leased, 3, 2, 1);
        let policy = RetryPolicy { attempts_max: 3, ..RetryPolicy::default() };
        let got = decide(last, 3, Reported::Failed(Failure::transient("r", "m")), &policy, Timestamp(0), 0.0);
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
