//! Claimants of a kind: how many units each step wants, and how much of the kind its tenant has used.
use crate::dispatch::work::Work;
use crate::dispatch::{Schedule, TurnContext, forecast};
use protocol::id::Kind;
use protocol::model::priority::Priority;
use protocol::rules::schedule::fairness::Usage;
use protocol::rules::schedule::ranking::{Claimant, HEAVY, latest_start};
use std::collections::BTreeMap;

impl Schedule {
    /// A claimant for each step, in the same sequence, and the usage of the tenants they refer to.
    pub(super) fn claimants(
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
            claimant.wanted = claimant.wanted.saturating_add(turn.multiparts.ready(
                work.job.no,
                work.step,
                turn.now,
            ));
            claimants.push(claimant);
        }
        (claimants, usage)
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
}
