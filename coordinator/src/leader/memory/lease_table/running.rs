//! The units that have run longest.
use super::{Leases, Out};
use crate::store::RunningUnit;
use protocol::id::UnitId;
use protocol::time::Timestamp;

impl Leases {
    /// The units that workers have run longest, longest first, at most `max`.
    pub fn longest_running(&self, max: usize) -> Vec<RunningUnit> {
        let since = |(unit, out): (&UnitId, &Out)| Some((out.running_since?, *unit));
        let mut running: Vec<(Timestamp, UnitId)> = self.out.iter().filter_map(since).collect();
        if running.len() > max {
            running.select_nth_unstable(max);
            running.truncate(max);
        }
        running.sort_unstable();
        let named = |(since, unit): (Timestamp, UnitId)| {
            let out = self.out.get(&unit)?;
            let (worker, _) = out.lease.held.as_ref()?;
            Some(RunningUnit {
                job: unit.job,
                step: unit.step,
                part: unit.part,
                kind: out.kind,
                size: out.size,
                worker: worker.0.clone(),
                since,
            })
        };
        running.into_iter().filter_map(named).collect()
    }
}
