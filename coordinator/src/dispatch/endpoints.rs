//! The endpoints of a unit, and the room that each endpoint has left in this turn.
use protocol::media::template;
use protocol::rules::schedule::endpoint::{
    EndpointLimit, EndpointRoom, EndpointState, endpoint_of,
};
use protocol::rules::schedule::wait_reason::WaitReason;
use protocol::time::Timestamp;
use protocol::wire::step::TaskSpec;
use protocol::wire::unit::Unit;
use protocol::workflow::{Action, Step, Workflow};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Endpoints by their place in the configured list.
pub type Endpoints = Box<[u16]>;

/// Evidence of an ended unit about its endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// They served it.
    Served,
    /// One of them throttled it, and asked for this pause.
    Throttled(Option<Duration>),
}

/// The endpoints a unit uses: those its assets are read from and those it writes to.
pub fn of_unit(limits: &[EndpointLimit], unit: &Unit) -> Endpoints {
    if limits.is_empty() {
        return Endpoints::default();
    }
    let mut found = Vec::new();
    for asset in &unit.assets {
        found.extend(endpoint_of(limits, &asset.location));
        if let Some(task) = unit.task.transfer()
            && let Ok(target) = template::expand(&task.to, asset)
        {
            found.extend(endpoint_of(limits, &target));
        }
    }
    match unit.task.as_ref() {
        TaskSpec::Seal(task) | TaskSpec::SealCopy { seal: task, .. } => {
            found.extend(endpoint_of(limits, &task.root))
        }
        TaskSpec::Purge(task) => {
            let copies = unit
                .assets
                .iter()
                .filter_map(|asset| template::follow(&task.keep, asset).ok());
            found.extend(copies.filter_map(|copy| endpoint_of(limits, &copy)));
        }
        _ => {}
    }
    unique(found)
}

/// The endpoints that every unit of a step uses, as far as its declaration tells.
pub(super) fn of_step(limits: &[EndpointLimit], workflow: &Workflow, step: &Step) -> Endpoints {
    if limits.is_empty() {
        return Endpoints::default();
    }
    let target = |step: &Step| match &step.action {
        Action::Units { task, .. } => task
            .transfer()
            .and_then(|task| endpoint_of(limits, task.to.split('{').next().unwrap_or_default())),
        Action::Seal { .. } | Action::Barrier { .. } | Action::Approval { .. } => None,
    };
    let mut found: Vec<usize> = target(step).into_iter().collect();
    if let Action::Units {
        reads: Some(from), ..
    } = &step.action
    {
        found.extend(workflow.step(*from).and_then(target));
    }
    unique(found)
}

fn unique(mut found: Vec<usize>) -> Endpoints {
    found.sort_unstable();
    found.dedup();
    found
        .into_iter()
        .filter_map(|at| u16::try_from(at).ok())
        .collect()
}

/// What endpoints may still take. Only the leader admits, so no number of workers overshoots.
#[derive(Debug, Default)]
pub struct EndpointBook {
    limits: Arc<[EndpointLimit]>,
    states: Vec<EndpointState>,
    busy: Vec<u32>,
    now: Timestamp,
}

impl EndpointBook {
    /// A book over these limits.
    pub fn new(limits: Arc<[EndpointLimit]>) -> EndpointBook {
        EndpointBook {
            limits,
            ..EndpointBook::default()
        }
    }

    /// Limits of the endpoints, in the order of their numbers.
    pub fn limits(&self) -> &Arc<[EndpointLimit]> {
        &self.limits
    }

    /// Whether nothing is limited.
    pub fn is_empty(&self) -> bool {
        self.limits.is_empty()
    }

    /// Begins a turn: units out by endpoint, and what ended units said.
    pub(super) fn begin(&mut self, busy: Vec<u32>, signs: BTreeMap<u16, Sign>, now: Timestamp) {
        if self.states.len() != self.limits.len() {
            self.states = vec![EndpointState::new(now); self.limits.len()];
        }
        self.busy = busy;
        self.busy.resize(self.limits.len(), 0);
        self.now = now;
        for (at, sign) in signs {
            let Some(state) = self.states.get_mut(usize::from(at)) else {
                continue;
            };
            match sign {
                Sign::Served => state.served(now),
                Sign::Throttled(pause) => state.throttled(pause, now),
            }
        }
    }

    /// Why no unit may use these endpoints now, and until when, where that is known.
    pub fn blocked(&mut self, endpoints: &[u16]) -> Option<(WaitReason, Option<Timestamp>)> {
        endpoints.iter().find_map(|at| match self.room(*at) {
            EndpointRoom::Units(_) => None,
            EndpointRoom::Full(until) => Some((WaitReason::EndpointLimit, until)),
            EndpointRoom::Closed(until) => Some((WaitReason::EndpointBackoff, Some(until))),
        })
    }

    /// Takes a unit's place at every endpoint it uses, if all of them have one.
    pub fn admit(&mut self, endpoints: &[u16]) -> bool {
        if self.blocked(endpoints).is_some() {
            return false;
        }
        for at in endpoints.iter().map(|at| usize::from(*at)) {
            self.states[at].spend(&self.limits[at], 1);
            self.busy[at] += 1;
        }
        true
    }

    fn room(&mut self, at: u16) -> EndpointRoom {
        let at = usize::from(at);
        self.states[at].room(&self.limits[at], self.busy[at], self.now)
    }
}
