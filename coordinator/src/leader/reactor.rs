//! One function per event of a leader. `on_<event>` changes the memory; the functions that take a transaction run inside of
//! it, and their `on_<event>_committed` counterpart runs after the commit. The process and the simulator drive the same
//! reactor: they differ in who runs the transactions and who carries out what comes back.
pub mod adoption;
pub mod workers;

use crate::leader::engine::{Engine, Turn};
use crate::leader::memory::LeaderState;
use crate::leader::memory::lease_table::{Lapsed, Leases};
use crate::leader::memory::worker_health::QuarantineAdvice;
use crate::queue::Sent;
use crate::reconcile::rescuer::{self, LostWith, Reclaim, Taken};
use crate::reconcile::settlement::{self, PageTaken, Settled};
use crate::store::{StoreResult, Tx};
use parking_lot::Mutex;
use protocol::id::{Execution, JobNo, Kind, UnitId, WorkerId};
use protocol::rules::unit::lease::LeaseLimits;
use protocol::rules::worker::poison::PoisonLimits;
use protocol::time::Timestamp;
use protocol::wire::report::{Burial, Outcome, Report, ScanPage};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Pages of listings stored in one transaction.
const PAGES_MAX: usize = 8;

/// The decisions of a leader over its memory.
#[derive(Debug, Clone, Default)]
pub struct Reactor {
    /// What is handed out next; locked for the length of a transaction.
    pub engine: Arc<Mutex<Engine>>,
    /// What is out, who lives and how they do; locked for a look or a change.
    pub state: Arc<Mutex<LeaderState>>,
}

/// What the evidence says of workers.
#[derive(Debug, Default)]
pub struct HealthCheck {
    /// Workers that should take no more work.
    pub sick: Vec<QuarantineAdvice>,
    /// Workers in quarantine for a full disk that turned out to be a full destination.
    pub cleared: Vec<WorkerId>,
}

/// A page, and where its listing continues after it when that is a key.
pub type Listed = (ScanPage, Option<String>);

/// Reports of one kind that are dealt with together, in the order in which they came.
#[derive(Debug, Clone, PartialEq)]
pub enum Work {
    /// Ends of executions.
    Settle(Vec<Outcome>),
    /// Pages of listings.
    Store(Vec<Listed>),
    /// What a purge removed.
    Tombstones(UnitId, Vec<Burial>),
}

/// What a batch of reports asks for.
#[derive(Debug, Default)]
pub struct Sorted {
    /// What needs a transaction, in order.
    pub work: Vec<Work>,
    /// Reports that were refused: another worker than their sender is known to hold the unit.
    pub refused: u64,
}

/// Whether a report needs no transaction. Such reports come first: a worker must not fall silent because what others
/// report takes long to store (LEASE-1).
fn is_sign_of_life(report: &Report) -> bool {
    matches!(
        report,
        Report::Heartbeat(_) | Report::Isolated { .. } | Report::Progress(_)
    )
}

/// Groups reports that need a transaction, and leaves out the others. The order stays, for the pages of a scan come before
/// its end.
pub fn group(reports: impl IntoIterator<Item = Report>) -> Vec<Work> {
    let mut work: Vec<Work> = Vec::new();
    for report in reports {
        let page = match report {
            Report::Heartbeat(_) | Report::Isolated { .. } | Report::Progress(_) => continue,
            Report::Settled(outcome) => {
                match work.last_mut() {
                    Some(Work::Settle(outcomes)) => outcomes.push(outcome),
                    _ => work.push(Work::Settle(vec![outcome])),
                }
                continue;
            }
            Report::Buried { execution, burials } => {
                // Before the ends that came so far: they stay together.
                let at = work.len() - usize::from(matches!(work.last(), Some(Work::Settle(_))));
                work.insert(at, Work::Tombstones(execution.unit, burials));
                continue;
            }
            Report::Page { page, up_to } => (page, up_to),
        };
        match work.last_mut() {
            Some(Work::Store(pages)) if pages.len() < PAGES_MAX => pages.push(page),
            _ => work.push(Work::Store(vec![page])),
        }
    }
    work
}

