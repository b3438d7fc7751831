//! Executions that are out, counted by kind, by step and by endpoint.
use protocol::id::{JobNo, Kind, StepNo, UnitId};
use protocol::rules::schedule::endpoint::EndpointLimit;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Counts of executions that are out.
#[derive(Debug, Default)]
pub(super) struct Usage {
    limits: Arc<[EndpointLimit]>,
    busy: Vec<u32>,
    by_kind: BTreeMap<Kind, u32>,
    by_step: BTreeMap<(JobNo, StepNo), u32>,
}

impl Usage {
    /// Sets the endpoints to count by.
    pub(super) fn limit(&mut self, limits: Arc<[EndpointLimit]>) {
        self.busy = vec![0; limits.len()];
        self.limits = limits;
    }

    /// The endpoints that are counted.
    pub(super) fn limits(&self) -> &[EndpointLimit] {
        &self.limits
    }

    /// Counts an execution in, or out.
    pub(super) fn count(&mut self, unit: UnitId, kind: Kind, endpoints: &[u16], up: bool) {
        let add = |n: &mut u32| *n = if up { *n + 1 } else { n.saturating_sub(1) };
        add(self.by_kind.entry(kind).or_default());
        let step = self.by_step.entry((unit.job, unit.step)).or_default();
        add(step);
        if *step == 0 {
            self.by_step.remove(&(unit.job, unit.step));
        }
        for at in endpoints {
            self.busy
                .get_mut(usize::from(*at))
                .into_iter()
                .for_each(add);
        }
    }

    /// Executions of a kind.
    pub(super) fn of_kind(&self, kind: Kind) -> u32 {
        self.by_kind.get(&kind).copied().unwrap_or(0)
    }

    /// Executions by step.
    pub(super) fn by_step(&self) -> &BTreeMap<(JobNo, StepNo), u32> {
        &self.by_step
    }

    /// Executions by endpoint.
    pub(super) fn by_endpoint(&self) -> &[u32] {
        &self.busy
    }
}
