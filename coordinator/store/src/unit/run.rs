//! Run-length encoding of successes: neighbours that succeeded at their first execution are one row in a database.
//!
//! Most units of a job are such, and neighbours end together because one worker received them together. A unit that is
//! scattered, failed or was retried has a row of its own. So has a unit of a run that changes later.
use super::UnitRow;
use protocol::id::PartNo;
use protocol::rules::unit::transition::UnitState;

/// Shortest run; shorter ones are stored as rows of units.
const LENGTH_MIN: usize = 8;
/// Longest run: it bounds how far before a partition its run may begin.
pub(crate) const LENGTH_MAX: PartNo = 4_096;

/// Neighbours of one step that succeeded at their first execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SuccessRun {
    /// First partition of the run.
    pub(super) first: PartNo,
    /// Last partition of the run.
    pub(super) last: PartNo,
    /// Microseconds of their executions, summed.
    pub(super) busy_us: u64,
}

impl SuccessRun {
    /// Number of units in the run.
    fn len(&self) -> u64 {
        u64::try_from(self.last - self.first + 1)
            .unwrap_or(1)
            .max(1)
    }

    /// The row of any unit in the run. Single durations are not stored: each unit shows the mean.
    pub(super) fn row(&self) -> UnitRow {
        UnitRow {
            state: UnitState::Succeeded,
            epoch: 1,
            attempt: 0,
            due_at: None,
            duration_us: self.busy_us / self.len(),
        }
    }
}

/// The row of a partition that one of these runs, in ascending order, covers.
pub(super) fn within(runs: &[SuccessRun], part: PartNo) -> Option<UnitRow> {
    let after = runs.partition_point(|run| run.first <= part);
    runs[..after]
        .last()
        .filter(|run| part <= run.last)
        .map(SuccessRun::row)
}

/// Whether a unit that had no row before can be part of a run.
pub(super) fn is_plain_success(row: &UnitRow) -> bool {
    row.state == UnitState::Succeeded && row.epoch == 1 && row.attempt == 0
}

/// Splits plain successes, in ascending order, into runs and single units.
pub(super) fn encode_runs(
    units: &[(PartNo, UnitRow)],
) -> (Vec<SuccessRun>, Vec<(PartNo, UnitRow)>) {
    let (mut runs, mut single) = (Vec::new(), Vec::new());
    let mut rest = units;
    while let Some((first, _)) = rest.first() {
        let follows =
            |(n, (part, _)): &(PartNo, &(PartNo, UnitRow))| *part == first + n && *n < LENGTH_MAX;
        let length = (0..).zip(rest).take_while(follows).count();
        let (run, tail) = rest.split_at(length);
        if length < LENGTH_MIN {
            single.extend_from_slice(run);
        } else {
            let busy_us = run
                .iter()
                .map(|(_, row)| row.duration_us)
                .fold(0, u64::saturating_add);
            runs.push(SuccessRun {
                first: *first,
                last: run[length - 1].0,
                busy_us,
            });
        }
        rest = tail;
    }
    (runs, single)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn success(part: PartNo) -> (PartNo, UnitRow) {
        let row = UnitRow {
            state: UnitState::Succeeded,
            epoch: 1,
            attempt: 0,
            due_at: None,
            duration_us: part.unsigned_abs(),
        };
        (part, row)
    }

    #[test]
    fn long_runs_are_cut_and_short_ones_stay() {
        let units: Vec<_> = (1..=5_000).chain(6_000..6_003).map(success).collect();
        let (runs, single) = encode_runs(&units);
        assert_eq!(
            runs.iter()
                .map(|run| (run.first, run.last))
                .collect::<Vec<_>>(),
            [(1, 4_096), (4_097, 5_000)]
        );
        assert_eq!(single, units[5_000..]);
        assert_eq!(encode_runs(&[]), (vec![], vec![]));
    }

    proptest! {
        /// Every unit is in exactly one run or by itself, and no time is lost.
        #[test]
        fn nothing_is_lost_or_doubled(parts in prop::collection::btree_set(1i64..400, 0..300)) {
            let units: Vec<_> = parts.iter().copied().map(success).collect();
            let (runs, single) = encode_runs(&units);
            let mut seen: Vec<PartNo> = single.iter().map(|(part, _)| *part).collect();
            for run in &runs {
                prop_assert!(run.len() >= LENGTH_MIN as u64);
                seen.extend(run.first..=run.last);
            }
            let total: u64 = runs.iter().map(|run| run.busy_us).sum::<u64>() + single.iter().map(|(_, row)| row.duration_us).sum::<u64>();
            prop_assert_eq!(total, units.iter().map(|(_, row)| row.duration_us).sum::<u64>());
            prop_assert_eq!(seen.len(), parts.len());
            prop_assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), parts);
        }
    }
}
