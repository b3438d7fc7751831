//! In-memory evidence for quarantine: which units failed on a worker and later succeeded on another. The leader asks the rule
//! of quarantine with these facts. All of it can be lost: later reports rebuild it.
mod tally;

use crate::leader::memory::worker_health::tally::{Bounds, Tally};
use protocol::failure::ErrorClass;
use protocol::id::{Execution, Kind, WorkerId};
use protocol::rules::worker::quarantine::{
    Health, PeerFacts, QuarantineLimits, WorkerFacts, assess,
};
use protocol::time::Timestamp;
use protocol::wire::report::{Outcome, UnitResult};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Outcomes of a worker that are remembered.
const WINDOW: u32 = 4_096;
/// Failed units that are remembered.
const FAILED_MAX: usize = 20_000;
/// Time between two checks without news: other evidence changes a verdict slowly.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Reason code of a disk without space.
const FULL: &str = "destination_full";

/// Evidence about workers.
#[derive(Debug)]
pub struct WorkerHealth {
    tally: Tally,
    limits: QuarantineLimits,
    /// New evidence may speak against a worker.
    news: bool,
    looked_at: Timestamp,
}

impl Default for WorkerHealth {
    fn default() -> WorkerHealth {
        let limits = QuarantineLimits::default();
        let bounds = Bounds {
            window: WINDOW,
            units: FAILED_MAX,
            kept: limits.failure_kept,
        };
        WorkerHealth {
            tally: Tally::new(bounds),
            limits,
            news: false,
            looked_at: Timestamp::default(),
        }
    }
}

/// Advice to quarantine a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuarantineAdvice {
    /// Incarnation of the worker.
    pub worker: WorkerId,
    /// The reason, for operators.
    pub reason: String,
    /// Whether it lacks disk space, which another worker may find of the same destination.
    pub no_space: bool,
    /// Executions that failed in it, to be refunded.
    pub failed: Vec<Execution>,
}

impl WorkerHealth {
    /// Takes reported outcomes in; a late one is evidence too.
    pub fn note(&mut self, outcomes: &[Outcome], now: Timestamp) {
        for outcome in outcomes {
            match verdict(&outcome.result) {
                None => {}
                Some(Verdict::Well) => {
                    self.news |= self.tally.succeeded(&outcome.worker, outcome.unit)
                }
                Some(Verdict::Failed { full }) => {
                    self.news = true;
                    self.tally
                        .failed(&outcome.worker, outcome.unit, outcome.epoch, full, now);
                }
            }
        }
    }

    /// Whether workers are to be looked at now: at once when something new speaks against one, else once in a while.
    pub fn is_due(&mut self, now: Timestamp) -> bool {
        let due = std::mem::take(&mut self.news) || now.since(self.looked_at) >= LOOK_EVERY;
        if due {
            self.looked_at = now;
        }
        due
    }

    /// Forgets workers that are gone and failures of long ago.
    pub fn keep(&mut self, is_known: impl Fn(&WorkerId) -> bool, now: Timestamp) {
        self.tally.keep(is_known);
        self.tally.forget_old(now);
    }

    /// Whether anything failed that has not been forgotten.
    pub fn has_failures(&self) -> bool {
        self.tally.has_failures()
    }

    /// Workers to quarantine. Only `taking`, the workers that live and take work, are judged; with each the kinds for which
    /// it has slots.
    pub fn advice(&self, taking: &BTreeMap<WorkerId, Vec<Kind>>) -> Vec<QuarantineAdvice> {
        if !self.has_failures() {
            return Vec::new();
        }
        let facts: Vec<(&WorkerId, &[Kind], WorkerFacts)> = taking
            .iter()
            .map(|(worker, kinds)| (worker, kinds.as_slice(), self.tally.facts(worker)))
            .collect();
        let mut of_kind: BTreeMap<Kind, u32> = BTreeMap::new();
        taking
            .values()
            .flatten()
            .for_each(|kind| *of_kind.entry(*kind).or_default() += 1);
        let mut left = facts
            .iter()
            .fold(PeerFacts::default(), |sum, (_, _, own)| PeerFacts {
                workers: 0,
                failed: sum.failed.saturating_add(own.failed),
                succeeded: sum.succeeded.saturating_add(own.succeeded),
                full: false,
            });
        let mut advice = Vec::new();
        // Nothing speaks against a worker in which nothing failed.
        for (worker, kinds, own) in facts.into_iter().filter(|(_, _, own)| own.failed > 0) {
            let others = PeerFacts {
                workers: kinds
                    .iter()
                    .map(|kind| of_kind.get(kind).map_or(0, |n| n.saturating_sub(1)))
                    .min()
                    .unwrap_or(0),
                failed: left.failed.saturating_sub(own.failed),
                succeeded: left.succeeded.saturating_sub(own.succeeded),
                full: self.tally.shares_full(worker),
            };
            // The rule reads this sum only for workers without a success.
            let alone = if own.succeeded == 0 {
                self.tally.alone(worker, &self.limits)
            } else {
                0
            };
            let health = assess(&WorkerFacts { alone, ..own }, &others, &self.limits);
            let reason = match health {
                Health::Well => continue,
                Health::NoSpace => "it has no disk space; free some, then release it".to_owned(),
                Health::Sick => format!(
                    "{} units failed in it, {} of them went well elsewhere; {} went well in it",
                    own.failed, own.refuted, own.succeeded
                ),
            };
            left = PeerFacts {
                full: false,
                ..others
            };
            kinds
                .iter()
                .for_each(|kind| *of_kind.entry(*kind).or_default() -= 1);
            let (no_space, failed) = (health == Health::NoSpace, self.tally.failures(worker));
            advice.push(QuarantineAdvice {
                worker: worker.clone(),
                reason,
                no_space,
                failed,
            });
        }
        advice
    }