/// Notes an end, and says whether a report is believed: not while another worker than its sender is known to hold the unit.
fn is_believed(leases: &mut Leases, sent: &Sent, now: Timestamp) -> bool {
    let (execution, worker, believed) = match (&sent.report, &sent.sender) {
        (Report::Settled(outcome), _) => (
            outcome.unit.execution(outcome.epoch),
            &outcome.worker,
            leases.ends(outcome, now),
        ),
        (Report::Page { page, .. }, Some(sender)) => {
            let execution = page.unit.execution(page.epoch);
            (execution, &**sender, leases.may_report(execution, sender))
        }
        (Report::Buried { execution, .. }, Some(sender)) => {
            (*execution, &**sender, leases.may_report(*execution, sender))
        }
        _ => return true,
    };
    if !believed {
        let unit = execution.unit;
        tracing::warn!(unit.id = %unit, worker.id = %worker, "another worker holds the unit: its report is not believed");
    }
    believed
}

impl Reactor {
    /// A batch of reports was read; the reading began at `read_at`, and `whole` when it held all there were. Heartbeats and
    /// progress are taken in at once.
    pub fn on_reports(
        &self,
        batch: Vec<Sent>,
        (read_at, whole): (Timestamp, bool),
        now: Timestamp,
    ) -> Sorted {
        let (heard, rest): (Vec<Sent>, Vec<Sent>) = batch
            .into_iter()
            .partition(|sent| is_sign_of_life(&sent.report));
        let mut state = self.state.lock();
        let LeaderState {
            leases, throughput, ..
        } = &mut *state;
        for sent in heard {
            match sent.report {
                Report::Heartbeat(beat) => leases.heard(&beat, now),
                Report::Isolated { execution, worker } => {
                    leases.runs_alone(execution.unit, execution.epoch, &worker, now);
                }
                Report::Progress(moved) => throughput.on_progress(&moved, now),
                _ => {}
            }
        }
        let mut refused = 0;
        let believed = rest.into_iter().filter(|sent| {
            let believed = is_believed(leases, sent, now);
            refused += u64::from(!believed);
            believed
        });
        let work = group(believed.map(|sent| sent.report));
        leases.read_up_to(read_at, whole);
        Sorted { work, refused }
    }

    /// Workers reported ends: they are evidence of the workers' health, also when they come late.
    pub fn on_outcomes(&self, outcomes: &[Outcome], now: Timestamp) {
        self.state.lock().health.note(outcomes, now);
    }

    /// In a transaction: takes a turn. Executions in `ended` are over as far as room is counted.
    pub fn turn(&self, tx: &mut dyn Tx, ended: &[Outcome], now: Timestamp) -> StoreResult<Turn> {
        let (load, scans) = {
            let LeaderState { leases, outbox, .. } = &mut *self.state.lock();
            let mut load = leases.load_without(ended, now);
            if !outbox.is_empty() {
                // Units that wait for the transport go first; until then no more are handed out.
                load.kinds.clear();
            }
            (load, leases.scans_without(ended))
        };
        self.engine.lock().turn(tx, load, &scans, now)
    }

    /// In a transaction: settles ends and takes the turn they make room for.
    pub fn settle(
        &self,
        tx: &mut dyn Tx,
        outcomes: &[Outcome],
        now: Timestamp,
        jitter: &mut dyn FnMut() -> f64,
    ) -> StoreResult<(Settled, Turn)> {
        let workflows = self.engine.lock().workflows.clone();
        let settled = settlement::settle(tx, &workflows, outcomes.to_vec(), now, jitter)?;
        {
            let mut engine = self.engine.lock();
            if settled.multipart > 0 {
                engine.on_multipart_opened();
            }
            // Before the turn: it would hand out at once what has to wait.
            settled
                .scan_retries
                .iter()
                .for_each(|(job, at)| engine.scan_due(*job, *at));
        }
        Ok((settled, self.turn(tx, outcomes, now)?))
    }

    /// The transaction of a turn did not commit.
    pub fn on_rollback(&self) {
        self.engine.lock().rolled_back();
    }

    /// A turn has committed: the units that it claimed are out.
    pub fn on_turn_committed(&self, turn: &Turn, now: Timestamp) {
        self.state.lock().leases.published(&turn.units, now);
    }

