//! Steps of running jobs that may have units to dispatch, and what their tenants have spent.
use crate::dispatch::load::Load;
use crate::dispatch::{Schedule, forecast};
use crate::store::{JobRow, JobState, StepRow, StoreResult, Tx};
use crate::workflows::Workflows;
use protocol::id::{Kind, StepNo};
use protocol::time::Timestamp;
use protocol::workflow::Workflow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// A step that may have units to dispatch.
pub(super) struct Work {
    pub(super) job: Arc<JobRow>,
    pub(super) workflow: Arc<Workflow>,
    pub(super) step: StepNo,
    pub(super) counter: StepRow,
    pub(super) kind: Kind,
    pub(super) remaining: Duration,
}

impl Schedule {
    /// Reads the steps of running jobs, by kind, and charges their tenants.
    pub(super) fn gather(
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
}
