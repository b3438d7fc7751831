//! A bad worker told from bad units: what failed in one worker and went well in another speaks against the worker.
use std::time::Duration;

/// Limits of judgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuarantineLimits {
    /// Different units that failed in a worker and succeeded elsewhere before it is sick.
    pub refuted_max: u32,
    /// Different units that may fail in a worker without a single success, while others do well, before it is sick.
    pub barren_max: u32,
    /// For how long a failed unit speaks against the workers it failed in.
    pub failure_kept: Duration,
}

impl Default for QuarantineLimits {
    fn default() -> QuarantineLimits {
        // A worker of long units needs hours to fail twelve times; what it did yesterday says nothing of it today.
        QuarantineLimits { refuted_max: 4, barren_max: 12, failure_kept: Duration::from_secs(6 * 3_600) }
    }
}

/// What is known of one worker, over the units it had lately.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WorkerFacts {
    /// Different units that failed in it.
    pub failed: u32,
    /// Of those, units that succeeded in another worker.
    pub refuted: u32,
    /// Of those that failed, units for which it had no disk space.
    pub full: u32,
    /// Units that succeeded in it.
    pub succeeded: u32,
}

/// What is known of the others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PeerFacts {
    /// Workers besides it that live, take work, and have slots of its kinds.
    pub workers: u32,
    /// Units that failed in them.
    pub failed: u32,
    /// Units that succeeded in them.
    pub succeeded: u32,
    /// Whether another worker had no space for a unit for which this one had none either.
    pub full: bool,
}

/// The answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// It goes on.
    Well,
    /// It has no disk space, and nobody else has said so of the same unit: it takes nothing until there is space.
    NoSpace,
    /// What fails in it goes well elsewhere.
    Sick,
}

/// Judges a worker. The last one that takes work is never put aside: a bad worker is better than none.
pub fn judge(worker: &WorkerFacts, peers: &PeerFacts, limits: &QuarantineLimits) -> Health {
    if peers.workers == 0 {
        return Health::Well;
    }
    if worker.full > 0 && !peers.full {
        return Health::NoSpace;
    }
    // A worker that mostly does well has bad luck, not a disease.
    let mostly_fails = worker.failed > worker.succeeded;
    let refuted = worker.refuted >= limits.refuted_max.max(1) && peers.failed * 4 <= peers.succeeded;
    let others_do_well = peers.succeeded >= limits.barren_max && peers.failed * 10 <= peers.succeeded;
    let barren = worker.succeeded == 0 && worker.failed >= limits.barren_max.max(1) && others_do_well;
    if (mostly_fails && refuted) || barren { Health::Sick } else { Health::Well }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: QuarantineLimits =
        QuarantineLimits { refuted_max: 3, barren_max: 12, failure_kept: Duration::from_secs(60) };

    fn facts() -> impl Strategy<Value = (WorkerFacts, PeerFacts)> {
        (0u32..40, 0u32..40, 0u32..3, 0u32..40, 0u32..3, 0u32..40, 0u32..40, any::<bool>()).prop_map(
            |(failed, refuted, full, succeeded, workers, others_failed, others_succeeded, shared)| {
                let worker = WorkerFacts { failed, refuted: refuted.min(failed), full: full.min(failed), succeeded };
                let peers = PeerFacts { workers, failed: others_failed, succeeded: others_succeeded, full: shared };
                (worker, peers)
            },
        )
    }

    #[test]
    fn a_worker_whose_failures_go_well_elsewhere_is_sick() {
        let peers = PeerFacts { workers: 1, succeeded: 8, failed: 1, ..PeerFacts::default() };
        let worker = WorkerFacts { failed: 3, refuted: 3, ..WorkerFacts::default() };
        assert_eq!(judge(&worker, &peers, &LIMITS), Health::Sick);
        assert_eq!(judge(&WorkerFacts { refuted: 2, ..worker }, &peers, &LIMITS), Health::Well);
        let all_stumble = PeerFacts { failed: 6, ..peers };
        assert_eq!(judge(&worker, &all_stumble, &LIMITS), Health::Well, "others do not do much better");
        let full = WorkerFacts { failed: 1, full: 1, ..WorkerFacts::default() };
        assert_eq!(judge(&full, &peers, &LIMITS), Health::NoSpace);
        assert_eq!(judge(&full, &PeerFacts { full: true, ..peers }, &LIMITS), Health::Well, "the destination is full");
    }

    proptest! {
        /// Bad units fail everywhere: without a failure that somebody else refutes, and with others doing no better,
        /// no worker is put aside.
        #[test]
        fn bad_units_make_no_worker_sick((worker, peers) in facts()) {
            let worker = WorkerFacts { refuted: 0, full: 0, ..worker };
            let peers = PeerFacts { failed: peers.failed.max(peers.succeeded), succeeded: peers.succeeded.max(1), ..peers };
            prop_assert_eq!(judge(&worker, &peers, &LIMITS), Health::Well);
        }

        /// The last worker stays, whatever it does.
        #[test]
        fn the_last_worker_stays((worker, peers) in facts()) {
            prop_assert_eq!(judge(&worker, &PeerFacts { workers: 0, ..peers }, &LIMITS), Health::Well);
        }

        /// More failures refuted never make a worker look better, more successes never worse.
        #[test]
        fn evidence_counts_one_way((worker, peers) in facts()) {
            let worker = WorkerFacts { full: 0, ..worker };
            let worse = WorkerFacts { failed: worker.failed + 1, refuted: worker.refuted + 1, ..worker };
            let better = WorkerFacts { succeeded: worker.succeeded + 1, ..worker };
            let sick = |w: &WorkerFacts| judge(w, &peers, &LIMITS) == Health::Sick;
            prop_assert!(!sick(&worker) || sick(&worse));
            prop_assert!(sick(&worker) || !sick(&better));
        }
    }
}
