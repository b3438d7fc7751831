//! What a leader does with what it hears, around one transaction each: the part before the commit runs inside of it, the part
//! after it changes the memory alone. The process and the simulator drive the same reactor; they differ in who runs the
//! transactions, and in who carries out what comes back.
use crate::leader::engine::{Engine, Turn};
use crate::leader::memory::lease_table::{Lapsed, Leases};
use crate::leader::memory::worker_health::Wards;
use crate::reconcile::rescuer::{self, Taken};
use crate::reconcile::settlement::{self, PageTaken, Settled};
use crate::store::{StoreResult, Tx};
use parking_lot::Mutex;
use protocol::id::{Kind, UnitId};
use protocol::rules::worker::poison::PoisonLimits;
use protocol::time::Timestamp;
use protocol::wire::report::{Burial, Outcome, Progress, Report, ScanPage};
use std::sync::Arc;
use std::time::Duration;

/// Pages of listings stored in one transaction.
const PAGES_MAX: usize = 8;

/// The memory of a leader, of which each part has a lock of its own: reports are heard while a transaction runs.
#[derive(Debug, Clone, Default)]
pub struct Reactor {
    /// What is handed out next.
    pub engine: Arc<Mutex<Engine>>,
    /// What is out and who lives.
    pub leases: Arc<Mutex<Leases>>,
    /// What failed in whom.
    pub wards: Arc<Mutex<Wards>>,
    /// Units wait for the transport: they go first, and until then nothing more is handed out.
    pub held_back: bool,
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
    Bury(UnitId, Vec<Burial>),
}

/// Sorts a batch. Signs of life come first: they need no transaction, and a worker must not fall silent because what others
/// report takes long to store (LEASE-1). The rest keeps its order, for the pages of a scan come before its end.
pub fn sort(batch: Vec<Report>) -> (Vec<Report>, Vec<Work>) {
    let (mut heard, mut work): (Vec<Report>, Vec<Work>) = (Vec::new(), Vec::new());
    for report in batch {
        let page = match report {
            Report::Heartbeat(_) | Report::Alone(..) | Report::Progress(_) => {
                heard.push(report);
                continue;
            }
            Report::Settled(outcome) => {
                match work.last_mut() {
                    Some(Work::Settle(outcomes)) => outcomes.push(outcome),
                    _ => work.push(Work::Settle(vec![outcome])),
                }
                continue;
            }
            Report::Buried(unit, _, burials) => {
                // Before the ends that came so far: they stay together.
                let at = work.len() - usize::from(matches!(work.last(), Some(Work::Settle(_))));
                work.insert(at, Work::Bury(unit, burials));
                continue;
            }
            page @ (Report::Page(_) | Report::PageUpTo(..) | Report::PageTitled(..)) => {
                let Some(page) = page.into_page() else { continue };
                page
            }
        };
        match work.last_mut() {
            Some(Work::Store(pages)) if pages.len() < PAGES_MAX => pages.push(page),
            _ => work.push(Work::Store(vec![page])),
        }
    }
    (heard, work)
}

/// Notes an end, and says whether it is believed: not while another worker than the one that reports it is known to hold
/// the unit.
fn is_believed(leases: &mut Leases, outcome: &Outcome, now: Timestamp) -> bool {
    let believed = leases.ends(outcome, now);
    if !believed {
        let (unit, worker) = (outcome.unit, &outcome.worker);
        tracing::warn!(unit.id = %unit, worker.id = %worker, "another worker holds the unit: its end is not believed");
    }
    believed
}

impl Reactor {
    /// Takes in what a batch says without a transaction, of which the reading began at `read_at`; `whole` when it held all
    /// there was. Returns what is left to do, in order, and how far executions are.
    pub fn hear(
        &self,
        batch: Vec<Report>,
        (read_at, whole): (Timestamp, bool),
        now: Timestamp,
    ) -> (Vec<Work>, Vec<Progress>) {
        let (heard, mut work) = sort(batch);
        let (mut leases, mut progress) = (self.leases.lock(), Vec::new());
        for report in heard {
            match report {
                Report::Heartbeat(beat) => leases.heard(&beat, now),
                Report::Alone(unit, epoch, worker) => leases.runs_alone(unit, epoch, &worker, now),
                Report::Progress(moved) => progress.push(moved),
                _ => {}
            }
        }
        for work in &mut work {
            if let Work::Settle(outcomes) = work {
                outcomes.retain(|outcome| is_believed(&mut leases, outcome, now));
            }
        }
        work.retain(|work| !matches!(work, Work::Settle(outcomes) if outcomes.is_empty()));
        leases.read_up_to(read_at, whole);
        (work, progress)
    }

