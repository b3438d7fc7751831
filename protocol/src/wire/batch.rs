//! Units as they stand in one stream entry: those of one step share their task.
use super::envelope::{self, BYTES_MAX};
use super::step::TaskSpec;
use super::unit::Unit;
use crate::id::{Kind, UnitId};
use crate::media::asset::Asset;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// One entry of a unit stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UnitBatch {
    /// Kind of work of its units.
    pub kind: Kind,
    /// What to do.
    pub task: Arc<TaskSpec>,
    /// When the job must be finished.
    pub deadline: Option<Timestamp>,
    /// What to do it to.
    pub units: Vec<UnitBody>,
}

/// What differs between the units of a batch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UnitBody {
    /// Id of the unit.
    pub id: UnitId,
    /// Its fencing token.
    pub epoch: u32,
    /// Attempts that failed.
    pub attempt: u32,
    /// Assets of the unit.
    pub assets: Vec<Asset>,
}

/// Room that is left for what a unit holds besides its assets, before it is measured.
const BESIDES: usize = 1 << 20;

/// Bytes of an entry with this unit alone, when these are more than may be sent.
pub fn too_long(unit: &Unit) -> Option<usize> {
    let assets: usize = unit.assets.iter().map(Asset::weight).sum();
    // Measuring is encoding: it is left to the few that come near the limit, or whose task has a size of its own.
    if assets + BESIDES < BYTES_MAX && !has_size(&unit.task) {
        return None;
    }
    // A batch of one has one byte more, its length.
    let bytes = envelope::measure(unit).map_or(usize::MAX, |bytes| bytes.saturating_add(1));
    (bytes > BYTES_MAX).then_some(bytes)
}

/// Whether a task holds more than a few paths.
fn has_size(task: &TaskSpec) -> bool {
    match task {
        TaskSpec::Qc(_)
        | TaskSpec::Judge(_)
        | TaskSpec::CompleteUploads(_)
        | TaskSpec::ScanSelected { .. }
        | TaskSpec::ScanWithoutLinks { .. } => true,
        TaskSpec::Alone(task) => has_size(task),
        _ => false,
    }
}

impl UnitBatch {
    /// Packs units into entries: units of the same step side by side, at most `units_max` an entry.
    pub fn pack(units: Vec<Unit>, units_max: usize) -> Vec<UnitBatch> {
        let mut batches: Vec<UnitBatch> = Vec::new();
        for unit in units {
            let body = UnitBody {
                id: unit.id,
                epoch: unit.epoch,
                attempt: unit.attempt,
                assets: unit.assets,
            };
            let fits = |last: &UnitBatch| {
                last.units.len() < units_max && Arc::ptr_eq(&last.task, &unit.task)
            };
            match batches.last_mut().filter(|last| fits(last)) {
                Some(last) => last.units.push(body),
                None => batches.push(UnitBatch {
                    kind: unit.kind,
                    task: unit.task,
                    deadline: unit.deadline,
                    units: vec![body],
                }),
            }
        }
        batches
    }

    /// The units of an entry.
    pub fn unpack(self) -> impl Iterator<Item = Unit> {
        let UnitBatch {
            kind,
            task,
            deadline,
            units,
        } = self;
        units.into_iter().map(move |body| Unit {
            id: body.id,
            epoch: body.epoch,
            attempt: body.attempt,
            kind,
            task: Arc::clone(&task),
            assets: body.assets,
            deadline,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{JobNo, StepNo};
    use crate::wire::step::noop::NoopTask;

    #[test]
    fn unit_is_too_long_exactly_when_its_entry_cannot_be_sent() {
        let asset = |bytes: usize| Asset {
            id: "a".into(),
            title: "t".into(),
            role: crate::media::asset::Role::Document,
            location: "x".repeat(bytes),
            path: "a".into(),
            bytes: None,
            hash: None,
            declared: None,
        };
        let unit = |bytes: usize| Unit {
            id: UnitId::new(JobNo(1), StepNo(0), 1),
            epoch: 1,
            attempt: 0,
            kind: Kind::Noop,
            task: Arc::new(TaskSpec::Noop(NoopTask {
                duration_min_us: 0,
                duration_max_us: 0,
                fail: 0.0,
            })),
            assets: vec![asset(bytes)],
            deadline: None,
        };
        let fits = |unit: Unit| {
            UnitBatch::pack(vec![unit], 1)
                .iter()
                .all(|batch| envelope::encode(batch).is_ok())
        };
        let room = BYTES_MAX - envelope::measure(&unit(1 << 20)).expect("measures") + (1 << 20);
        for bytes in [1, 1 << 20, room - 2, room - 1, room, room + 1, 5 << 20] {
            assert_eq!(
                too_long(&unit(bytes)).is_none(),
                fits(unit(bytes)),
                "{bytes} of about {room}"
            );
        }
        assert!(too_long(&unit(room - 1)).is_none() && too_long(&unit(room)).is_some());
    }

    #[test]
    fn packing_keeps_every_unit_and_its_task() {
        let task = |max| {
            Arc::new(TaskSpec::Noop(NoopTask {
                duration_min_us: 0,
                duration_max_us: max,
                fail: 0.0,
            }))
        };
        let (a, b) = (task(1), task(2));
        let units: Vec<Unit> = (0..7)
            .map(|part| Unit {
                id: UnitId::new(JobNo(1), StepNo(0), part),
                epoch: 1,
                attempt: 0,
                kind: Kind::Noop,
                task: Arc::clone(if part < 5 { &a } else { &b }),
                assets: vec![],
                deadline: None,
            })
            .collect();
        let batches = UnitBatch::pack(units.clone(), 3);
        assert_eq!(
            batches.iter().map(|b| b.units.len()).collect::<Vec<_>>(),
            [3, 2, 2]
        );
        let back: Vec<Unit> = batches.into_iter().flat_map(UnitBatch::unpack).collect();
        assert_eq!(back, units);
    }
}
