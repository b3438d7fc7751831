//! How workers do, in memory: what failed in whom, and who made up for it. The leader asks the rule of quarantine with
//! these facts. All of it can be lost: it gathers again from the next reports.
use protocol::failure::ErrorClass;
use protocol::id::{UnitId, WorkerId};
use protocol::rules::quarantine::{Health, PeerFacts, QuarantineLimits, WorkerFacts, judge};
use protocol::wire::report::{Outcome, UnitResult};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

/// Outcomes of a worker that are remembered.
const WINDOW: usize = 4_096;
/// Failed units that are remembered.
const FAILED_MAX: usize = 20_000;
/// Reason code of a disk without space.
const FULL: &str = "destination_full";

/// One execution that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Failed {
    epoch: u32,
    full: bool,
}

/// The last outcomes of a worker, oldest first: the unit when it failed.
#[derive(Debug, Default)]
struct Recent {
    outcomes: VecDeque<Option<UnitId>>,
    succeeded: u32,
}

/// What is remembered.
#[derive(Debug, Default)]
pub struct Wards {
    workers: BTreeMap<WorkerId, Recent>,
    /// By unit: in whom it failed, and in whom it succeeded after that.
    failed: HashMap<UnitId, (BTreeMap<WorkerId, Failed>, Option<WorkerId>)>,
    order: VecDeque<UnitId>,
    limits: QuarantineLimits,
}

/// A worker that should take no more work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The worker.
    pub worker: WorkerId,
    /// Why, for people.
    pub reason: String,
    /// Whether it lacks disk space, which another worker may find of the same destination.
    pub no_space: bool,
    /// Executions that failed in it, to be refunded.
    pub failed: Vec<(UnitId, u32)>,
}

impl Wards {
    /// Takes outcomes as they were reported: a late one is evidence too.
    pub fn note(&mut self, outcomes: &[Outcome]) {
        for outcome in outcomes {
            match verdict(&outcome.result) {
                None => {}
                Some(Verdict::Well) => self.well(&outcome.worker, outcome.unit),
                Some(Verdict::Failed { full }) => {
                    let failed = Failed { epoch: outcome.epoch, full };
                    self.badly(&outcome.worker, outcome.unit, failed);
                }
            }
        }
    }

    fn remember(&mut self, worker: &WorkerId, outcome: Option<UnitId>) {
        // Most outcomes are of a worker that is known: no name is copied for them.
        let recent = match self.workers.get_mut(worker) {
            Some(recent) => recent,
            None => self.workers.entry(worker.clone()).or_default(),
        };
        recent.succeeded += u32::from(outcome.is_none());
        recent.outcomes.push_back(outcome);
        if recent.outcomes.len() > WINDOW
            && let Some(None) = recent.outcomes.pop_front()
        {
            recent.succeeded -= 1;
        }
    }

    fn well(&mut self, worker: &WorkerId, unit: UnitId) {
        self.remember(worker, None);
        if !self.failed.is_empty()
            && let Some((failed_in, made_up)) = self.failed.get_mut(&unit)
            && !failed_in.contains_key(worker)
        {
            *made_up = Some(worker.clone());
        }
    }

    fn badly(&mut self, worker: &WorkerId, unit: UnitId, failed: Failed) {
        self.remember(worker, Some(unit));
        let known = self.failed.contains_key(&unit);
        self.failed.entry(unit).or_default().0.insert(worker.clone(), failed);
        if !known {
            self.order.push_back(unit);
        }
        if self.order.len() > FAILED_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.failed.remove(&oldest);
        }
    }

    /// Whether anything failed that has not been forgotten.
    pub fn has_failures(&self) -> bool {
        !self.failed.is_empty()
    }

    /// What is to be said of workers. `taking` are those that live and take work; only they are judged.
    pub fn findings(&self, taking: &BTreeSet<WorkerId>) -> Vec<Finding> {
        if self.failed.is_empty() {
            return Vec::new();
        }
        let mut left = taking.clone();
        let mut findings = Vec::new();
        for worker in taking {
            let (own, failed) = self.facts(worker);
            let peers = self.peers(worker, &left);
            let health = judge(&own, &peers, &self.limits);
            let reason = match health {
                Health::Well => continue,
                Health::NoSpace => "it has no disk space; free some, then release it".to_owned(),
                Health::Sick => format!(
                    "{} units failed in it, {} of them went well elsewhere; {} went well in it",
                    own.failed, own.refuted, own.succeeded
                ),
            };
            left.remove(worker);
            let no_space = health == Health::NoSpace;
            findings.push(Finding { worker: worker.clone(), reason, no_space, failed });
        }
        findings
    }

    fn facts(&self, worker: &WorkerId) -> (WorkerFacts, Vec<(UnitId, u32)>) {
        let (mut facts, mut failed) = (WorkerFacts::default(), Vec::new());
        let Some(recent) = self.workers.get(worker) else { return (facts, failed) };
        facts.succeeded = recent.succeeded;
        let units: BTreeSet<UnitId> = recent.outcomes.iter().flatten().copied().collect();
        for unit in units {
            let Some((failed_in, made_up)) = self.failed.get(&unit) else { continue };
            let Some(own) = failed_in.get(worker) else { continue };
            facts.failed += 1;
            facts.refuted += u32::from(made_up.is_some());
            facts.full += u32::from(own.full);
            failed.push((unit, own.epoch));
        }
        (facts, failed)
    }

    fn peers(&self, worker: &WorkerId, taking: &BTreeSet<WorkerId>) -> PeerFacts {
        let mut facts = PeerFacts::default();
        for peer in taking.iter().filter(|peer| *peer != worker) {
            let (of, _) = self.facts(peer);
            facts.workers += 1;
            facts.failed += of.failed;
            facts.succeeded += of.succeeded;
        }
        facts.full = self.failed.values().any(|(failed_in, _)| {
            failed_in.get(worker).is_some_and(|own| own.full)
                && failed_in.iter().any(|(other, f)| other != worker && f.full)
        });
        facts
    }

    /// Workers that had no disk space for a unit for which another had none either: the destination is full, not they.
    pub fn exonerated(&self) -> BTreeSet<WorkerId> {
        let shared = self.failed.values().filter(|(failed_in, _)| failed_in.values().filter(|f| f.full).count() > 1);
        shared.flat_map(|(failed_in, _)| failed_in.iter().filter(|(_, f)| f.full).map(|(w, _)| w.clone())).collect()
    }

    /// Forgets a worker: it is put aside, gone, or released and starts afresh.
    pub fn forget(&mut self, worker: &WorkerId) {
        self.workers.remove(worker);
        self.failed.retain(|_, (failed_in, _)| {
            failed_in.remove(worker);
            !failed_in.is_empty()
        });
        let failed = &self.failed;
        self.order.retain(|unit| failed.contains_key(unit));
    }
}