    /// In a transaction: takes a turn. Executions in `ended` are over as far as room is counted.
    pub fn turn(&self, tx: &mut dyn Tx, ended: &[Outcome], now: Timestamp) -> StoreResult<Turn> {
        let (mut load, scans) = {
            let mut leases = self.leases.lock();
            (leases.load_without(ended, now), leases.scans_without(ended))
        };
        if self.held_back {
            load.kinds.clear();
        }
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
            if settled.cut > 0 {
                engine.cut();
            }
            // Before the turn: it would hand out at once what has to wait.
            settled.scan_retries.iter().for_each(|(job, at)| engine.scan_due(*job, *at));
        }
        Ok((settled, self.turn(tx, outcomes, now)?))
    }

    /// The transaction of a turn did not commit.
    pub fn rolled_back(&self) {
        self.engine.lock().rolled_back();
    }

    /// After the commit of a turn: what it claimed is out.
    pub fn claimed(&self, turn: &Turn, now: Timestamp) {
        self.leases.lock().published(&turn.units, now);
    }

    /// After the commit of ends and of the turn they made room for: what has ended is out no more. Returns, for each end of
    /// an execution that was out, its kind and how long it had waited for its start.
    pub fn settled(&self, outcomes: &[Outcome], turn: &Turn, now: Timestamp) -> Vec<Option<(Kind, Duration)>> {
        let mut leases = self.leases.lock();
        let known = outcomes.iter().map(|outcome| leases.reported(outcome, now)).collect();
        leases.published(&turn.units, now);
        known
    }

    /// Executions that a turn calls back: those of jobs that are being cancelled, and those that speak for nothing any more.
    pub fn called_back(&self, turn: &Turn) -> Vec<(UnitId, u32)> {
        let leases = self.leases.lock();
        let cancelled = turn.cancelling.iter().flat_map(|job| leases.of_job(*job));
        let mut called_back: Vec<(UnitId, u32)> = cancelled.chain(turn.obsolete.iter().copied()).collect();
        called_back.sort_unstable();
        called_back
    }

    /// In a transaction: stores pages of listings.
    pub fn store(&self, tx: &mut dyn Tx, pages: &[Listed]) -> StoreResult<Vec<PageTaken>> {
        let workflows = self.engine.lock().workflows.clone();
        pages.iter().map(|(page, up_to)| settlement::page(tx, &workflows, page, up_to.as_deref())).collect()
    }

    /// After the commit of pages: scans of which pages are lost are over, and begin again after the last page that was
    /// stored. Returns them, to be called back.
    pub fn stored(&self, pages: &[Listed], taken: &[PageTaken]) -> Vec<(UnitId, u32)> {
        let torn = pages.iter().zip(taken).filter(|(_, taken)| **taken == PageTaken::Gap);
        let mut leases = self.leases.lock();
        let ended = torn.filter(|((page, _), _)| leases.ended(page.unit, page.epoch).is_some());
        ended.map(|((page, _), _)| (page.unit, page.epoch)).collect()
    }

    /// In a transaction: takes back an execution that has lapsed.
    pub fn take_back(
        &self,
        tx: &mut dyn Tx,
        lapsed: &Lapsed,
        limits: &PoisonLimits,
        now: Timestamp,
    ) -> StoreResult<Taken> {
        let Lapsed { unit, epoch, with, vanished } = lapsed;
        let workflows = || self.engine.lock().workflows.clone();
        match with {
            Some(with) => rescuer::take_back_lost(tx, &workflows(), (*unit, *epoch), with, limits, now),
            None if *vanished => rescuer::take_back_vanished(tx, &workflows(), (*unit, *epoch), limits, now),
            None => Ok(if rescuer::take_back(tx, *unit, *epoch)? { Taken::Ready } else { Taken::No }),
        }
    }

    /// After the commit of a taking back. Returns the kind of the execution when it was out.
    pub fn taken_back(&self, lapsed: &Lapsed, taken: Taken) -> Option<Kind> {
        if taken == Taken::Suspect {
            self.engine.lock().suspect(lapsed.unit);
        }
        self.leases.lock().ended(lapsed.unit, lapsed.epoch)
    }
}
