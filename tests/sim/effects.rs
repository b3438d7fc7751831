//! The world outside: what workers have made visible. A commit is a conditional put: the same effect twice is one.
use protocol::id::{JobNo, PartNo, StepNo, UnitId};
use std::collections::{BTreeMap, BTreeSet};

/// Effects by (asset, step) and the execution that made them.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    made: BTreeMap<(JobNo, StepNo, String), BTreeSet<(PartNo, u32)>>,
    /// Commits that found their effect already there.
    pub refused: u64,
}

impl Effects {
    /// Makes the effect of one execution on one asset visible.
    pub(crate) fn commit(&mut self, unit: UnitId, epoch: u32, asset: &str) {
        let made = self
            .made
            .entry((unit.job, unit.step, asset.to_owned()))
            .or_default();
        self.refused += u64::from(!made.insert((unit.part, epoch)));
    }

    /// Whether this very execution had an effect on the asset.
    pub(crate) fn under(&self, unit: UnitId, epoch: u32, asset: &str) -> bool {
        let made = self.made.get(&(unit.job, unit.step, asset.to_owned()));
        made.is_some_and(|made| made.contains(&(unit.part, epoch)))
    }

    /// Whether any execution had.
    pub(crate) fn any(&self, job: JobNo, step: StepNo, asset: &str) -> bool {
        self.made.contains_key(&(job, step, asset.to_owned()))
    }
}
