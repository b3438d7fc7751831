//! Signs of life, and the executions whose worker gives none any more.
use super::{Lapsed, Leases, Out};
use crate::leader::memory::stray::SETTLED;
use crate::reconcile::rescuer::LostWith;
use protocol::id::{Execution, Kind, UnitId, WorkerId};
use protocol::rules::unit::lease::{Lease, LeaseDecision, LeaseLimits, decide};
use protocol::time::Timestamp;
use protocol::wire::report::Heartbeat;
use std::collections::BTreeMap;

impl Leases {
    /// Takes a sign of life. The first worker that shows an execution holds it: another that shows the same one, from an
    /// entry that was delivered twice or by intent, neither becomes its holder nor keeps its lease.
    pub fn heard(&mut self, beat: &Heartbeat, now: Timestamp) {
        let mut busy = BTreeMap::new();
        for Execution { unit, epoch } in &beat.held {
            if !self.holds(*unit, *epoch) && self.strays.note(*unit, *epoch, now) {
                self.obsolete.push(unit.execution(*epoch));
            }
            let Some(out) = self.out.get(unit) else {
                continue;
            };
            *busy.entry(out.kind).or_default() += 1;
            let list = if out.lease.epoch == *epoch {
                &mut self.out
            } else {
                &mut self.older
            };
            let of_this = |out: &&mut Out| {
                let holder = out.lease.held.as_ref();
                out.lease.epoch == *epoch && holder.is_none_or(|(holder, _)| *holder == beat.worker)
            };
            if let Some(out) = list.get_mut(unit).filter(of_this) {
                out.lease.held = Some((beat.worker.clone(), now));
                out.running_since.get_or_insert(now);
                out.called_back_at = out.called_back_at.filter(|at| now.since(*at) < SETTLED);
            }
        }
        self.workers.heard(beat, busy, now);
    }

    /// Executions whose worker has fallen silent; workers silent for long are forgotten.
    pub fn lapsed(&mut self, limits: &LeaseLimits, now: Timestamp) -> Vec<Lapsed> {
        self.strays.forget(now);
        let now = self.as_heard(now);
        let since = self.readable_since;
        self.workers.forget_silent(limits, since, now);
        self.workers.note_full(limits, now);
        // While every slot is taken, an unclaimed unit waits its turn and is not lost. Taken back, it would go to the end of
        // the stream each time and never run.
        let evidence = |lease: &Lease, kind: &Kind| match lease.held {
            Some(_) => since,
            None => self
                .workers
                .full_at(*kind)
                .map_or(since, |full| since.max(full)),
        };
        let mut lapsed: Vec<Lapsed> = self
            .all()
            .filter(|(_, out)| {
                decide(&out.lease, limits, evidence(&out.lease, &out.kind), now)
                    == LeaseDecision::Reclaim
            })
            .map(|(unit, out)| {
                let (unit, epoch) = (*unit, out.lease.epoch);
                let holder = out.lease.held.as_ref();
                let with =
                    holder.and_then(|(worker, _)| self.lost_with(worker, unit, epoch, limits, now));
                let vanished = with.is_none()
                    && holder.is_some_and(|(worker, shown)| self.let_go(worker, *shown));
                Lapsed {
                    unit,
                    epoch,
                    with,
                    vanished,
                }
            })
            .collect();
        lapsed.sort_unstable_by_key(|lapsed| (lapsed.unit, lapsed.epoch));
        lapsed
    }

    /// The worker that an execution was lost with: one that has fallen silent. A worker that lives, or was leaving, has
    /// not been killed.
    pub fn lost_with(
        &self,
        worker: &WorkerId,
        unit: UnitId,
        epoch: u32,
        limits: &LeaseLimits,
        now: Timestamp,
    ) -> Option<LostWith> {
        let now = self.as_heard(now);
        let dead = self
            .workers
            .is_dead(worker, limits, self.readable_since, now);
        let alone = self
            .alone
            .get(&unit)
            .is_some_and(|(of, by)| *of == epoch && by == worker);
        dead.then(|| LostWith {
            worker: worker.0.clone(),
            alone,
        })
    }

    /// Whether a worker sends heartbeats that no longer show a unit it last showed at `shown`: its report never arrived. A
    /// worker that leaves hands its units back.
    fn let_go(&self, worker: &WorkerId, shown: Timestamp) -> bool {
        self.workers
            .all()
            .get(worker)
            .is_some_and(|seen| !seen.draining && seen.heard_at > shown)
    }
}
