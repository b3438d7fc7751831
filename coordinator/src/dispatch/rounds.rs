//! The rounds of one kind in a turn: ranks the claimants, claims what the ranking grants, and notes why the others wait.
use crate::dispatch::endpoints::of_step;
use crate::dispatch::kind_turn::KindTurn;
use crate::dispatch::work::Work;
use crate::dispatch::{Claimed, Schedule, TurnContext};
use crate::store::{StoreResult, Tx};
use protocol::id::Kind;
use protocol::rules::schedule::ranking::{Pool, hand_out};
use protocol::rules::schedule::wait_reason::WaitReason;
use protocol::time::Timestamp;

/// A kind's room is handed out again this often in a turn when claimants had less than they seemed to have.
const ROUNDS: usize = 3;

impl Schedule {
    /// Claims units of one kind and notes why the steps that got less wait.
    pub(super) fn hand_out_kind(
        &mut self,
        tx: &mut dyn Tx,
        (kind, pool): (Kind, Pool),
        works: &[Work],
        turn: &mut TurnContext<'_>,
        claimed: &mut Claimed,
    ) -> StoreResult<()> {
        let (claimants, usage) = self.claimants(kind, works, turn);
        let mut of = KindTurn {
            kind,
            pool,
            works,
            claimants,
            usage,
            reasons: vec![None; works.len()],
        };
        let slices = of.wanted_slices(turn.load);
        self.withhold_blocked(&mut of);
        for _ in 0..ROUNDS {
            let short = self.hand_out_round(tx, &mut of, slices, turn, claimed)?;
            if !short || of.pool.room == 0 {
                break;
            }
        }
        of.note_leaving(turn.load);
        self.copy_stragglers(tx, &of, turn, claimed)?;
        self.note_blocks(&of, turn.now, claimed);
        Ok(())
    }

    /// Steps whose endpoints admit nothing now want nothing in this turn.
    fn withhold_blocked(&mut self, of: &mut KindTurn<'_>) {
        for (i, work) in of.works.iter().enumerate() {
            let Some(step) = work.workflow.step(work.step) else {
                continue;
            };
            let endpoints = of_step(self.book.limits(), &work.workflow, step);
            of.reasons[i] = self
                .book
                .blocked(&endpoints)
                .filter(|_| of.claimants[i].wanted > 0);
            if of.reasons[i].is_some() {
                of.claimants[i].wanted = 0;
            }
        }
    }

    /// Ranks the claimants once and claims what they are granted. Returns whether one had less than it was granted.
    fn hand_out_round(
        &mut self,
        tx: &mut dyn Tx,
        of: &mut KindTurn<'_>,
        slices: Option<u32>,
        turn: &mut TurnContext<'_>,
        claimed: &mut Claimed,
    ) -> StoreResult<bool> {
        let credits = self.credits.entry(of.kind).or_default();
        let out = hand_out(of.pool, &of.claimants, &of.usage, credits);
        let mut short = false;
        for grant in out.grants {
            let work = &of.works[grant.claimant];
            let (units, gated) = self.claim(tx, work, grant.units, slices, turn)?;
            let got = units.len() as u32;
            claimed
                .units
                .extend(units.into_iter().map(|unit| (work.job.priority, unit)));
            short |= got < grant.units;
            of.note_claim(grant.claimant, got, grant.units);
            if gated {
                of.reasons[grant.claimant] = Some((WaitReason::EndpointLimit, None));
            }
        }
        of.note_withheld(out.withheld);
        Ok(short)
    }

    /// Keeps why each step waits, and when the next turn is due because of it.
    fn note_blocks(&mut self, of: &KindTurn<'_>, now: Timestamp, claimed: &mut Claimed) {
        for (work, reason) in of.works.iter().zip(&of.reasons) {
            let until = reason.and_then(|(_, until)| until);
            claimed.due = [claimed.due, until].into_iter().flatten().min();
            self.blocks.note(work.job.no, work.step, *reason, now);
        }
    }
}
