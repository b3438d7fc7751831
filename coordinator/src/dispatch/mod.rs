//! The scheduler: gathers the facts of all open jobs, asks the rule of ranking for each kind, and claims through the publisher.
//! All of its memory can be lost: costs come back from the store, shares and rates begin anew.
mod blocks;
pub mod claim_room;
pub mod costs;
pub mod endpoints;
pub mod fleet;
pub mod forecast;
pub mod load;
mod origin;
pub mod outstanding;
pub mod publisher;
pub mod slices;
pub mod speculator;

use crate::dispatch::blocks::DispatchBlocks;
use crate::dispatch::claim_room::ClaimRoom;
use crate::dispatch::costs::Costs;
use crate::dispatch::endpoints::{EndpointBook, of_step};
use crate::dispatch::load::Load;
use crate::dispatch::publisher::{Claim, Gate};
use crate::reconcile::multipart::Cuts;
use crate::store::{JobRow, JobState, StepRow, StoreResult, Tx};
use crate::workflows::Workflows;
use protocol::id::{JobNo, Kind, PartNo, StepNo};
use protocol::model::priority::Priority;
use protocol::rules::schedule::admission::{Window, fits, room, window};
use protocol::rules::schedule::fairness::{Account, Usage};
use protocol::rules::schedule::ranking::{Claimant, Credits, HEAVY, Pool, hand_out, latest_start};
use protocol::rules::schedule::speculation::{Straggler, should_speculate};
use protocol::rules::schedule::wait_reason::WaitReason;
use protocol::rules::storage::multipart::{SliceLimits, TransferLoad, wanted_slices};
use protocol::time::Timestamp;
use protocol::wire::unit::Unit;
use protocol::workflow::Workflow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// A kind's room is handed out again this often in a turn when claimants had less than they seemed to have.
const ROUNDS: usize = 3;
/// Without any room, jobs are looked at this often, and what was learned is written.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The scheduler's memory.
#[derive(Debug, Default)]
pub struct Schedule {
    /// Limits of endpoints and what is left of them.
    pub book: EndpointBook,
    /// Durations of ended units, by kind and size class, from which the cost of a unit is estimated.
    pub costs: Costs,
    /// Which transfers several workers may share.
    pub slicing: SliceLimits,
    credits: BTreeMap<Kind, Credits>,
    accounts: BTreeMap<(Kind, Priority, String), Account>,
    busy_us: BTreeMap<(JobNo, StepNo), u64>,
    ready_after: BTreeMap<(JobNo, StepNo), PartNo>,
    room: ClaimRoom,
    blocks: DispatchBlocks,
    looked_at: Option<Timestamp>,
}

/// Units claimed in one turn.
#[derive(Debug, Default)]
pub struct Claimed {
    /// Units with the class of their job, in the order of handing out.
    pub units: Vec<(Priority, Unit)>,
    /// When time alone lets more be handed out.
    pub due: Option<Timestamp>,
    /// The turn had no room for more: the next one continues.
    pub more: bool,
}

/// Facts of one turn, and the state that it changes.
pub struct TurnContext<'a> {
    /// Workflows of open jobs.
    pub workflows: &'a Workflows,
    /// The state of the cluster at the beginning of the turn.
    pub load: &'a Load,
    /// Multipart uploads under way.
    pub cuts: &'a mut Cuts,
    /// The time of the turn.
    pub now: Timestamp,
}

/// The room that is left for a kind.
#[derive(Clone, Copy)]
struct KindRoom {
    kind: Kind,
    pool: Pool,
}

/// A step that may have units to dispatch.
struct Work {
    job: Arc<JobRow>,
    workflow: Arc<Workflow>,
    step: StepNo,
    counter: StepRow,
    kind: Kind,
    remaining: Duration,
}

impl Schedule {
    /// Takes in what happened since the last turn, before anything can fail.
    pub fn begin(&mut self, load: &mut Load, now: Timestamp) {
        let experience = std::mem::take(&mut load.experience);
        self.costs.learn(experience.costs);
        self.book
            .begin(std::mem::take(&mut load.busy), experience.signs, now);
    }

    /// Forgets an ended job.
    pub fn forget(&mut self, job: JobNo) {
        self.busy_us.retain(|(no, _), _| *no != job);
        self.ready_after.retain(|(no, _), _| *no != job);
        self.blocks.forget(job);
        self.room.forget(job);
    }

