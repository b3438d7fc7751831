//! One turn of the coordinator, in one transaction: requeue, list, plan, sequence, claim. The process and the simulator run
//! the same engine.
use crate::command;
use crate::dispatch::load::Load;
use crate::dispatch::{Schedule, TurnContext, scan, slices};
use crate::reconcile::block_closer::BlockCloser;
use crate::reconcile::multipart::{self, MultipartTransfers};
use crate::reconcile::sequencer::{self, Sweep};
use crate::reconcile::{planner, retrier};
use crate::store::cost::spent;
use crate::store::{JobRow, Phase, StoreResult, Tx};
use crate::workflows::Workflows;
use protocol::id::{Execution, JobNo, Kind, UnitId};
use protocol::model::priority::Priority;
use protocol::rules::library::listing::{self, Attempt, Listing, ListingDecision, ListingLimits};
use protocol::rules::worker::poison::{Loss, PoisonLimits, Suspicion, assess};
use protocol::time::Timestamp;
use protocol::wire::step::TaskSpec;
use protocol::wire::unit::Unit;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Upper bound on tracked poison suspects; more indicates an infrastructure fault, not poison units.
const SUSPECTS_MAX: u32 = 100_000;
/// Rows of one turn after which no further job is planned or sequenced. The share of the bounds does not apply: with it,
/// a slow turn over many idle jobs would end before the last of them, every time.
const JOBS_ROWS: u64 = 100_000;
/// Operations are looked at this often, and when their rate allows.
const OPERATIONS_EVERY: Duration = Duration::from_millis(200);

/// The memory of turns. All of it can be lost: it is rebuilt from the store.
#[derive(Debug, Default)]
pub struct Engine {
    /// Workflows of open jobs.
    pub workflows: Workflows,
    /// The memory of the scheduler.
    pub schedule: Schedule,
    sweeps: BTreeMap<JobNo, Sweep>,
    closers: BTreeMap<JobNo, BlockCloser>,
    /// When a failed scan may be tried again, and when any scan was handed out last.
    scan_due: BTreeMap<JobNo, Timestamp>,
    scan_attempts: BTreeMap<JobNo, Attempt>,
    /// Units suspected of killing their workers; `None` until they are read.
    suspects: Option<BTreeSet<UnitId>>,
    /// Whether multipart uploads may be open; `None` until the store was asked.
    has_multiparts: Option<bool>,
    /// When operations are looked at next.
    operations_at: Timestamp,
    /// Whether one of them waits for its rate.
    operations_wait: bool,
}

/// The result of one turn.
#[derive(Debug, Default)]
pub struct Turn {
    /// Units to publish, now that the transaction has committed.
    pub units: Vec<Unit>,
    /// The class of each of them.
    pub classes: Vec<Priority>,
    /// Whether another turn would find work at once.
    pub more: bool,
    /// Executions whose unit another one has ended: they are to be called back.
    pub obsolete: Vec<Execution>,
    /// Listings handed out again although their last attempt had yielded no page, with how many in a row had not.
    pub fruitless: Vec<(UnitId, u32)>,
    /// Jobs that are being cancelled: executions still out are to be called back.
    pub cancelling: Vec<JobNo>,
    /// When something is due by time alone.
    pub next_due: Option<Timestamp>,
    /// Number of jobs that have not ended.
    pub open: usize,
}

impl Engine {
    /// Notes when a failed scan may be tried again.
    pub fn scan_due(&mut self, job: JobNo, at: Timestamp) {
        self.scan_due.insert(job, at);
    }

    /// The transaction of a turn did not commit: its changes to this memory are undone.
    pub fn rolled_back(&mut self) {
        self.sweeps.clear();
        self.closers.clear();
        self.scan_attempts.clear();
        self.operations_at = Timestamp(0);
        self.suspects = None;
        self.has_multiparts = None;
    }

    /// A multipart upload was opened.
    pub fn on_multipart_opened(&mut self) {
        self.has_multiparts = Some(true);
    }

