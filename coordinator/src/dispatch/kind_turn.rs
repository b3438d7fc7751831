//! One kind in one turn: its claimants, what they got, and why they wait.
use crate::dispatch::load::Load;
use crate::dispatch::work::Work;
use protocol::id::Kind;
use protocol::rules::schedule::fairness::Usage;
use protocol::rules::schedule::ranking::{Claimant, Pool};
use protocol::rules::schedule::wait_reason::WaitReason;
use protocol::rules::storage::multipart::{TransferLoad, wanted_slices};
use protocol::time::Timestamp;

/// The claimants of a kind, and what they have in this turn.
pub(super) struct KindTurn<'a> {
    pub(super) kind: Kind,
    pub(super) pool: Pool,
    pub(super) works: &'a [Work],
    /// One for each of `works`.
    pub(super) claimants: Vec<Claimant>,
    /// Usage of the tenants that claimants refer to.
    pub(super) usage: Vec<Usage>,
    /// Why each of `works` waits, and when time alone ends it.
    pub(super) reasons: Vec<Option<(WaitReason, Option<Timestamp>)>>,
}

impl KindTurn<'_> {
    /// Slices that are wanted of each large transfer.
    pub(super) fn wanted_slices(&self, load: &Load) -> Option<u32> {
        let units = self
            .claimants
            .iter()
            .map(|claimant| claimant.wanted.saturating_add(claimant.out));
        wanted_slices(TransferLoad {
            workers: load.kind(self.kind).workers,
            slots: self.pool.slots,
            units: units.fold(0, u32::saturating_add),
        })
    }

    /// Slots that have no unit.
    pub(super) fn free_slots(&self) -> u32 {
        let out: u32 = self.claimants.iter().map(|claimant| claimant.out).sum();
        self.pool.slots.saturating_sub(out)
    }

    /// Notes that claimant `i` got `got` of the units granted to it.
    pub(super) fn note_claim(&mut self, i: usize, got: u32, granted: u32) {
        let claimant = &mut self.claimants[i];
        self.pool.room -= got;
        claimant.out += got;
        self.usage[claimant.tenant].out += u64::from(got);
        claimant.wanted = if got < granted {
            0
        } else {
            claimant.wanted - got
        };
    }

    /// Notes why the ranking withheld units. The limits of endpoints precede it.
    pub(super) fn note_withheld(&mut self, withheld: Vec<Option<WaitReason>>) {
        for (i, withheld) in withheld.into_iter().enumerate() {
            let blocked = matches!(
                self.reasons[i],
                Some((WaitReason::EndpointLimit | WaitReason::EndpointBackoff, _))
            );
            if !blocked {
                self.reasons[i] = withheld
                    .filter(|_| self.claimants[i].wanted > 0)
                    .map(|reason| (reason, None));
            }
        }
    }

    /// Notes that steps wait because the only workers of the kind leave.
    pub(super) fn note_leaving(&mut self, load: &Load) {
        let leave = self.pool.slots == 0
            && load
                .leaving
                .iter()
                .any(|leaving| leaving.slots.contains_key(&self.kind));
        for (reason, _) in self
            .reasons
            .iter_mut()
            .zip(&self.claimants)
            .filter(|(_, c)| leave && c.wanted > 0)
        {
            *reason = Some((WaitReason::WorkersLeave, None));
        }
    }
}
