//! Decides when a barrier opens. It is a function of durable counts, so duplicates, reordering and restarts do not change
//! the result (BAR-1).
use crate::model::barrier::{Budget, Require};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Requirement, failure budget and time of a barrier.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BarrierPolicy {
    /// Members that must succeed.
    pub require: BarrierRequire,
    /// Tolerated failures; with a budget the barrier waits until every member has ended.
    pub budget: Option<BarrierBudget>,
    /// Time at which the barrier opens in any case.
    pub until: Option<Timestamp>,
}

/// [`Require`] in its stored form.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum BarrierRequire {
    /// Every member must succeed.
    All,
    /// At least this number of members.
    Count(u64),
    /// At least this fraction of the members, 0 to 1.
    Fraction(f64),
}

/// [`Budget`] in its stored form.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum BarrierBudget {
    /// This number of failures.
    Count(u64),
    /// This fraction of the members, 0 to 1.
    Share(f64),
}

impl From<Require> for BarrierRequire {
    fn from(require: Require) -> BarrierRequire {
        match require {
            Require::All => BarrierRequire::All,
            Require::Count(n) => BarrierRequire::Count(n),
            Require::Fraction(share) => BarrierRequire::Fraction(share),
        }
    }
}

impl From<Budget> for BarrierBudget {
    fn from(budget: Budget) -> BarrierBudget {
        match budget {
            Budget::Count(n) => BarrierBudget::Count(n),
            Budget::Share(share) => BarrierBudget::Share(share),
        }
    }
}

/// Durable counts of one barrier instance's members.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Members planned so far.
    pub total: u64,
    /// Members that succeeded.
    pub succeeded: u64,
    /// Members that are dead or cancelled.
    pub failed: u64,
    /// Whether the number of members is final.
    pub sealed: bool,
}

/// Whether a barrier opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BarrierDecision {
    /// The barrier stays closed for now.
    Wait {
        /// Members that are still running or waiting.
        outstanding: u64,
    },
    /// The barrier opens.
    Release,
    /// The requirement cannot be met without a retry or a waiver.
    Hold {
        /// Members that failed.
        failed: u64,
    },
}

/// Decides whether a barrier opens at `now`. Only a sealed barrier opens or holds; `until` opens it once sealed.
pub fn evaluate(policy: &BarrierPolicy, tally: Tally, now: Timestamp) -> BarrierDecision {
    let ended = tally.succeeded + tally.failed;
    let outstanding = tally.total.saturating_sub(ended);
    if !tally.sealed {
        return BarrierDecision::Wait { outstanding };
    }
    if policy.until.is_some_and(|until| now >= until) {
        return BarrierDecision::Release;
    }
    let needed = match (policy.require, policy.budget) {
        (_, Some(budget)) => {
            return within_budget(budget, tally, outstanding, policy.until.is_some());
        }
        (BarrierRequire::All, None) => tally.total,
        (BarrierRequire::Count(n), None) => n.min(tally.total),
        (BarrierRequire::Fraction(share), None) => share_of(share, tally.total),
    };
    if tally.succeeded >= needed {
        return BarrierDecision::Release;
    }
    if tally.succeeded + outstanding < needed && policy.until.is_none() {
        return BarrierDecision::Hold {
            failed: tally.failed,
        };
    }
    BarrierDecision::Wait { outstanding }
}

fn within_budget(
    budget: BarrierBudget,
    tally: Tally,
    outstanding: u64,
    timed: bool,
) -> BarrierDecision {
    let allowed = match budget {
        BarrierBudget::Count(n) => n,
        // Rounded down: a share never allows more failures than configured.
        BarrierBudget::Share(share) => (share.clamp(0.0, 1.0) * tally.total as f64).floor() as u64,
    };
    if tally.failed > allowed && !timed {
        return BarrierDecision::Hold {
            failed: tally.failed,
        };
    }
    if outstanding == 0 && tally.failed <= allowed {
        return BarrierDecision::Release;
    }
    BarrierDecision::Wait { outstanding }
}