    /// Workers that had no disk space for a unit for which another had none either: the destination is full, not they.
    pub fn exonerated(&self) -> BTreeSet<WorkerId> {
        self.tally.sharing_full().cloned().collect()
    }

    /// Forgets a worker: it is put aside, gone, or released and starts afresh.
    pub fn forget(&mut self, worker: &WorkerId) {
        self.tally.forget(worker);
    }
}

enum Verdict {
    Well,
    Failed { full: bool },
}

/// What an outcome says of its worker. An asset that fails for good speaks against itself, an endpoint that throttles
/// against no worker.
fn verdict(result: &UnitResult) -> Option<Verdict> {
    let speaks = |class: ErrorClass| matches!(class, ErrorClass::Transient | ErrorClass::Ambiguous);
    match result {
        UnitResult::Failed(failure) => (!matches!(failure.class, ErrorClass::Throttled { .. }))
            .then(|| Verdict::Failed {
                full: failure.reason == FULL,
            }),
        UnitResult::Finished { failures, .. } => {
            let counted: Vec<_> = failures
                .iter()
                .filter(|(_, failure)| speaks(failure.class))
                .collect();
            match counted.is_empty() {
                true if failures.is_empty() => Some(Verdict::Well),
                true => None,
                false => Some(Verdict::Failed {
                    full: counted.iter().any(|(_, failure)| failure.reason == FULL),
                }),
            }
        }
        UnitResult::UploadsBegun(_) | UnitResult::Sliced(_) => Some(Verdict::Well),
        UnitResult::Returned
        | UnitResult::Cancelled
        | UnitResult::Listed { .. }
        | UnitResult::Waiting { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::failure::Failure;
    use protocol::id::UnitId;
    use protocol::id::{JobNo, StepNo};

    fn outcome(worker: &str, part: i64, reason: Option<&str>) -> Outcome {
        let result = match reason {
            Some(reason) => UnitResult::Failed(Failure::transient(reason, "m")),
            None => UnitResult::Finished {
                facts: Vec::new(),
                failures: Vec::new(),
            },
        };
        let unit = UnitId::new(JobNo(1), StepNo(0), part);
        Outcome {
            unit,
            epoch: 1,
            worker: WorkerId(worker.into()),
            result,
            duration_us: 1,
        }
    }

    fn taking(names: &[&str]) -> BTreeMap<WorkerId, Vec<Kind>> {
        names
            .iter()
            .map(|name| (WorkerId((*name).into()), vec![Kind::Noop]))
            .collect()
    }

    fn found(health: &WorkerHealth, names: &[&str]) -> Vec<String> {
        health
            .advice(&taking(names))
            .into_iter()
            .map(|finding| finding.worker.0)
            .collect()
    }

    #[test]
    fn what_fails_in_one_and_goes_well_in_another_speaks_against_the_one() {
        let mut health = WorkerHealth::default();
        for part in 0..20 {
            health.note(&[outcome("sick", part, Some("tool_failed"))], Timestamp(1));
            health.note(
                &[
                    outcome("well", part, None),
                    outcome("well", part + 100, None),
                ],
                Timestamp(1),
            );
        }
        assert_eq!(found(&health, &["sick", "well"]), ["sick"]);
        assert_eq!(
            found(&health, &["sick"]),
            Vec::<String>::new(),
            "the last worker keeps its units"
        );
        let finding = health.advice(&taking(&["sick", "well"])).remove(0);
        assert_eq!(finding.failed.len(), 20);
        health.forget(&WorkerId("sick".into()));
        assert_eq!(found(&health, &["sick", "well"]), Vec::<String>::new());
    }

    #[test]
    fn bad_units_fail_everywhere_and_make_nobody_sick() {
        let mut health = WorkerHealth::default();
        for part in 0..50 {
            health.note(
                &[
                    outcome("a", part, Some("tool_failed")),
                    outcome("b", part, Some("tool_failed")),
                ],
                Timestamp(1),
            );
        }
        assert_eq!(found(&health, &["a", "b"]), Vec::<String>::new());
    }

    /// One worker takes most of a job in which everything fails; the others do well in another job.
    #[test]
    fn job_in_which_everything_fails_makes_no_worker_sick() {
        let mut health = WorkerHealth::default();
        let of_job = |job, outcome: Outcome| Outcome {
            unit: UnitId {
                job: JobNo(job),
                ..outcome.unit
            },
            ..outcome
        };
        for part in 0..5_000 {
            health.note(
                &[of_job(2, outcome("a", part, Some("noop_failed")))],
                Timestamp(1),
            );
            health.note(&[outcome("b", part, None)], Timestamp(1));
        }
        assert_eq!(found(&health, &["a", "b"]), Vec::<String>::new());
        for part in 5_000..5_012 {
            health.note(&[outcome("a", part, Some("tool_failed"))], Timestamp(1));
        }
        assert_eq!(
            found(&health, &["a", "b"]),
            ["a"],
            "the same step goes well in the other"
        );
        health.note(&[outcome("b", 5_000, Some("tool_failed"))], Timestamp(1));
        assert_eq!(
            found(&health, &["a", "b"]),
            Vec::<String>::new(),
            "a unit that fails in both is no evidence"
        );
    }

    #[test]
    fn last_worker_of_a_kind_stays() {
        let mut health = WorkerHealth::default();
        for part in 0..20 {
            health.note(
                &[
                    outcome("sick", part, Some("tool_failed")),
                    outcome("well", part, None),
                ],
                Timestamp(1),
            );
        }
        let kinds = |sick: &[Kind], well: &[Kind]| {
            BTreeMap::from([
                (WorkerId("sick".into()), sick.to_vec()),
                (WorkerId("well".into()), well.to_vec()),
            ])
        };
        let both = [Kind::Scan, Kind::Noop];
        assert_eq!(
            health.advice(&kinds(&both, &[Kind::Noop])),
            [],
            "nothing else lists libraries"
        );
        assert_eq!(health.advice(&kinds(&both, &both)).len(), 1);
        assert_eq!(health.advice(&kinds(&[Kind::Noop], &both)).len(), 1);
    }

    #[test]
    fn a_full_disk_is_its_worker_s_until_another_finds_the_same() {
        let mut health = WorkerHealth::default();
        health.note(&[outcome("a", 1, Some(FULL))], Timestamp(1));
        assert_eq!(found(&health, &["a", "b"]), ["a"]);
        health.note(&[outcome("b", 1, Some(FULL))], Timestamp(1));
        assert_eq!(
            found(&health, &["a", "b"]),
            Vec::<String>::new(),
            "the destination is full"
        );
        assert_eq!(
            health.exonerated(),
            taking(&["a", "b"]).into_keys().collect()
        );
    }

    /// Case 76, and what a thousand workers cost: counted, since a clock says more of the machine.
    #[test]
    fn a_look_at_a_thousand_workers_reads_a_thousand_sums() {
        const WORKERS: u64 = 1_000;
        let mut health = WorkerHealth::default();
        let name = |no: u64| format!("w{no:04}");
        let well: Vec<Outcome> = (0..200)
            .map(|part| outcome("", 1_000_000 + part, None))
            .collect();
        for no in 0..WORKERS {
            let own = well.iter().cloned().map(|outcome| Outcome {
                worker: WorkerId(name(no)),
                ..outcome
            });
            health.note(&own.collect::<Vec<_>>(), Timestamp(1));
        }
        for part in 0..10_000 {
            health.note(
                &[outcome(
                    &name(part % WORKERS),
                    part as i64,
                    Some("tool_failed"),
                )],
                Timestamp(1),
            );
        }
        let taking: BTreeMap<WorkerId, Vec<Kind>> = (0..WORKERS)
            .map(|no| (WorkerId(name(no)), vec![Kind::Noop]))
            .collect();
        health.tally.looks.set(0);
        assert_eq!(health.advice(&taking), []);
        assert_eq!(
            health.tally.looks.get(),
            WORKERS,
            "one sum a worker, whatever it remembers"
        );
        health.tally.looks.set(0);
        health.note(&well, Timestamp(1));
        assert!(
            health.tally.looks.get() <= 3 * 200,
            "{} for 200 successes",
            health.tally.looks.get()
        );
        // 300 of them die: what they did is forgotten, and so is what failed in them.
        health.keep(|worker| worker.0 >= name(300), Timestamp(1));
        assert_eq!(
            health.tally.facts(&WorkerId(name(299))),
            WorkerFacts::default()
        );
        assert_eq!(health.tally.facts(&WorkerId(name(300))).failed, 10);
    }

    #[test]
    fn workers_are_looked_at_when_there_is_news_and_once_in_a_while() {
        let (mut health, at) = (WorkerHealth::default(), |seconds: i64| {
            Timestamp(seconds * 1_000_000)
        });
        assert!(health.is_due(at(100)) && !health.is_due(at(101)));
        health.note(&[outcome("a", 1, None)], at(101));
        assert!(
            !health.is_due(at(101)),
            "a success that refutes nothing is no news"
        );
        health.note(&[outcome("a", 2, Some("tool_failed"))], at(101));
        assert!(health.is_due(at(101)) && !health.is_due(at(101)));
        health.note(&[outcome("b", 2, None)], at(102));
        assert!(health.is_due(at(102)), "a failure is refuted");
        assert!(!health.is_due(at(106)) && health.is_due(at(107)));
    }
}
