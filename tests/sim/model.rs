//! What the store holds, read back and counted again from the rows alone: the reference that counters, barriers and the
//! graph are compared with. It shares no code with the services.
use coordinator::store::memory::Memory;
use coordinator::store::{
    BarrierRow, BarrierState, BarrierTx, JobRow, JobTx, ListingTx, Partition, PartitionTx, RowsOf,
    StepRow, StepTx, UnitRow, UnitTx,
};
use protocol::id::{JobNo, PartNo, StepNo};
use protocol::model::barrier::Scope;
use protocol::rules::barrier::{BarrierPolicy, Tally};
use protocol::rules::unit::transition::UnitState;
use protocol::workflow::on_failure::OnFailure;
use protocol::workflow::{Action, Workflow};
use std::collections::BTreeMap;
use std::rc::Rc;

/// One job as the store holds it.
#[derive(Debug, Clone)]
pub(crate) struct JobView {
    /// Its row.
    pub row: JobRow,
    /// What it runs.
    pub workflow: Rc<Workflow>,
    /// Counters of its steps.
    pub steps: Vec<StepRow>,
    /// Its partitions.
    pub parts: BTreeMap<PartNo, Partition>,
    /// Its units with a history.
    pub units: BTreeMap<(StepNo, PartNo), UnitRow>,
    /// Its barrier instances.
    pub barriers: BTreeMap<(StepNo, String), BarrierRow>,
    /// Rows that cannot be used and have been counted: title and asset.
    pub rejected: Vec<(String, String)>,
}

/// A partition of nothing.
fn stand_in() -> Partition {
    Partition {
        part: 0,
        title: String::new(),
        first: String::new(),
        last: String::new(),
        assets: 0,
        bytes: 0,
        parent: 0,
        split: false,
    }
}

/// What a unit's needs say about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// Everything is there.
    Met,
    /// Something has not ended, or a barrier is closed.
    Open,
    /// Something failed: it can never run.
    Failed,
}

impl JobView {
    /// Reads a job.
    pub(crate) fn read(memory: &mut Memory, no: JobNo, workflow: Option<Rc<Workflow>>) -> JobView {
        let row = memory
            .job(no)
            .expect("memory answers")
            .expect("a submitted job stays");
        let workflow =
            workflow.unwrap_or_else(|| Rc::new(memory.workflow(no).expect("a job has a workflow")));
        let steps = memory.steps(no).expect("memory answers");
        let planned = memory
            .partitions_after(no, 0, u32::MAX)
            .expect("memory answers");
        let split = memory.children(no, 0, PartNo::MAX).expect("memory answers");
        let split = memory.partitions(no, &split).expect("a child exists");
        let parts: BTreeMap<PartNo, Partition> = planned
            .into_iter()
            .chain(split)
            .map(|p| (p.part, p))
            .collect();
        let mut units = BTreeMap::new();
        let mut barriers = BTreeMap::new();
        let with_seal: Vec<PartNo> = std::iter::once(0).chain(parts.keys().copied()).collect();
        for (step, declared) in workflow.numbered() {
            if matches!(declared.action, Action::Barrier { .. }) {
                let rows = memory
                    .barriers(no, step, None, None, u32::MAX)
                    .expect("memory answers");
                barriers.extend(rows.into_iter().map(|row| ((step, row.key.clone()), row)));
            } else {
                let rows = memory.units(no, step, &with_seal).expect("memory answers");
                units.extend(
                    with_seal
                        .iter()
                        .zip(rows)
                        .filter_map(|(p, row)| Some(((step, *p), row?))),
                );
            }
        }
        let rejected = memory
            .counted_rows(no, RowsOf::Job, u32::MAX)
            .expect("memory answers")
            .into_iter();
        let rejected = rejected
            .map(|row| (row.title.unwrap_or_default(), row.asset.unwrap_or_default()))
            .collect();
        JobView {
            row,
            workflow,
            steps,
            parts,
            units,
            barriers,
            rejected,
        }
    }

    /// Whether nothing has happened between two views.
    pub(crate) fn same(&self, other: &JobView) -> bool {
        self.row == other.row
            && self.steps == other.steps
            && self.parts == other.parts
            && self.units == other.units
            && self.barriers == other.barriers
            && self.rejected == other.rejected
    }

    /// State of a unit's row.
    pub(crate) fn state(&self, step: StepNo, part: PartNo) -> Option<UnitState> {
        self.units.get(&(step, part)).map(|row| row.state)
    }

    /// Counters of a step.
    pub(crate) fn counters(&self, step: StepNo) -> &StepRow {
        self.steps
            .iter()
            .find(|s| s.step == step)
            .expect("every step has counters")
    }