/// `share` of `total`, rounded up: a fraction never opens with fewer members than configured.
fn share_of(share: f64, total: u64) -> u64 {
    ((share.clamp(0.0, 1.0) * total as f64) - 1e-9)
        .ceil()
        .max(0.0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all() -> BarrierPolicy {
        BarrierPolicy {
            require: BarrierRequire::All,
            budget: None,
            until: None,
        }
    }

    fn tally(total: u64, succeeded: u64, failed: u64, sealed: bool) -> Tally {
        Tally {
            total,
            succeeded,
            failed,
            sealed,
        }
    }

    #[test]
    fn opens_only_when_sealed() {
        assert_eq!(
            evaluate(&all(), tally(3, 3, 0, false), Timestamp(0)),
            BarrierDecision::Wait { outstanding: 0 }
        );
        assert_eq!(
            evaluate(&all(), tally(3, 3, 0, true), Timestamp(0)),
            BarrierDecision::Release
        );
    }

    #[test]
    fn empty_barrier_opens_once_sealed() {
        assert_eq!(
            evaluate(&all(), tally(0, 0, 0, true), Timestamp(0)),
            BarrierDecision::Release
        );
    }

    #[test]
    fn holds_when_it_can_no_longer_open() {
        assert_eq!(
            evaluate(&all(), tally(3, 0, 1, true), Timestamp(0)),
            BarrierDecision::Hold { failed: 1 }
        );
        let half = BarrierPolicy {
            require: BarrierRequire::Fraction(0.5),
            ..all()
        };
        assert_eq!(
            evaluate(&half, tally(4, 1, 2, true), Timestamp(0)),
            BarrierDecision::Wait { outstanding: 1 }
        );
        assert_eq!(
            evaluate(&half, tally(4, 2, 2, true), Timestamp(0)),
            BarrierDecision::Release
        );
        assert_eq!(
            evaluate(&half, tally(4, 1, 3, true), Timestamp(0)),
            BarrierDecision::Hold { failed: 3 }
        );
    }

    #[test]
    fn a_budget_waits_for_everything_and_counts_failures() {
        let budget = BarrierPolicy {
            budget: Some(BarrierBudget::Share(0.25)),
            ..all()
        };
        assert_eq!(
            evaluate(&budget, tally(4, 2, 1, true), Timestamp(0)),
            BarrierDecision::Wait { outstanding: 1 }
        );
        assert_eq!(
            evaluate(&budget, tally(4, 3, 1, true), Timestamp(0)),
            BarrierDecision::Release
        );
        assert_eq!(
            evaluate(&budget, tally(4, 1, 2, true), Timestamp(0)),
            BarrierDecision::Hold { failed: 2 }
        );
    }

    #[test]
    fn a_time_opens_whatever_happened() {
        let timed = BarrierPolicy {
            until: Some(Timestamp(10)),
            ..all()
        };
        assert_eq!(
            evaluate(&timed, tally(3, 0, 3, true), Timestamp(9)),
            BarrierDecision::Wait { outstanding: 0 }
        );
        assert_eq!(
            evaluate(&timed, tally(3, 0, 3, true), Timestamp(10)),
            BarrierDecision::Release
        );
    }

    proptest! {
        /// BAR-1: once open it stays open while members go on succeeding.
        #[test]
        fn more_success_never_closes_it(total in 0u64..50, succeeded in 0u64..50, n in 0u64..60, share in 0.0f64..1.0, which in 0usize..3) {
            let require = [BarrierRequire::All, BarrierRequire::Count(n), BarrierRequire::Fraction(share)][which];
            let policy = BarrierPolicy { require, budget: None, until: None };
            let succeeded = succeeded.min(total);
            if evaluate(&policy, tally(total, succeeded, 0, true), Timestamp(0)) == BarrierDecision::Release {
                for more in succeeded..=total {
                    prop_assert_eq!(evaluate(&policy, tally(total, more, 0, true), Timestamp(0)), BarrierDecision::Release);
                }
            }
            prop_assert_eq!(evaluate(&policy, tally(total, total, 0, true), Timestamp(0)), BarrierDecision::Release);
        }

        /// BAR-1: when everything has ended it never waits: no barrier hangs.
        #[test]
        fn never_waits_when_everything_ended(total in 0u64..50, failed in 0u64..50, n in 0u64..60, share in 0.0f64..1.0, which in 0usize..5) {
            let failed = failed.min(total);
            let budget = [None, None, None, Some(BarrierBudget::Count(n)), Some(BarrierBudget::Share(share))][which];
            let require = [BarrierRequire::All, BarrierRequire::Count(n), BarrierRequire::Fraction(share), BarrierRequire::All, BarrierRequire::All][which];
            let policy = BarrierPolicy { require, budget, until: None };
            let decision = evaluate(&policy, tally(total, total - failed, failed, true), Timestamp(0));
            let waits = matches!(decision, BarrierDecision::Wait { .. });
            prop_assert!(!waits, "{:?}", decision);
        }
    }
}