    /// Takes one turn. `scans_out` are the scans that are out, with their epochs.
    pub fn turn(
        &mut self,
        tx: &mut dyn Tx,
        mut load: Load,
        scans_out: &BTreeSet<(JobNo, u32)>,
        now: Timestamp,
    ) -> StoreResult<Turn> {
        self.schedule.begin(&mut load, now);
        let mut turn = Turn::default();
        let mut pauses = tx.next_due()?;
        if pauses.is_some_and(|due| due <= now) {
            turn.more = retrier::requeue_due(tx, now)? > 0;
            pauses = tx.next_due()?;
        }
        let operations_due = self.operate(tx, now, &mut turn)?;
        turn.obsolete = std::mem::take(&mut load.obsolete);
        let mut multiparts = self.multiparts(tx, now)?;
        turn.obsolete.append(&mut multiparts.obsolete);
        let jobs = self.open_jobs(tx)?;
        turn.open = jobs.len();
        let scans = load.kind(Kind::Scan);
        let mut scan_room = scans.slots.saturating_mul(2).saturating_sub(scans.out);
        let workflows = self.workflows.clone();
        for job in &jobs {
            let in_flight = scans_out.contains(&(job.no, job.scan_epoch));
            workflows.for_job(tx, job.no, |tx| {
                if job.state == crate::store::JobState::Cancelling && !multiparts.is_empty() {
                    turn.units
                        .extend(slices::discards(tx, &workflows, &mut multiparts, job.no)?);
                }
                self.job(tx, job, (&mut scan_room, in_flight), now, &mut turn)
            })?;
            turn.classes.resize(turn.units.len(), job.priority);
        }
        let mut context = TurnContext {
            workflows: &workflows,
            load: &load,
            multiparts: &mut multiparts,
            now,
        };
        let claimed = self.schedule.hand_out(tx, &jobs, &mut context)?;
        turn.more |= claimed.more;
        for (class, unit) in claimed.units {
            turn.classes.push(class);
            turn.units.push(unit);
        }
        self.isolate(tx, &mut turn.units)?;
        let timers = self
            .sweeps
            .values()
            .filter_map(|sweep| sweep.next_timer)
            .chain(claimed.due)
            .chain(multiparts.due);
        // A timer that has passed and still waits (for a worker, for the end of a cancellation) does not wait for time: waking
        // for it would busy-loop.
        let timers = timers.chain(self.scan_due.values().copied()).chain(pauses);
        turn.next_due = timers.filter(|due| *due > now).chain(operations_due).min();
        Ok(turn)
    }

    /// Open multipart uploads. They are few, so the store is asked only while there are some.
    fn multiparts(&mut self, tx: &mut dyn Tx, now: Timestamp) -> StoreResult<MultipartTransfers> {
        if self.has_multiparts == Some(false) {
            return Ok(MultipartTransfers::default());
        }
        let multiparts = multipart::advance(tx, &self.workflows, now)?;
        self.has_multiparts = Some(!multiparts.is_empty() || !tx.multipart_units()?.is_empty());
        Ok(multiparts)
    }

    /// Jobs that have not ended and are not set aside, the most urgent first.
    fn open_jobs(&self, tx: &mut dyn Tx) -> StoreResult<Vec<JobRow>> {
        let mut jobs = Vec::new();
        for job in tx.jobs(true, u32::MAX)? {
            if !self.workflows.is_aside(tx, &job)? {
                jobs.push(job);
            }
        }
        jobs.sort_by_key(|job| {
            (
                job.priority,
                job.deadline.unwrap_or(Timestamp(i64::MAX)),
                job.no,
            )
        });
        Ok(jobs)
    }

    fn job(
        &mut self,
        tx: &mut dyn Tx,
        job: &JobRow,
        scans: (&mut u32, bool),
        now: Timestamp,
        turn: &mut Turn,
    ) -> StoreResult<()> {
        if job.state == crate::store::JobState::Cancelling {
            turn.cancelling.push(job.no);
        }
        if job.phase == Phase::Scanning {
            self.list(tx, job, scans, now, turn)?;
        } else {
            self.scan_due.remove(&job.no);
            self.scan_attempts.remove(&job.no);
        }
        // Each job costs a page; the next turn continues with the jobs that this one leaves out.
        if spent().rows < JOBS_ROWS {
            turn.more |= planner::plan(tx, &self.workflows, job.no)?;
            let sweep = self.sweeps.entry(job.no).or_default();
            turn.more |= sequencer::advance(tx, &self.workflows, job.no, sweep, now)?;
            self.closers
                .entry(job.no)
                .or_default()
                .close_blocks(tx, &self.workflows, job, now)?;
        } else {
            turn.more = true;
        }
        if tx.job(job.no)?.is_none_or(|row| row.state.has_ended()) {
            self.forget(job.no);
        }
        Ok(())
    }