    /// Claims units of all kinds but scans.
    pub fn hand_out(
        &mut self,
        tx: &mut dyn Tx,
        jobs: &[JobRow],
        turn: &mut TurnContext<'_>,
    ) -> StoreResult<Claimed> {
        let (load, now) = (turn.load, turn.now);
        self.costs.load(tx)?;
        self.room.begin();
        let look = self.looked_at.is_none_or(|at| now.since(at) >= LOOK_EVERY);
        let pools: BTreeMap<Kind, Pool> = Kind::ALL
            .into_iter()
            .map(|kind| (kind, self.pool(kind, load, now)))
            .collect();
        let mut claimed = Claimed::default();
        if !look && pools.values().all(|pool| pool.room == 0) {
            return Ok(claimed);
        }
        let mut by_kind = self.gather(tx, turn.workflows, jobs, load, now)?;
        for (kind, pool) in pools {
            let works = by_kind.remove(&kind).unwrap_or_default();
            self.hand_out_kind(tx, KindRoom { kind, pool }, &works, turn, &mut claimed)?;
        }
        claimed.more = self.room.is_taken();
        if look {
            self.looked_at = Some(now);
            self.costs.flush(tx)?;
            self.blocks.flush(tx, now)?;
        }
        Ok(claimed)
    }

    fn pool(&self, kind: Kind, load: &Load, now: Timestamp) -> Pool {
        let mut of = load.kind(kind);
        let sketch = self.costs.of_kind(kind);
        let typical = sketch.and_then(|sketch| sketch.quantile(0.5));
        let long = sketch.and_then(|sketch| sketch.quantile(0.9));
        for leaving in load
            .leaving
            .iter()
            .filter(|leaving| fits(Some(leaving.at.since(now)), long))
        {
            of.slots += leaving.slots.get(&kind).copied().unwrap_or(0);
        }
        let asked = Window {
            slots: of.slots,
            out: of.out,
            floor: of.floor,
            typical,
        };
        Pool {
            room: if kind == Kind::Scan { 0 } else { room(asked) },
            window: window(asked),
            slots: of.slots,
        }
    }

    fn gather(
        &mut self,
        tx: &mut dyn Tx,
        workflows: &Workflows,
        jobs: &[JobRow],
        load: &Load,
        now: Timestamp,
    ) -> StoreResult<BTreeMap<Kind, Vec<Work>>> {
        let slots = load
            .kinds
            .iter()
            .map(|(kind, of)| (*kind, of.slots))
            .collect();
        let mut works: BTreeMap<Kind, Vec<Work>> = BTreeMap::new();
        for job in jobs {
            let read = workflows.for_job(tx, job.no, |tx| {
                let Some(job) = tx.job(job.no)?.filter(|row| row.state == JobState::Running) else {
                    return Ok(None);
                };
                let (workflow, counters) = (workflows.of(tx, job.no)?, tx.steps(job.no)?);
                Ok(Some((Arc::new(job), workflow, counters)))
            })?;
            let Some((job, workflow, counters)) = read.flatten() else {
                continue;
            };
            let remaining = forecast::remaining(&job, &workflow, &counters, &self.costs);
            let remaining = protocol::rules::schedule::forecast::forecast(&remaining, &slots)
                .map_or(Duration::ZERO, |f| f.p90);
            for (step, declared) in workflow.numbered() {
                let counter = counters.iter().find(|c| c.step == step);
                let (Some(kind), Some(counter)) = (declared.kind(), counter) else {
                    continue;
                };
                self.account(&job, kind, counter, now);
                let (job, workflow, counter) = (Arc::clone(&job), Arc::clone(&workflow), *counter);
                works.entry(kind).or_default().push(Work {
                    job,
                    workflow,
                    step,
                    counter,
                    kind,
                    remaining,
                });
            }
        }
        Ok(works)
    }

    /// Charges a tenant with what its steps have spent since they were looked at last.
    fn account(&mut self, job: &JobRow, kind: Kind, counter: &StepRow, now: Timestamp) {
        let before = self.busy_us.insert((job.no, counter.step), counter.busy_us);
        let spent = before.map_or(0, |before| counter.busy_us.saturating_sub(before));
        if spent > 0 {
            self.accounts
                .entry((kind, job.priority, job.tenant.clone()))
                .or_default()
                .add(spent, now);
        }
    }