    /// Ends have committed, and the turn that they made room for: these executions are out no more. Returns, for each that
    /// was out, its kind and how long it had waited for its start.
    pub fn on_ends_committed(
        &self,
        outcomes: &[Outcome],
        turn: &Turn,
        now: Timestamp,
    ) -> Vec<Option<(Kind, Duration)>> {
        let LeaderState {
            leases,
            throughput,
            unit_rates,
            ..
        } = &mut *self.state.lock();
        let known = outcomes
            .iter()
            .map(|outcome| leases.reported(outcome, now))
            .collect();
        leases.published(&turn.units, now);
        for outcome in outcomes {
            throughput.on_outcome(outcome, now);
            unit_rates.on_end(outcome.unit.job, now);
        }
        known
    }

    /// Executions that a turn calls back: those of jobs that are being cancelled, and those whose unit has ended. An
    /// execution that was called back already is not named again.
    pub fn called_back(&self, turn: &Turn, now: Timestamp) -> Vec<Execution> {
        self.state
            .lock()
            .leases
            .call_back(&turn.cancelling, &turn.obsolete, now)
    }

    /// In a transaction: stores pages of listings.
    pub fn store_pages(&self, tx: &mut dyn Tx, pages: &[Listed]) -> StoreResult<Vec<PageTaken>> {
        let workflows = self.engine.lock().workflows.clone();
        pages
            .iter()
            .map(|(page, up_to)| settlement::page(tx, &workflows, page, up_to.as_deref()))
            .collect()
    }

    /// Pages have committed. A scan of which pages are lost is over, and begins again after the last page that was stored.
    /// Returns these scans, to be called back.
    pub fn on_pages_committed(&self, pages: &[Listed], taken: &[PageTaken]) -> Vec<Execution> {
        let torn = pages
            .iter()
            .zip(taken)
            .filter(|(_, taken)| **taken == PageTaken::Gap);
        let leases = &mut self.state.lock().leases;
        let ended = torn.filter(|((page, _), _)| leases.ended(page.unit, page.epoch).is_some());
        ended
            .map(|((page, _), _)| page.unit.execution(page.epoch))
            .collect()
    }

    /// In a transaction: takes back executions that have lapsed.
    pub fn take_back(
        &self,
        tx: &mut dyn Tx,
        lapsed: &[Lapsed],
        limits: &PoisonLimits,
        now: Timestamp,
    ) -> StoreResult<Vec<Taken>> {
        let workflows = self.engine.lock().workflows.clone();
        let mut taken = vec![Taken::No; lapsed.len()];
        let mut by_job: BTreeMap<JobNo, (Vec<usize>, Vec<Reclaim>)> = BTreeMap::new();
        for (at, one) in lapsed.iter().enumerate() {
            let no_worker = || {
                one.vanished.then(|| LostWith {
                    worker: String::new(),
                    alone: false,
                })
            };
            let reclaim = Reclaim {
                unit: one.unit,
                epoch: one.epoch,
                loss: one.with.clone().or_else(no_worker),
            };
            let (places, page) = by_job.entry(one.unit.job).or_default();
            places.push(at);
            page.push(reclaim);
        }
        for (job, (places, page)) in by_job {
            let done = workflows.for_job(tx, job, |tx| {
                rescuer::reclaim(tx, &workflows, job, &page, limits, now)
            })?;
            for (at, done) in places.into_iter().zip(done.into_iter().flatten()) {
                taken
                    .get_mut(at)
                    .into_iter()
                    .for_each(|taken| *taken = done);
            }
        }
        Ok(taken)
    }

    /// An execution was taken back, and that has committed. Returns its kind when it was out.
    pub fn on_taken_back(&self, lapsed: &Lapsed, taken: Taken) -> Option<Kind> {
        if taken == Taken::Suspect {
            self.engine.lock().suspect(lapsed.unit);
        }
        self.state.lock().leases.ended(lapsed.unit, lapsed.epoch)
    }

    /// Judges the workers that live and take work.
    pub fn check_health(&self, limits: &LeaseLimits, now: Timestamp) -> HealthCheck {
        let LeaderState { leases, health, .. } = &mut *self.state.lock();
        health.keep(|worker| leases.workers().contains_key(worker), now);
        if !health.has_failures() {
            return HealthCheck::default();
        }
        let sick = health.advice(&leases.taking_work(limits, now));
        // A worker that takes work is not in quarantine.
        let cleared = health
            .exonerated()
            .into_iter()
            .filter(|worker| leases.is_draining(worker));
        HealthCheck {
            sick,
            cleared: cleared.collect(),
        }
    }
}
