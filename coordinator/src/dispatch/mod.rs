//! The scheduler: gathers the facts of all open jobs, asks the rule of ranking for each kind, and claims through the publisher.
//! All of its memory can be lost: costs come back from the store, shares and rates begin anew.
mod blocks;
mod claim;
pub mod claim_room;
mod claimants;
pub mod costs;
pub mod endpoints;
pub mod fleet;
pub mod forecast;
mod kind_turn;
pub mod load;
mod origin;
pub mod outstanding;
pub mod publisher;
mod rounds;
pub mod scan;
pub mod slices;
pub mod speculator;
mod stragglers;
mod work;

use crate::dispatch::blocks::DispatchBlocks;
use crate::dispatch::claim_room::ClaimRoom;
use crate::dispatch::costs::Costs;
use crate::dispatch::endpoints::EndpointBook;
use crate::dispatch::load::Load;
use crate::reconcile::multipart::MultipartTransfers;
use crate::store::{JobRow, StoreResult, Tx};
use crate::workflows::Workflows;
use protocol::id::{JobNo, Kind, PartNo, StepNo};
use protocol::model::priority::Priority;
use protocol::rules::schedule::admission::{Window, fits, room, window};
use protocol::rules::schedule::fairness::Account;
use protocol::rules::schedule::ranking::{Credits, Pool};
use protocol::rules::storage::multipart::SliceLimits;
use protocol::time::Timestamp;
use protocol::wire::unit::Unit;
use std::collections::BTreeMap;
use std::time::Duration;

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
    pub multiparts: &'a mut MultipartTransfers,
    /// The time of the turn.
    pub now: Timestamp,
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
            self.hand_out_kind(tx, (kind, pool), &works, turn, &mut claimed)?;
        }
        claimed.more = self.room.is_taken();
        if look {
            self.looked_at = Some(now);
            self.costs.flush(tx)?;
            self.blocks.flush(tx, now)?;
        }
        Ok(claimed)
    }

    /// The room that is left for a kind, counting slots of leaving workers that a unit still fits into.
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
}