    fn claimant(&self, work: &Work, tenant: usize, out: u32) -> Claimant {
        let computed = work.workflow.roots().any(|(no, _)| no == work.step);
        let fresh = if computed {
            work.job
                .parts_planned
                .saturating_sub(work.counter.cursor)
                .max(0)
        } else {
            0
        };
        let rows = work.counter.live.saturating_sub(work.counter.retrying);
        let wanted = rows.saturating_add(u64::try_from(fresh).unwrap_or(0));
        let size = forecast::typical_size(&work.job);
        let typical = self
            .costs
            .of(work.kind, size)
            .and_then(|sketch| sketch.quantile(0.5));
        Claimant {
            class: work.job.priority,
            tenant,
            latest_start: latest_start(work.job.deadline, work.job.submitted_at, work.remaining),
            place: (-i64::from(work.step.0), work.job.no.0),
            wanted: u32::try_from(wanted).unwrap_or(u32::MAX),
            out,
            heavy: typical.is_some_and(|typical| typical >= HEAVY),
        }
    }

    fn hand_out_kind(
        &mut self,
        tx: &mut dyn Tx,
        KindRoom { kind, mut pool }: KindRoom,
        works: &[Work],
        turn: &mut TurnContext<'_>,
        claimed: &mut Claimed,
    ) -> StoreResult<()> {
        let (load, now) = (turn.load, turn.now);
        let (mut claimants, mut usage) = self.claimants(kind, works, turn);
        let units = claimants
            .iter()
            .map(|claimant| claimant.wanted.saturating_add(claimant.out));
        let units = units.fold(0, u32::saturating_add);
        let slices = wanted_slices(TransferLoad {
            workers: load.kind(kind).workers,
            slots: pool.slots,
            units,
        });
        let mut reasons: Vec<Option<(WaitReason, Option<Timestamp>)>> = vec![None; works.len()];
        for (i, work) in works.iter().enumerate() {
            let Some(step) = work.workflow.step(work.step) else {
                continue;
            };
            let endpoints = of_step(self.book.limits(), &work.workflow, step);
            reasons[i] = self
                .book
                .blocked(&endpoints)
                .filter(|_| claimants[i].wanted > 0);
            if reasons[i].is_some() {
                claimants[i].wanted = 0;
            }
        }
        for _ in 0..ROUNDS {
            let credits = self.credits.entry(kind).or_default();
            let out = hand_out(pool, &claimants, &usage, credits);
            let mut short = false;
            for grant in out.grants {
                let i = grant.claimant;
                let (units, gated) = self.claim(tx, &works[i], grant.units, slices, turn)?;
                let got = units.len() as u32;
                claimed
                    .units
                    .extend(units.into_iter().map(|unit| (works[i].job.priority, unit)));
                pool.room -= got;
                claimants[i].out += got;
                usage[claimants[i].tenant].out += u64::from(got);
                short |= got < grant.units;
                claimants[i].wanted = if got < grant.units {
                    0
                } else {
                    claimants[i].wanted - got
                };
                if gated {
                    reasons[i] = Some((WaitReason::EndpointLimit, None));
                }
            }
            for (i, withheld) in out.withheld.into_iter().enumerate() {
                let blocked = matches!(
                    reasons[i],
                    Some((WaitReason::EndpointLimit | WaitReason::EndpointBackoff, _))
                );
                if !blocked {
                    reasons[i] = withheld
                        .filter(|_| claimants[i].wanted > 0)
                        .map(|reason| (reason, None));
                }
            }
            if !short || pool.room == 0 {
                break;
            }
        }
        let leave = pool.slots == 0
            && load
                .leaving
                .iter()
                .any(|leaving| leaving.slots.contains_key(&kind));
        for (reason, _) in reasons
            .iter_mut()
            .zip(&claimants)
            .filter(|(_, c)| leave && c.wanted > 0)
        {
            *reason = Some((WaitReason::WorkersLeave, None));
        }
        self.copy_stragglers(
            tx,
            KindRoom { kind, pool },
            (works, &claimants),
            turn,
            claimed,
        )?;
        for (work, reason) in works.iter().zip(reasons) {
            let until = reason.and_then(|(_, until)| until);
            claimed.due = [claimed.due, until].into_iter().flatten().min();
            self.blocks.note(work.job.no, work.step, reason, now);
        }
        Ok(())
    }