enum Verdict {
    Well,
    Failed { full: bool },
}

/// What an outcome says of its worker. An asset that fails for good speaks against itself, an endpoint that throttles
/// against nobody.
fn verdict(result: &UnitResult) -> Option<Verdict> {
    let speaks = |class: ErrorClass| matches!(class, ErrorClass::Transient | ErrorClass::Ambiguous);
    match result {
        UnitResult::Failed(failure) => (!matches!(failure.class, ErrorClass::Throttled { .. }))
            .then(|| Verdict::Failed { full: failure.reason == FULL }),
        UnitResult::Finished { failures, .. } => {
            let counted: Vec<_> = failures.iter().filter(|(_, failure)| speaks(failure.class)).collect();
            match counted.is_empty() {
                true if failures.is_empty() => Some(Verdict::Well),
                true => None,
                false => Some(Verdict::Failed { full: counted.iter().any(|(_, failure)| failure.reason == FULL) }),
            }
        }
        UnitResult::Cut(_) | UnitResult::Sliced(_) => Some(Verdict::Well),
        UnitResult::Returned | UnitResult::Cancelled | UnitResult::Listed { .. } | UnitResult::Waiting { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::failure::Failure;
    use protocol::id::{JobNo, StepNo};

    fn outcome(worker: &str, part: i64, reason: Option<&str>) -> Outcome {
        let result = match reason {
            Some(reason) => UnitResult::Failed(Failure::transient(reason, "m")),
            None => UnitResult::Finished { facts: Vec::new(), failures: Vec::new() },
        };
        let unit = UnitId { job: JobNo(1), step: StepNo(0), part };
        Outcome { unit, epoch: 1, worker: WorkerId(worker.into()), result, duration_us: 1 }
    }

    fn taking(names: &[&str]) -> BTreeSet<WorkerId> {
        names.iter().map(|name| WorkerId((*name).into())).collect()
    }

    fn found(wards: &Wards, names: &[&str]) -> Vec<String> {
        wards.findings(&taking(names)).into_iter().map(|finding| finding.worker.0).collect()
    }

    #[test]
    fn what_fails_in_one_and_goes_well_in_another_speaks_against_the_one() {
        let mut wards = Wards::default();
        for part in 0..20 {
            wards.note(&[outcome("sick", part, Some("tool_failed"))]);
            wards.note(&[outcome("well", part, None), outcome("well", part + 100, None)]);
        }
        assert_eq!(found(&wards, &["sick", "well"]), ["sick"]);
        assert_eq!(found(&wards, &["sick"]), Vec::<String>::new(), "the last one goes on");
        let finding = wards.findings(&taking(&["sick", "well"])).remove(0);
        assert_eq!(finding.failed.len(), 20);
        wards.forget(&WorkerId("sick".into()));
        assert_eq!(found(&wards, &["sick", "well"]), Vec::<String>::new());
    }

    #[test]
    fn bad_units_fail_everywhere_and_make_nobody_sick() {
        let mut wards = Wards::default();
        for part in 0..50 {
            wards.note(&[outcome("a", part, Some("tool_failed")), outcome("b", part, Some("tool_failed"))]);
        }
        assert_eq!(found(&wards, &["a", "b"]), Vec::<String>::new());
    }

    #[test]
    fn a_full_disk_is_its_worker_s_until_another_finds_the_same() {
        let mut wards = Wards::default();
        wards.note(&[outcome("a", 1, Some(FULL))]);
        assert_eq!(found(&wards, &["a", "b"]), ["a"]);
        wards.note(&[outcome("b", 1, Some(FULL))]);
        assert_eq!(found(&wards, &["a", "b"]), Vec::<String>::new(), "the destination is full");
        assert_eq!(wards.exonerated(), taking(&["a", "b"]));
    }

    #[test]
    fn memory_is_bounded() {
        let mut wards = Wards::default();
        for part in 0..FAILED_MAX as i64 + 500 {
            wards.note(&[outcome("a", part, Some("r"))]);
        }
        assert_eq!((wards.failed.len(), wards.order.len()), (FAILED_MAX, FAILED_MAX));
        assert_eq!(wards.workers[&WorkerId("a".into())].outcomes.len(), WINDOW);
    }
}
