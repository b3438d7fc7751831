//! The state of the cluster when a turn begins: live workers, units that are out, and lessons since the last turn.
use crate::dispatch::endpoints::{Endpoints, Sign};
use protocol::id::{Execution, JobNo, Kind, StepNo, UnitId};
use protocol::rules::schedule::cost::Sketch;
use protocol::time::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;

/// One kind of work.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KindLoad {
    /// Slots of live workers that take work.
    pub slots: u32,
    /// Units that are out.
    pub out: u32,
    /// Least window, for work that ends faster than a round of publishing.
    pub floor: u32,
    /// Live workers that have such slots.
    pub workers: u32,
}

/// An execution that a worker has held for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Running {
    /// The unit that is executed.
    pub unit: UnitId,
    /// Epoch that fences this execution.
    pub epoch: u32,
    /// Capacity class of its step.
    pub kind: Kind,
    /// Its size class.
    pub size: u8,
    /// Time at which the worker took it.
    pub since: Timestamp,
}

/// Slots that go away at a moment known in advance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaving {
    /// Time at which the worker stops.
    pub at: Timestamp,
    /// Slots of the worker that go away then, by kind.
    pub slots: BTreeMap<Kind, u32>,
}

/// Measurements from units that ended since the last turn.
#[derive(Debug, Clone, Default)]
pub struct Experience {
    /// Durations by kind and size class.
    pub costs: BTreeMap<(Kind, u8), Sketch>,
    /// Signs of endpoints; a throttled one outweighs a served one.
    pub signs: BTreeMap<u16, Sign>,
}

impl Experience {
    /// Notes an execution that ended well.
    pub fn took(&mut self, kind: Kind, size: u8, us: u64) {
        self.costs.entry((kind, size)).or_default().note(us);
    }

    /// Notes what a unit's end says of its endpoints.
    pub fn sign(&mut self, endpoints: &Endpoints, sign: Sign) {
        for at in endpoints {
            let known = self.signs.entry(*at).or_insert(sign);
            let pause = |sign: &Sign| match sign {
                Sign::Served => None,
                Sign::Throttled(pause) => Some(pause.unwrap_or(Duration::ZERO)),
            };
            if pause(&sign) > pause(known) {
                *known = sign;
            }
        }
    }
}

/// The state of the cluster at the beginning of a turn.
#[derive(Debug, Clone, Default)]
pub struct Load {
    /// Slots and units by kind; an absent kind has none.
    pub kinds: BTreeMap<Kind, KindLoad>,
    /// Units out by step.
    pub steps: BTreeMap<(JobNo, StepNo), u32>,
    /// Units out by endpoint.
    pub busy: Vec<u32>,
    /// Measurements since the last turn.
    pub experience: Experience,
    /// Executions that run for long; not in every turn.
    pub running: Vec<Running>,
    /// Executions whose unit another execution has ended.
    pub obsolete: Vec<Execution>,
    /// Workers that said when they leave. Their slots are not among those of `kinds`.
    pub leaving: Vec<Leaving>,
}

impl Load {
    /// Slots and units of a kind; all zero when it is absent.
    pub fn kind(&self, kind: Kind) -> KindLoad {
        self.kinds.get(&kind).copied().unwrap_or_default()
    }
}