    /// Hands out the listing of a library, unless it is out or has to wait. `room` is what scan slots are left.
    fn list(
        &mut self,
        tx: &mut dyn Tx,
        job: &JobRow,
        (room, in_flight): (&mut u32, bool),
        now: Timestamp,
        turn: &mut Turn,
    ) -> StoreResult<()> {
        let last = self.scan_attempts.get(&job.no).copied();
        let due = self.scan_due.get(&job.no).copied();
        let listing = Listing {
            in_flight,
            pages: job.scan.page,
            last,
            due,
        };
        let attempt = match listing::decide(&listing, &ListingLimits::default(), now) {
            ListingDecision::Claim(attempt) if *room > 0 => attempt,
            ListingDecision::Wait(until) => {
                self.scan_due.insert(job.no, until);
                return Ok(());
            }
            _ => return Ok(()),
        };
        let Some(unit) = scan::claim_scan(tx, &self.workflows, job.no)? else {
            return Ok(());
        };
        *room -= 1;
        self.scan_attempts.insert(job.no, attempt);
        if attempt.fruitless > 0 {
            turn.fruitless.push((unit.id, attempt.fruitless));
        } else if last.is_some() {
            // A listing that gets on does not kill its workers, however many are lost with it in a long time.
            tx.forget_losses(&[unit.id])?;
        }
        // Pages of earlier epochs are ignored; the end of a scan is an epoch of its own.
        let earlier = [unit.epoch.saturating_sub(2), unit.epoch.saturating_sub(1)];
        turn.obsolete.extend(
            earlier
                .into_iter()
                .filter(|epoch| *epoch > 0)
                .map(|epoch| unit.id.execution(epoch)),
        );
        turn.units.push(unit);
        Ok(())
    }

    /// Units that were lost with several workers run alone. Few are suspected, so their losses are asked for only when
    /// one of them is handed out: a person may have cleared it meanwhile.
    fn isolate(&mut self, tx: &mut dyn Tx, units: &mut [Unit]) -> StoreResult<()> {
        let least = PoisonLimits::default().suspect_at();
        let suspects = match &mut self.suspects {
            Some(suspects) => suspects,
            none => none.insert(tx.suspects(least, SUSPECTS_MAX)?.into_iter().collect()),
        };
        if suspects.is_empty() {
            return Ok(());
        }
        for unit in units {
            if !suspects.contains(&unit.id) {
                continue;
            }
            let found = self
                .workflows
                .for_job(tx, unit.id.job, |tx| tx.losses(&[unit.id]))?;
            let Some(rows) = found else { continue };
            let losses: Vec<Loss> = rows
                .into_iter()
                .map(|row| Loss {
                    worker: row.worker,
                    alone: row.alone,
                })
                .collect();
            if assess(&losses, &PoisonLimits::default()) == Suspicion::None {
                suspects.remove(&unit.id);
                continue;
            }
            unit.task = Arc::new(TaskSpec::Alone(Box::new(unit.task.as_ref().clone())));
        }
        Ok(())
    }

    /// Notes that a unit is suspected of killing its workers.
    pub fn suspect(&mut self, unit: UnitId) {
        if let Some(suspects) = &mut self.suspects {
            suspects.insert(unit);
        }
    }

    /// Advances operations. Returns when the next one may continue by its rate.
    fn operate(
        &mut self,
        tx: &mut dyn Tx,
        now: Timestamp,
        turn: &mut Turn,
    ) -> StoreResult<Option<Timestamp>> {
        if now < self.operations_at {
            return Ok(self.operations_wait.then_some(self.operations_at));
        }
        let more = command::advance(tx, &self.workflows, now)?;
        turn.more |= more;
        let due = command::next_due(tx)?;
        let look_again = now.after(OPERATIONS_EVERY);
        self.operations_at = if more {
            now
        } else {
            due.map_or(look_again, |due| due.clamp(now, look_again))
        };
        self.operations_wait = due.is_some();
        Ok(self.operations_wait.then_some(self.operations_at))
    }

    fn forget(&mut self, job: JobNo) {
        self.sweeps.remove(&job);
        self.closers.remove(&job);
        self.scan_due.remove(&job);
        self.scan_attempts.remove(&job);
        self.workflows.forget(job);
        self.schedule.forget(job);
    }
}