    /// Hands out again what runs far longer than its like, where slots would stand empty.
    fn copy_stragglers(
        &mut self,
        tx: &mut dyn Tx,
        KindRoom { kind, pool }: KindRoom,
        (works, claimants): (&[Work], &[Claimant]),
        turn: &TurnContext<'_>,
        claimed: &mut Claimed,
    ) -> StoreResult<()> {
        let (load, now) = (turn.load, turn.now);
        let out: u32 = claimants.iter().map(|claimant| claimant.out).sum();
        let mut free_slots = pool.slots.saturating_sub(out);
        for running in load.running.iter().filter(|running| running.kind == kind) {
            let sketch = self.costs.of(kind, running.size);
            let found = works
                .iter()
                .find(|w| (w.job.no, w.step) == (running.unit.job, running.unit.step));
            let Some(work) = found else { continue };
            // A slice is small, and what it belongs to is with several workers already.
            if running.unit.slice.is_some() || turn.cuts.has(running.unit) {
                continue;
            }
            let facts = Straggler {
                running: now.since(running.since),
                p90: sketch.and_then(|sketch| sketch.quantile(0.9)),
                idempotent: work
                    .workflow
                    .step(work.step)
                    .is_some_and(speculator::is_idempotent),
                // All that was ready has been handed out when room is left.
                others_wait: pool.room == 0,
                free_slots,
                workers: load.kind(kind).workers,
            };
            if !should_speculate(&facts) {
                continue;
            }
            let copy = turn.workflows.for_job(tx, work.job.no, |tx| {
                // What a worker was lost with may be what it died of: no second worker for it at the same time.
                if !tx.losses(&[running.unit])?.is_empty() {
                    return Ok(None);
                }
                speculator::copy(tx, &work.job, &work.workflow, running.unit, running.epoch)
            })?;
            if let Some(copy) = copy.flatten() {
                free_slots -= 1;
                claimed.units.push((work.job.priority, copy));
            }
        }
        Ok(())
    }

    fn claimants(
        &self,
        kind: Kind,
        works: &[Work],
        turn: &TurnContext<'_>,
    ) -> (Vec<Claimant>, Vec<Usage>) {
        let mut tenants: BTreeMap<(Priority, &str), usize> = BTreeMap::new();
        let mut usage: Vec<Usage> = Vec::new();
        let mut claimants = Vec::with_capacity(works.len());
        for work in works {
            let tenant = *tenants
                .entry((work.job.priority, &work.job.tenant))
                .or_insert_with(|| {
                    let account =
                        self.accounts
                            .get(&(kind, work.job.priority, work.job.tenant.clone()));
                    usage.push(Usage {
                        out: 0,
                        busy_us: account.map_or(0, |account| account.at(turn.now)),
                    });
                    usage.len() - 1
                });
            let out = turn
                .load
                .steps
                .get(&(work.job.no, work.step))
                .copied()
                .unwrap_or(0);
            usage[tenant].out += u64::from(out);
            let mut claimant = self.claimant(work, tenant, out);
            claimant.wanted =
                claimant
                    .wanted
                    .saturating_add(turn.cuts.ready(work.job.no, work.step, turn.now));
            claimants.push(claimant);
        }
        (claimants, usage)
    }

    /// Claims slices, which are of units that were begun, and then units; `slices` of their large assets are wanted.
    fn claim(
        &mut self,
        tx: &mut dyn Tx,
        work: &Work,
        units: u32,
        slices: Option<u32>,
        turn: &mut TurnContext<'_>,
    ) -> StoreResult<(Vec<Unit>, bool)> {
        let workflows = turn.workflows;
        let claimed = workflows.for_job(tx, work.job.no, |tx| {
            let claim = Claim {
                job: &work.job,
                workflow: &work.workflow,
                step: work.step,
                room: units,
            };
            let (mut claimed, mut gated) =
                slices::claim(tx, &claim, turn.cuts, &mut self.book, turn.now)?;
            let room = units.saturating_sub(claimed.len() as u32);
            if room > 0 && !self.room.is_taken() {
                let (mut whole, passed_over) =
                    self.claim_whole(tx, work, &Claim { room, ..claim })?;
                slices::attach(tx, &mut whole, turn.cuts, &self.slicing, slices)?;
                claimed.extend(whole);
                gated |= passed_over;
            }
            Ok((claimed, gated))
        })?;
        Ok(claimed.unwrap_or_default())
    }

    fn claim_whole(
        &mut self,
        tx: &mut dyn Tx,
        work: &Work,
        claim: &Claim<'_>,
    ) -> StoreResult<(Vec<Unit>, bool)> {
        // What an earlier claim of this turn has changed.
        let counter = tx
            .steps(work.job.no)?
            .into_iter()
            .find(|c| c.step == work.step)
            .unwrap_or(work.counter);
        if self.book.is_empty() {
            return Ok((
                publisher::claim_step(tx, claim, &counter, &mut self.room)?,
                false,
            ));
        }
        let after = self
            .ready_after
            .entry((work.job.no, work.step))
            .or_insert(PartNo::MIN);
        let mut gate = Gate {
            book: &mut self.book,
            after,
        };
        publisher::claim_admitted(tx, claim, &counter, &mut gate, &mut self.room)
    }
}
