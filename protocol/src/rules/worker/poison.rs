//! Units that kill the workers they run in, told from units that only were there when it happened.
//!
//! A worker that falls silent takes everything in its hand down with it, so a loss is evidence against all of that. One
//! kill says little and costs nobody anything. What was lost with two workers less than it takes runs *alone* from then on:
//! nothing else runs in its worker meanwhile, so that the next losses speak of this unit and no other. Two of them: where
//! machines go away all the time, one is chance. Only then is it parked. A poison unit has killed exactly as many workers
//! as the limit says; an innocent one comes through its run alone.
use std::collections::BTreeSet;

/// Workers lost with a unit alone that prove it. In half an hour of random kills, one innocent unit in 150,000 was lost
/// with two workers in company and with one alone.
const PROOFS: usize = 2;

/// Limits of suspicion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoisonLimits {
    /// Different workers a unit may kill before it is parked; at least 3.
    pub workers_max: u32,
    /// Times a unit may be lost while no worker held it before it is parked: its message or its reports cannot be read. A
    /// server that loses messages, or a worker that reports while it is looked for, costs a few.
    pub vanished_max: u32,
}

impl Default for PoisonLimits {
    fn default() -> PoisonLimits {
        PoisonLimits { workers_max: 4, vanished_max: 12 }
    }
}

impl PoisonLimits {
    /// Losses from which on a unit runs alone.
    pub fn suspect_at(&self) -> u32 {
        self.workers_max.max(3) - 2
    }
}

/// A worker lost with the unit in hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// The worker: one incarnation. Empty when none held the unit.
    pub worker: String,
    /// Whether nothing else ran in it.
    pub alone: bool,
}

/// What losses say of a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suspicion {
    /// Not enough to treat it differently.
    None,
    /// It runs alone next.
    RunAlone,
    /// It is parked.
    Poison,
    /// It is parked: it is handed out again and again, and nothing is ever heard of it.
    Vanishes,
}

/// Judges a unit by its losses. The same worker lost twice counts once.
pub fn judge(losses: &[Loss], limits: &PoisonLimits) -> Suspicion {
    let workers = |alone: bool| -> BTreeSet<&str> {
        let with = losses.iter().filter(|loss| !loss.worker.is_empty());
        with.filter(|loss| loss.alone || !alone).map(|loss| loss.worker.as_str()).collect()
    };
    let killed = u32::try_from(workers(false).len()).unwrap_or(u32::MAX);
    let proven = workers(true).len() >= PROOFS;
    let vanished = losses.iter().filter(|loss| loss.worker.is_empty()).count();
    match () {
        () if vanished >= limits.vanished_max.max(1) as usize => Suspicion::Vanishes,
        () if killed >= limits.workers_max.max(3) && proven => Suspicion::Poison,
        () if killed >= limits.suspect_at() => Suspicion::RunAlone,
        () => Suspicion::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn loss(worker: &str, alone: bool) -> Loss {
        Loss { worker: worker.into(), alone }
    }

    #[test]
    fn kills_are_counted_by_worker_and_proven_alone() {
        let limits = PoisonLimits::default();
        let mut losses = vec![loss("a", false), loss("a", false)];
        assert_eq!(judge(&losses, &limits), Suspicion::None);
        losses.push(loss("b", false));
        assert_eq!(judge(&losses, &limits), Suspicion::RunAlone);
        losses.push(loss("c", false));
        assert_eq!(judge(&losses, &limits), Suspicion::RunAlone, "in company it may have been another");
        losses.push(loss("d", true));
        losses.push(loss("d", true));
        assert_eq!(judge(&losses, &limits), Suspicion::RunAlone, "that one may have been about to die");
        losses.push(loss("e", true));
        assert_eq!(judge(&losses, &limits), Suspicion::Poison);
    }

    #[test]
    fn unit_that_vanishes_again_and_again_is_parked_and_kills_nobody() {
        let limits = PoisonLimits { vanished_max: 3, ..PoisonLimits::default() };
        let mut losses = vec![loss("", false), loss("a", false), loss("", false)];
        assert_eq!(judge(&losses, &limits), Suspicion::None);
        losses.push(loss("", false));
        assert_eq!(judge(&losses, &limits), Suspicion::Vanishes);
    }

    proptest! {
        /// Whatever runs beside whatever: no innocent unit is parked, every poison unit is, and each of those has killed
        /// exactly as many workers as the limit says.
        #[test]
        fn the_innocent_go_free(poison in prop::collection::vec(any::<bool>(), 1..24), slots in 1usize..8, max in 3u32..6, seed in any::<u64>()) {
            let limits = PoisonLimits { workers_max: max, ..PoisonLimits::default() };
            let mut losses: Vec<Vec<Loss>> = vec![Vec::new(); poison.len()];
            let mut open: Vec<usize> = (0..poison.len()).collect();
            let (mut workers, mut lot) = (0u64, seed);
            while !open.is_empty() {
                lot = lot.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let first = open[(lot >> 33) as usize % open.len()];
                let alone = judge(&losses[first], &limits) == Suspicion::RunAlone;
                // A worker takes one suspect and nothing else, or anything that is no suspect.
                let taken: Vec<usize> = if alone {
                    vec![first]
                } else {
                    let free = |unit: &&usize| judge(&losses[**unit], &limits) == Suspicion::None;
                    let others = open.iter().filter(|unit| **unit != first).filter(free);
                    others.take(slots - 1).copied().chain([first]).collect()
                };
                workers += 1;
                let dies = taken.iter().any(|unit| poison[*unit]);
                for unit in taken {
                    if dies {
                        losses[unit].push(loss(&workers.to_string(), alone));
                        if judge(&losses[unit], &limits) == Suspicion::Poison {
                            prop_assert!(poison[unit], "unit {} is innocent", unit);
                            prop_assert_eq!(losses[unit].len() as u32, max);
                            open.retain(|other| *other != unit);
                        }
                    } else {
                        open.retain(|other| *other != unit);
                    }
                }
                prop_assert!(workers < 1_000, "it goes on for ever");
            }
            for (unit, lost) in losses.iter().enumerate() {
                prop_assert_eq!(judge(lost, &limits) == Suspicion::Poison, poison[unit]);
            }
        }
    }
}
