//! Distinguishes a sick worker from bad units: a unit that failed on one worker and succeeded on another is evidence against
//! the worker.
use std::time::Duration;

/// Limits of the assessment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuarantineLimits {
    /// Units that failed on a worker and succeeded elsewhere, from which on it is sick.
    pub refuted_max: u32,
    /// Units that failed on a worker alone, without a success on it and while other workers succeed in the same steps,
    /// from which on it is sick. As many successes of others make a step one in which they succeed.
    pub barren_max: u32,
    /// Time for which a failed unit counts against its workers.
    pub failure_kept: Duration,
}

impl Default for QuarantineLimits {
    fn default() -> QuarantineLimits {
        // A worker of long units needs hours for twelve failures; yesterday's failures do not count.
        QuarantineLimits {
            refuted_max: 4,
            barren_max: 12,
            failure_kept: Duration::from_secs(6 * 3_600),
        }
    }
}

/// Recent results of one worker.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WorkerFacts {
    /// Units that failed on it.
    pub failed: u32,
    /// Failed units that succeeded on another worker.
    pub refuted: u32,
    /// Units that failed on it and on no other worker, of steps in which the others do well ([`does_well`]).
    pub alone: u32,
    /// Failed units for which it had no disk space.
    pub full: u32,
    /// Units that succeeded on it.
    pub succeeded: u32,
}

/// Recent results of the other workers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PeerFacts {
    /// Other live workers that take work and have slots for the kind of its slots that the fewest of them have.
    pub workers: u32,
    /// Units that failed on them.
    pub failed: u32,
    /// Units that succeeded on them.
    pub succeeded: u32,
    /// Whether another worker also had no space for such a unit.
    pub full: bool,
}

/// Health of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// The worker keeps working.
    Well,
    /// Only this worker has no disk space: it takes no units until there is space.
    NoSpace,
    /// Units that fail on it succeed elsewhere.
    Sick,
}

/// Whether workers do well in a step, by their successful and failed executions. A step in which every unit fails says
/// nothing about the workers.
pub fn does_well(succeeded: u32, failed: u32, limits: &QuarantineLimits) -> bool {
    succeeded >= limits.barren_max && failed.saturating_mul(10) <= succeeded
}

/// Assesses a worker. The last worker with slots of a kind is never quarantined: a bad worker is better than none.
pub fn assess(worker: &WorkerFacts, peers: &PeerFacts, limits: &QuarantineLimits) -> Health {
    if peers.workers == 0 {
        return Health::Well;
    }
    if worker.full > 0 && !peers.full {
        return Health::NoSpace;
    }
    // A worker with mostly successes is healthy.
    let mostly_fails = worker.failed > worker.succeeded;
    let refuted =
        worker.refuted >= limits.refuted_max.max(1) && peers.failed * 4 <= peers.succeeded;
    let barren = worker.succeeded == 0 && worker.alone >= limits.barren_max.max(1);
    if (mostly_fails && refuted) || barren {
        Health::Sick
    } else {
        Health::Well
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: QuarantineLimits = QuarantineLimits {
        refuted_max: 3,
        barren_max: 12,
        failure_kept: Duration::from_secs(60),
    };

    fn facts() -> impl Strategy<Value = (WorkerFacts, PeerFacts)> {
        (
            0u32..40,
            0u32..40,
            0u32..3,
            0u32..40,
            0u32..3,
            0u32..40,
            0u32..40,
            any::<bool>(),
        )
            .prop_map(
                |(
                    failed,
                    refuted,
                    full,
                    succeeded,
                    workers,
                    others_failed,
                    others_succeeded,
                    shared,
                )| {
                    let (refuted, alone) = (refuted.min(failed), failed - refuted.min(failed));
                    let worker = WorkerFacts {
                        failed,
                        refuted,
                        alone,
                        full: full.min(failed),
                        succeeded,
                    };
                    let peers = PeerFacts {
                        workers,
                        failed: others_failed,
                        succeeded: others_succeeded,
                        full: shared,
                    };
                    (worker, peers)
                },
            )
    }

    #[test]
    fn worker_whose_failures_succeed_elsewhere_is_sick() {
        let peers = PeerFacts {
            workers: 1,
            succeeded: 8,
            failed: 1,
            ..PeerFacts::default()
        };
        let worker = WorkerFacts {
            failed: 3,
            refuted: 3,
            ..WorkerFacts::default()
        };
        assert_eq!(assess(&worker, &peers, &LIMITS), Health::Sick);
        assert_eq!(
            assess(
                &WorkerFacts {
                    refuted: 2,
                    ..worker
                },
                &peers,
                &LIMITS
            ),
            Health::Well
        );
        let all_stumble = PeerFacts { failed: 6, ..peers };
        assert_eq!(
            assess(&worker, &all_stumble, &LIMITS),
            Health::Well,
            "others do not do much better"
        );
        let full = WorkerFacts {
            failed: 1,
            full: 1,
            ..WorkerFacts::default()
        };
        assert_eq!(assess(&full, &peers, &LIMITS), Health::NoSpace);
        assert_eq!(
            assess(
                &full,
                &PeerFacts {
                    full: true,
                    ..peers
                },
                &LIMITS
            ),
            Health::Well,
            "the destination is full"
        );
    }

    #[test]
    fn worker_without_a_success_is_sick_where_others_do_well() {
        let peers = PeerFacts {
            workers: 1,
            succeeded: 500,
            ..PeerFacts::default()
        };
        let worker = WorkerFacts {
            failed: 4_000,
            alone: 12,
            ..WorkerFacts::default()
        };
        assert_eq!(assess(&worker, &peers, &LIMITS), Health::Sick);
        assert_eq!(
            assess(
                &WorkerFacts {
                    alone: 11,
                    ..worker
                },
                &peers,
                &LIMITS
            ),
            Health::Well,
            "their steps fail everywhere"
        );
        assert_eq!(
            assess(
                &WorkerFacts {
                    succeeded: 1,
                    ..worker
                },
                &peers,
                &LIMITS
            ),
            Health::Well
        );
        assert!(
            does_well(12, 1, &LIMITS) && !does_well(11, 0, &LIMITS) && !does_well(12, 2, &LIMITS)
        );
    }

    proptest! {
        /// Bad units fail everywhere: without a success elsewhere, and with others doing no better, no worker is
        /// quarantined.
        #[test]
        fn bad_units_make_no_worker_sick((worker, peers) in facts()) {
            let worker = WorkerFacts { refuted: 0, alone: 0, full: 0, ..worker };
            let peers = PeerFacts { failed: peers.failed.max(peers.succeeded), succeeded: peers.succeeded.max(1), ..peers };
            prop_assert_eq!(assess(&worker, &peers, &LIMITS), Health::Well);
        }

        /// The last worker stays, whatever it does.
        #[test]
        fn the_last_worker_stays((worker, peers) in facts()) {
            prop_assert_eq!(assess(&worker, &PeerFacts { workers: 0, ..peers }, &LIMITS), Health::Well);
        }

        /// More failures refuted never make a worker look better, more successes never worse.
        #[test]
        fn evidence_counts_one_way((worker, peers) in facts()) {
            let worker = WorkerFacts { full: 0, ..worker };
            let worse = WorkerFacts { failed: worker.failed + 1, refuted: worker.refuted + 1, ..worker };
            let better = WorkerFacts { succeeded: worker.succeeded + 1, ..worker };
            let sick = |w: &WorkerFacts| assess(w, &peers, &LIMITS) == Health::Sick;
            prop_assert!(!sick(&worker) || sick(&worse));
            prop_assert!(sick(&worker) || !sick(&better));
        }
    }
}