    /// Whether a step's unit over a partition may run.
    pub(crate) fn needs(&self, step: StepNo, part: PartNo) -> Need {
        let needs = &self.workflow.step(step).expect("a declared step").needs;
        let mut all = Need::Met;
        for need in needs {
            match self.need(*need, part) {
                Need::Failed => return Need::Failed,
                Need::Open => all = Need::Open,
                Need::Met => {}
            }
        }
        all
    }

    fn need(&self, need: StepNo, part: PartNo) -> Need {
        let step = self.workflow.step(need).expect("a declared step");
        match &step.action {
            Action::Units { .. } | Action::Approval { .. } => match self.state(need, part) {
                Some(UnitState::Succeeded) => Need::Met,
                Some(UnitState::Dead) if step.on_failure == OnFailure::Continue => Need::Met,
                Some(UnitState::Dead | UnitState::Cancelled) => Need::Failed,
                _ => Need::Open,
            },
            Action::Barrier { .. } => {
                let inside = self.needs(need, part);
                let key = self.key(need, &self.parts[&part]);
                let open = self
                    .barriers
                    .get(&(need, key))
                    .is_some_and(|b| b.state == BarrierState::Released);
                if inside == Need::Met && !open {
                    Need::Open
                } else {
                    inside
                }
            }
            Action::Seal { .. } => Need::Open,
        }
    }

    /// The instance of a barrier a partition belongs to.
    pub(crate) fn key(&self, barrier: StepNo, partition: &Partition) -> String {
        let origin = if partition.parent > 0 {
            partition.parent
        } else {
            partition.part
        };
        match &self.workflow.step(barrier).expect("a declared step").action {
            Action::Barrier {
                scope: Scope::Title,
                ..
            } => partition.title.clone(),
            Action::Barrier {
                scope: Scope::Batch,
                batch_units,
                ..
            } => {
                format!("{:010}", (origin - 1) / i64::from(*batch_units))
            }
            _ => String::new(),
        }
    }

    /// The policy of a barrier.
    pub(crate) fn policy(&self, barrier: StepNo) -> BarrierPolicy {
        match &self.workflow.step(barrier).expect("a declared step").action {
            Action::Barrier { policy, .. } => *policy,
            _ => panic!("step {} is no barrier", barrier.0),
        }
    }

    /// The tallies a barrier's instances should have, by key.
    pub(crate) fn tallies(&self, barrier: StepNo) -> BTreeMap<String, Tally> {
        let sealed = self.row.phase == coordinator::store::Phase::Sealed;
        let needs = &self.workflow.step(barrier).expect("a declared step").needs;
        let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
        let count = |tally: &mut Tally, succeeded: bool, failed: bool| {
            tally.total += 1;
            tally.succeeded += u64::from(succeeded);
            tally.failed += u64::from(failed);
        };
        for partition in self.parts.values() {
            let tally = tallies.entry(self.key(barrier, partition)).or_default();
            for need in needs
                .iter()
                .filter(|n| self.workflow.step(**n).is_some_and(|s| s.has_units()))
            {
                let ended = self.need(*need, partition.part);
                count(tally, ended == Need::Met, ended == Need::Failed);
            }
        }
        for (title, asset) in &self.rejected {
            // What a row stands for is missing where its partition would be.
            let by_title = self.workflow.partition.by_title;
            let at = |p: &&Partition| {
                (by_title.then_some(&p.title), &p.first) <= (by_title.then_some(title), asset)
            };
            let planned = || self.parts.values().filter(|p| p.parent == 0);
            let part = planned().filter(at).map(|p| p.part).max().unwrap_or(1);
            let home = Partition {
                part,
                title: title.clone(),
                ..stand_in()
            };
            for need in needs
                .iter()
                .filter(|n| self.workflow.step(**n).is_some_and(|s| s.has_units()))
            {
                let _ = need;
                count(
                    tallies.entry(self.key(barrier, &home)).or_default(),
                    false,
                    true,
                );
            }
        }
        for inner in self
            .barriers
            .values()
            .filter(|row| needs.contains(&row.step))
        {
            let tally = tallies.entry(String::new()).or_default();
            count(
                tally,
                inner.state == BarrierState::Released,
                inner.state == BarrierState::Held,
            );
        }
        tallies.values_mut().for_each(|tally| tally.sealed = sealed);
        tallies
    }

    /// Whether a step's units exist without rows until they have a history.
    pub(crate) fn computed(&self, step: StepNo) -> bool {
        self.workflow
            .step(step)
            .is_some_and(|s| s.needs.is_empty() && s.has_units())
    }
}
