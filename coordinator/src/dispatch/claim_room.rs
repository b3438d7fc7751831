//! Bounds what the units of one turn hold: a unit has up to fifty thousand assets, so their number bounds neither the
//! transaction that claims them nor the memory and the messages they take.
use crate::store::Partition;
use crate::store::cost::page as share_of;
use protocol::id::{JobNo, StepNo};
use protocol::media::asset::Asset;
use protocol::wire::step::TaskSpec;
use protocol::wire::unit::Unit;
use std::collections::BTreeMap;

/// Assets of the units claimed in one turn; the last unit may exceed it.
const ASSETS_MAX: u32 = 50_000;
/// Bytes of their rows.
const BYTES_MAX: u64 = 32 << 20;
/// Units of a step that are claimed before the size of one is known.
const UNITS_FIRST: u64 = 64;
/// Sizes of steps that are remembered at most.
const WEIGHTS_MAX: usize = 10_000;

/// What the units of one turn may still hold, and how large units of each step are. It may be lost between turns.
#[derive(Debug, Default)]
pub struct ClaimRoom {
    /// Bytes that units of a step had when they were claimed last.
    weights: BTreeMap<(JobNo, StepNo), u64>,
    assets: u64,
    bytes: u64,
    claimed: bool,
}

impl ClaimRoom {
    /// A turn begins that has claimed nothing.
    pub fn begin(&mut self) {
        (self.assets, self.bytes, self.claimed) = (share_of(ASSETS_MAX).into(), BYTES_MAX, false);
    }

    /// Forgets an ended job.
    pub fn forget(&mut self, job: JobNo) {
        self.weights.retain(|(no, _), _| *no != job);
    }

    /// Whether no further unit fits.
    pub fn is_taken(&self) -> bool {
        self.claimed && (self.assets == 0 || self.bytes == 0)
    }

    /// Units of a step that may be read at once, as far as their size is known.
    pub fn units(&self, job: JobNo, step: StepNo) -> u32 {
        if self.is_taken() {
            return 0;
        }
        let known = self.weights.get(&(job, step));
        let units = known.map_or(UNITS_FIRST, |weight| {
            self.bytes / weight.saturating_mul(2).max(1)
        });
        u32::try_from(units.max(1)).unwrap_or(u32::MAX)
    }

    /// How many of these partitions fit, in order; one when nothing was claimed yet.
    pub fn fitting(&self, partitions: &[Partition]) -> usize {
        let mut left = self.assets;
        let fits = |partition: &&Partition| {
            let fits = left > 0;
            left = left.saturating_sub(partition.assets.into());
            fits
        };
        let least = usize::from(!self.claimed).min(partitions.len());
        partitions.iter().take_while(fits).count().max(least)
    }

    /// Takes the room of units that were claimed.
    pub fn take(&mut self, units: &[Unit]) {
        for unit in units {
            let bytes = weight_of(unit);
            self.claimed = true;
            self.assets = self.assets.saturating_sub(unit.assets.len() as u64);
            self.bytes = self.bytes.saturating_sub(bytes);
            if self.weights.len() >= WEIGHTS_MAX {
                self.weights.clear();
            }
            let known = self
                .weights
                .entry((unit.id.job, unit.id.step))
                .or_insert(bytes);
            // One large unit counts for a while, so that many like it are not read at once.
            *known = bytes.max(*known - *known / 16);
        }
    }
}

/// Bytes of the assets of a unit, and of what is known of them.
fn weight_of(unit: &Unit) -> u64 {
    let assets: usize = unit.assets.iter().map(Asset::weight).sum();
    let known: usize = match unit.task.as_ref() {
        TaskSpec::Judge(task) => task.known.iter().map(|known| known.sheet.len()).sum(),
        _ => 0,
    };
    (assets + known) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::id::{Kind, UnitId};
    use protocol::media::asset::Role;
    use protocol::wire::step::noop::NoopTask;
    use std::sync::Arc;

    fn partition(assets: u32) -> Partition {
        let (title, first, last) = (String::new(), String::new(), String::new());
        Partition {
            part: 1,
            title,
            first,
            last,
            assets,
            bytes: 0,
            parent: 0,
            split: false,
        }
    }

    fn unit(text: usize) -> Unit {
        let asset = Asset {
            id: "a".into(),
            title: "t".into(),
            role: Role::Master,
            location: "x".repeat(text),
            path: "a".into(),
            bytes: None,
            hash: None,
            declared: None,
        };
        let task = TaskSpec::Noop(NoopTask {
            duration_min_us: 0,
            duration_max_us: 0,
            fail: 0.0,
        });
        let id = UnitId::new(JobNo(1), StepNo(0), 1);
        let (task, assets) = (Arc::new(task), vec![asset]);
        Unit {
            id,
            epoch: 1,
            attempt: 0,
            kind: Kind::Noop,
            task,
            assets,
            deadline: None,
        }
    }

    #[test]
    fn units_of_a_turn_are_bounded_in_assets_and_one_always_fits() {
        let mut room = ClaimRoom::default();
        room.begin();
        assert_eq!(room.fitting(&[partition(60_000), partition(1)]), 1);
        assert_eq!(
            room.fitting(&[partition(30_000), partition(30_000), partition(1)]),
            2
        );
        assert_eq!(room.fitting(&[]), 0);
    }

    #[test]
    fn units_of_a_turn_are_bounded_in_bytes_by_what_was_seen() {
        let mut room = ClaimRoom::default();
        room.begin();
        assert_eq!(u64::from(room.units(JobNo(1), StepNo(0))), UNITS_FIRST);
        room.take(&[unit(1 << 20)]);
        assert!(room.units(JobNo(1), StepNo(0)) <= 16 && !room.is_taken());
        (0..32).for_each(|_| room.take(&[unit(1 << 20)]));
        assert!(room.is_taken());
        assert_eq!(
            (
                room.units(JobNo(1), StepNo(0)),
                room.fitting(&[partition(1)])
            ),
            (0, 1)
        );
        room.begin();
        assert!(
            room.units(JobNo(1), StepNo(0)) <= 16,
            "the next turn knows it"
        );
    }
}
