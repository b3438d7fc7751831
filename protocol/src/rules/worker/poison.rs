//! Distinguishes units that kill their workers from units that were only lost together with them.
//!
//! A worker that stops sending heartbeats loses all its units, so a loss is evidence against each of them. One loss has no
//! effect. Two losses below the limit a unit runs isolated: no other unit runs in its worker, so the next losses concern
//! only this unit. Two isolated losses are required, since one can be chance where machines fail often. Then the unit is
//! parked. A poison unit kills exactly as many workers as the limit; an innocent one passes its isolated execution.
use std::collections::BTreeSet;

/// Isolated losses that prove a poison unit. In half an hour of random kills, one innocent unit in 150,000 had two shared
/// losses and one isolated loss.
const PROOFS: usize = 2;

/// Limits of losses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoisonLimits {
    /// Different workers a unit may kill before it is parked; at least 3.
    pub workers_max: u32,
    /// Losses without a worker before a unit is parked: its message or its reports cannot be read. A server that loses
    /// messages, or a report during the search for the unit, causes a few.
    pub vanished_max: u32,
}

impl Default for PoisonLimits {
    fn default() -> PoisonLimits {
        PoisonLimits {
            workers_max: 4,
            vanished_max: 12,
        }
    }
}

impl PoisonLimits {
    /// Number of losses from which a unit runs isolated.
    pub fn suspect_at(&self) -> u32 {
        self.workers_max.max(3) - 2
    }
}

/// The loss of a worker that held the unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// Incarnation of the worker; empty when no worker held the unit.
    pub worker: String,
    /// Whether the unit ran isolated.
    pub alone: bool,
}

/// Assessment of a unit by its losses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suspicion {
    /// The losses have no effect.
    None,
    /// The next execution is isolated.
    RunAlone,
    /// The unit is parked as poison.
    Poison,
    /// The unit is parked because repeated dispatches gave no report.
    Vanishes,
}

/// Assesses a unit by its losses. The same worker counts once.
pub fn assess(losses: &[Loss], limits: &PoisonLimits) -> Suspicion {
    let workers = |alone: bool| -> BTreeSet<&str> {
        let with = losses.iter().filter(|loss| !loss.worker.is_empty());
        with.filter(|loss| loss.alone || !alone)
            .map(|loss| loss.worker.as_str())
            .collect()
    };
    let killed = u32::try_from(workers(false).len()).unwrap_or(u32::MAX);
    let proven = workers(true).len() >= PROOFS;
    let vanished = losses.iter().filter(|loss| loss.worker.is_empty()).count();
    if vanished >= limits.vanished_max.max(1) as usize {
        Suspicion::Vanishes
    } else if killed >= limits.workers_max.max(3) && proven {
        Suspicion::Poison
    } else if killed >= limits.suspect_at() {
        Suspicion::RunAlone
    } else {
        Suspicion::None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn loss(worker: &str, alone: bool) -> Loss {
        Loss {
            worker: worker.into(),
            alone,
        }
    }

    #[test]
    fn losses_count_by_worker_and_need_isolated_proof() {
        let limits = PoisonLimits::default();
        let mut losses = vec![loss("a", false), loss("a", false)];
        assert_eq!(assess(&losses, &limits), Suspicion::None);
        losses.push(loss("b", false));
        assert_eq!(assess(&losses, &limits), Suspicion::RunAlone);
        losses.push(loss("c", false));
        assert_eq!(
            assess(&losses, &limits),
            Suspicion::RunAlone,
            "in company it may have been another"
        );
        losses.push(loss("d", true));
        losses.push(loss("d", true));
        assert_eq!(
            assess(&losses, &limits),
            Suspicion::RunAlone,
            "that one may have been about to die"
        );
        losses.push(loss("e", true));
        assert_eq!(assess(&losses, &limits), Suspicion::Poison);
    }

    #[test]
    fn unit_that_vanishes_repeatedly_is_parked() {
        let limits = PoisonLimits {
            vanished_max: 3,
            ..PoisonLimits::default()
        };
        let mut losses = vec![loss("", false), loss("a", false), loss("", false)];
        assert_eq!(assess(&losses, &limits), Suspicion::None);
        losses.push(loss("", false));
        assert_eq!(assess(&losses, &limits), Suspicion::Vanishes);
    }

    proptest! {
        /// For any mix of units: no innocent unit is parked, every poison unit is, and each of those has killed
        /// exactly as many workers as the limit says.
        #[test]
        fn only_poison_units_are_parked(poison in prop::collection::vec(any::<bool>(), 1..24), slots in 1usize..8, max in 3u32..6, seed in any::<u64>()) {
            let limits = PoisonLimits { workers_max: max, ..PoisonLimits::default() };
            let mut losses: Vec<Vec<Loss>> = vec![Vec::new(); poison.len()];
            let mut open: Vec<usize> = (0..poison.len()).collect();
            let (mut workers, mut lot) = (0u64, seed);
            while !open.is_empty() {
                lot = lot.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let first = open[(lot >> 33) as usize % open.len()];
                let alone = assess(&losses[first], &limits) == Suspicion::RunAlone;
                // A worker takes one suspect and nothing else, or anything that is no suspect.
                let taken: Vec<usize> = if alone {
                    vec![first]
                } else {
                    let free = |unit: &&usize| assess(&losses[**unit], &limits) == Suspicion::None;
                    let others = open.iter().filter(|unit| **unit != first).filter(free);
                    others.take(slots - 1).copied().chain([first]).collect()
                };
                workers += 1;
                let dies = taken.iter().any(|unit| poison[*unit]);
                for unit in taken {
                    if dies {
                        losses[unit].push(loss(&workers.to_string(), alone));
                        if assess(&losses[unit], &limits) == Suspicion::Poison {
                            prop_assert!(poison[unit], "unit {} is innocent", unit);
                            prop_assert_eq!(losses[unit].len() as u32, max);
                            open.retain(|other| *other != unit);
                        }
                    } else {
                        open.retain(|other| *other != unit);
                    }
                }
                prop_assert!(workers < 1_000, "it never ends");
            }
            for (unit, lost) in losses.iter().enumerate() {
                prop_assert_eq!(assess(lost, &limits) == Suspicion::Poison, poison[unit]);
            }
        }
    }
}
