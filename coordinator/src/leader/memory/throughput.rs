//! In-memory transfer rates, from progress reports of running units and from their ends. A unit of a second is never seen
//! running; its bytes count when it ends.
use crate::store::{RATE_UNITS_MAX, TransferRate, UnitTransferRate};
use protocol::id::{Execution, JobNo, StepNo, UnitId, WorkerId};
use protocol::rules::cluster::smoothing::Rate;
use protocol::time::Timestamp;
use protocol::wire::report::{Outcome, Progress, UnitProgress, UnitResult};
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// Units and jobs without a report for this long are forgotten.
const UNIT_KEPT: Duration = Duration::from_secs(60);
const JOB_KEPT: Duration = Duration::from_secs(600);

/// Bytes and rate of one execution, from its latest progress report.
#[derive(Debug)]
struct UnitRate {
    worker: WorkerId,
    bytes: u64,
    rate: Rate,
    heard_at: Timestamp,
}

/// Transfer rates of units and jobs.
#[derive(Debug, Default)]
pub struct TransferRates {
    units: HashMap<Execution, UnitRate>,
    /// Bytes that slices of units have moved: they are no news at the ends of those.
    sliced: HashMap<UnitId, u64>,
    jobs: BTreeMap<JobNo, (Total, Timestamp)>,
    all: Total,
    /// Whether the last report of rates named any job.
    reported: bool,
}

/// Bytes that have been added up, and how fast.
#[derive(Debug, Default, Clone, Copy)]
struct Total {
    bytes: u64,
    rate: Rate,
}

impl Total {
    fn add(&mut self, bytes: u64, now: Timestamp) {
        self.bytes = self.bytes.saturating_add(bytes);
        self.rate.note(self.bytes, now);
    }
}

impl TransferRates {
    /// Takes a progress report in.
    pub fn on_progress(&mut self, progress: &Progress, now: Timestamp) {
        for UnitProgress { execution, bytes } in &progress.units {
            let unit = execution.unit;
            let moving = self.units.entry(*execution).or_insert_with(|| {
                let mut rate = Rate::default();
                rate.note(0, now);
                UnitRate {
                    worker: progress.worker.clone(),
                    bytes: 0,
                    rate,
                    heard_at: now,
                }
            });
            let more = bytes.saturating_sub(moving.bytes);
            moving.rate.note(*bytes, now);
            (moving.bytes, moving.heard_at) = (moving.bytes.max(*bytes), now);
            if unit.slice.is_some() {
                *self.sliced.entry(unit.whole()).or_default() += more;
            }
            self.add(unit.job, more, now);
        }
    }

    /// Takes the end of an execution in.
    pub fn on_outcome(&mut self, outcome: &Outcome, now: Timestamp) {
        let before = self
            .units
            .remove(&outcome.unit.execution(outcome.epoch))
            .map_or(0, |moving| moving.bytes);
        let UnitResult::Finished { facts, .. } = &outcome.result else {
            return;
        };
        let before = before + self.sliced.remove(&outcome.unit).unwrap_or(0);
        let moved = facts
            .iter()
            .filter(|fact| !fact.skipped)
            .filter_map(|fact| fact.bytes)
            .fold(0, u64::saturating_add);
        // Work that moves no bytes has no rate.
        if moved + before > 0 {
            self.add(outcome.unit.job, moved.saturating_sub(before), now);
        }
    }

    fn add(&mut self, job: JobNo, bytes: u64, now: Timestamp) {
        let (total, heard_at) = self.jobs.entry(job).or_insert((Total::default(), now));
        *heard_at = now;
        total.add(bytes, now);
        self.all.add(bytes, now);
    }

    /// Bytes a second of everything.
    pub fn per_second(&self, now: Timestamp) -> f64 {
        self.all.rate.at(now)
    }

    /// The rates to write now; `None` when no job moves bytes and the last report was empty, too.
    pub fn to_tell(&mut self, now: Timestamp) -> Option<Vec<(JobNo, TransferRate, Vec<StepNo>)>> {
        let by_job = self.by_job(now);
        let before = std::mem::replace(&mut self.reported, !by_job.is_empty());
        (self.reported || before).then_some(by_job)
    }

