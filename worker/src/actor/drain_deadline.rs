//! When this worker must be gone, and which units still fit before that.
use parking_lot::Mutex;
use protocol::id::Kind;
use protocol::rules::schedule::admission::fits;
use protocol::rules::schedule::cost::{Sketch, bucket};
use protocol::time::Timestamp;
use protocol::wire::unit::Unit;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// The announced end of the worker, and the durations of its own units.
#[derive(Debug, Default)]
pub struct DrainDeadline {
    at: Mutex<Option<(Instant, Timestamp)>>,
    learned: Mutex<BTreeMap<(Kind, u8), Sketch>>,
    /// Kinds of which a unit has been handed back: asked for again, it might come again and again.
    refused: Mutex<BTreeSet<Kind>>,
}

fn size(unit: &Unit) -> u8 {
    let bytes = unit.assets.iter().filter_map(|asset| asset.bytes).sum();
    bucket(bytes, u32::try_from(unit.assets.len()).unwrap_or(u32::MAX))
}

impl DrainDeadline {
    /// The worker will be gone at `at`; `now` is the same clock's present. The earliest announcement counts.
    pub fn announce(&self, at: Timestamp, now: Timestamp) {
        let mut announced = self.at.lock();
        if announced.is_none_or(|(_, known)| at < known) {
            *announced = Some((Instant::now() + at.since(now), at));
        }
    }

    /// When the worker will be gone.
    pub fn at(&self) -> Option<Timestamp> {
        self.at.lock().map(|(_, at)| at)
    }

    fn remainder(&self) -> Option<Duration> {
        self.at
            .lock()
            .map(|(at, _)| at.saturating_duration_since(Instant::now()))
    }

    /// Records the duration of a unit.
    pub fn record_duration(&self, unit: &Unit, us: u64) {
        self.learned
            .lock()
            .entry((unit.kind, size(unit)))
            .or_default()
            .note(us);
    }

    /// Whether a unit is expected to end before the worker is gone, by the 90th percentile of similar units.
    pub fn allows(&self, unit: &Unit) -> bool {
        let Some(remainder) = self.remainder() else {
            return true;
        };
        let learned = self.learned.lock();
        let like = learned.get(&(unit.kind, size(unit)));
        let allowed = fits(
            Some(remainder),
            like.and_then(|sketch| sketch.quantile(0.9)),
        );
        if !allowed {
            self.refused.lock().insert(unit.kind);
        }
        allowed
    }

    /// Whether units of a kind are to be asked for: some may fit, and none has had to be handed back.
    pub fn allows_some(&self, kind: Kind) -> bool {
        let Some(remainder) = self.remainder() else {
            return true;
        };
        if self.refused.lock().contains(&kind) {
            return false;
        }
        let learned = self.learned.lock();
        let mut like = learned.range((kind, 0)..=(kind, u8::MAX));
        like.any(|(_, sketch)| fits(Some(remainder), sketch.quantile(0.9)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::id::{JobNo, StepNo, UnitId};
    use protocol::wire::step::TaskSpec;
    use protocol::wire::step::noop::NoopTask;
    use std::sync::Arc;

    fn unit(kind: Kind) -> Unit {
        let task = TaskSpec::Noop(NoopTask {
            duration_min_us: 0,
            duration_max_us: 0,
            fail: 0.0,
        });
        let id = UnitId::new(JobNo(1), StepNo(0), 1);
        Unit {
            id,
            epoch: 1,
            attempt: 0,
            kind,
            task: Arc::new(task),
            assets: vec![],
            deadline: None,
        }
    }

    /// Case 56: two minutes before the end nothing longer is taken, nor anything of unknown length.
    #[test]
    fn two_minutes_before_the_end_only_what_fits_is_taken() {
        let drain_deadline = DrainDeadline::default();
        let (minute, long) = (60_000_000, unit(Kind::Qc));
        (0..9).for_each(|_| drain_deadline.record_duration(&long, 3 * minute));
        (0..9).for_each(|_| drain_deadline.record_duration(&unit(Kind::Transfer), minute));
        assert!(drain_deadline.allows(&long) && drain_deadline.allows(&unit(Kind::Sync)));
        drain_deadline.announce(Timestamp(2 * minute as i64), Timestamp(0));
        assert_eq!(drain_deadline.at(), Some(Timestamp(2 * minute as i64)));
        assert!(!drain_deadline.allows(&long) && !drain_deadline.allows_some(Kind::Qc));
        assert!(
            drain_deadline.allows(&unit(Kind::Transfer))
                && drain_deadline.allows_some(Kind::Transfer)
        );
        assert!(
            !drain_deadline.allows(&unit(Kind::Sync)) && !drain_deadline.allows_some(Kind::Sync)
        );
        // A later announcement does not make it stay longer.
        drain_deadline.announce(Timestamp(9 * minute as i64), Timestamp(0));
        assert!(!drain_deadline.allows(&long));
    }
}