    /// Rates by job, with the steps of its units by number. Forgets units and jobs without recent progress reports.
    pub fn by_job(&mut self, now: Timestamp) -> Vec<(JobNo, TransferRate, Vec<StepNo>)> {
        self.units
            .retain(|_, moving| now.since(moving.heard_at) <= UNIT_KEPT);
        self.jobs
            .retain(|_, (_, heard_at)| now.since(*heard_at) <= JOB_KEPT);
        self.sliced
            .retain(|unit, _| self.jobs.contains_key(&unit.job));
        let by_job = self.jobs.iter().map(|(job, (total, _))| {
            let of_job = self
                .units
                .iter()
                .filter(|(execution, _)| execution.unit.job == *job);
            let mut units: Vec<_> = of_job.collect();
            units.sort_unstable_by_key(|(execution, moving)| (Reverse(moving.bytes), **execution));
            units.truncate(RATE_UNITS_MAX);
            let steps = units
                .iter()
                .map(|(execution, _)| execution.unit.step)
                .collect();
            let units =
                units
                    .into_iter()
                    .map(|(Execution { unit, .. }, moving)| UnitTransferRate {
                        step: String::new(),
                        part: unit.part,
                        worker: moving.worker.0.clone(),
                        bytes: moving.bytes,
                        total: None,
                        bytes_per_second: moving.rate.at(now).round(),
                    });
            let rate = TransferRate {
                bytes_moved: total.bytes,
                bytes_per_second: total.rate.at(now).round(),
                units: units.collect(),
                at: Some(now),
            };
            (*job, rate, steps)
        });
        by_job.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::media::asset::AssetFact;

    fn at(seconds: i64) -> Timestamp {
        Timestamp(seconds * 1_000_000)
    }

    fn unit(part: i64) -> UnitId {
        UnitId::new(JobNo(1), StepNo(0), part)
    }

    fn progress(units: &[(i64, u64)]) -> Progress {
        let units = units.iter().map(|(part, bytes)| UnitProgress {
            execution: Execution {
                unit: unit(*part),
                epoch: 1,
            },
            bytes: *bytes,
        });
        Progress {
            worker: WorkerId("w".into()),
            units: units.collect(),
        }
    }

    fn end(part: i64, bytes: u64, skipped: bool) -> Outcome {
        let fact = AssetFact {
            asset: "a".into(),
            bytes: Some(bytes),
            skipped,
            ..AssetFact::default()
        };
        let result = UnitResult::Finished {
            facts: vec![fact],
            failures: vec![],
        };
        Outcome {
            unit: unit(part),
            epoch: 1,
            worker: WorkerId("w".into()),
            result,
            duration_us: 1,
        }
    }

    #[test]
    fn every_byte_counts_once_whether_it_was_seen_in_hand_or_not() {
        let mut rates = TransferRates::default();
        for second in 0..=60 {
            rates.on_progress(&progress(&[(1, second * 50), (2, 7)]), at(second as i64));
        }
        let by_job = rates.by_job(at(60));
        let (_, rate, _) = &by_job[0];
        assert_eq!(rate.bytes_moved, 3_007);
        assert!((rate.bytes_per_second - 50.0).abs() <= 2.0, "{rate:?}");
        assert_eq!(
            rate.units
                .iter()
                .map(|unit| (unit.part, unit.bytes))
                .collect::<Vec<_>>(),
            [(1, 3_000), (2, 7)]
        );
        rates.on_outcome(&end(1, 4_000, false), at(61));
        rates.on_outcome(&end(3, 500, false), at(61));
        rates.on_outcome(&end(4, 9_000, true), at(61));
        let (_, rate, _) = &rates.by_job(at(61))[0];
        assert_eq!((rate.bytes_moved, rate.units.len()), (4_507, 1));
        assert!(rates.by_job(at(61 + 601)).is_empty() && rates.per_second(at(662)) < 0.1);
    }

    #[test]
    fn units_that_are_named_are_bounded() {
        let mut rates = TransferRates::default();
        let many: Vec<(i64, u64)> = (0..500).map(|part| (part, part as u64)).collect();
        rates.on_progress(&progress(&many), at(1));
        let (_, rate, steps) = &rates.by_job(at(1))[0];
        assert_eq!(
            (rate.units.len(), steps.len(), rate.units[0].part),
            (RATE_UNITS_MAX, RATE_UNITS_MAX, 499)
        );
    }
}
