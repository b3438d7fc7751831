//! Remaining time of a job from measured durations (p50 and p90), and the state of its deadline.
use crate::id::Kind;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// A job is at risk when its slack is below this, or below a quarter of what remains.
const SLACK_MIN: Duration = Duration::from_secs(2 * 3600);

/// Remaining work of one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remaining {
    /// Kind of slots it uses.
    pub kind: Kind,
    /// Units that have not ended.
    pub units: u64,
    /// Mean duration of a unit, when enough have been measured.
    pub mean: Option<Duration>,
    /// Median duration of a unit.
    pub p50: Option<Duration>,
    /// 90th percentile of the duration of a unit.
    pub p90: Option<Duration>,
}

/// Remaining time of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Forecast {
    /// The job ends within this time in half of the cases.
    pub p50: Duration,
    /// The job ends within this time in nine of ten cases.
    pub p90: Duration,
}

/// Remaining time of a job. `None` (unknown) when a step with units left has no measurement or no slots.
///
/// Steps overlap: each kind runs its units on its slots, and the slowest kind decides. The last unit passes through every
/// step in sequence.
pub fn forecast(steps: &[Remaining], slots: &BTreeMap<Kind, u32>) -> Option<Forecast> {
    let mut load: BTreeMap<Kind, Duration> = BTreeMap::new();
    let mut tail = Forecast::default();
    for step in steps.iter().filter(|step| step.units > 0) {
        let (mean, p50, p90) = (step.mean?, step.p50?, step.p90?);
        let slots = u64::from(*slots.get(&step.kind).filter(|n| **n > 0)?);
        // The last unit is in the tail.
        let before = u128::from(step.units - 1) * mean.as_micros() / u128::from(slots);
        let before = Duration::from_micros(u64::try_from(before).unwrap_or(u64::MAX / 4));
        let sum = load.entry(step.kind).or_default();
        *sum = sum.saturating_add(before);
        tail.p50 = tail.p50.saturating_add(p50);
        tail.p90 = tail.p90.saturating_add(p90.max(p50));
    }
    let slowest = load.into_values().max().unwrap_or_default();
    Some(Forecast {
        p50: slowest.saturating_add(tail.p50),
        p90: slowest.saturating_add(tail.p90),
    })
}

/// State of a deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeadlineState {
    /// The job has no deadline.
    None,
    /// The slack is sufficient.
    OnTrack,
    /// The slack is small.
    AtRisk,
    /// The forecast end is after the deadline.
    Late,
    /// The deadline has passed.
    Missed,
    /// There is no measurement, or no worker takes the work.
    Unknown,
}

impl DeadlineState {
    /// Spelling in JSON and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            DeadlineState::None => "none",
            DeadlineState::OnTrack => "on_track",
            DeadlineState::AtRisk => "at_risk",
            DeadlineState::Late => "late",
            DeadlineState::Missed => "missed",
            DeadlineState::Unknown => "unknown",
        }
    }
}

/// The state of a deadline at `now`.
pub fn deadline_state(
    deadline: Option<Timestamp>,
    remaining: Option<Forecast>,
    now: Timestamp,
) -> DeadlineState {
    let Some(deadline) = deadline else {
        return DeadlineState::None;
    };
    if now > deadline {
        return DeadlineState::Missed;
    }
    let Some(remaining) = remaining else {
        return DeadlineState::Unknown;
    };
    let finish = now.after(remaining.p90);
    if finish > deadline {
        return DeadlineState::Late;
    }
    let wanted = SLACK_MIN.max(remaining.p90 / 4);
    if deadline.since(finish) < wanted {
        DeadlineState::AtRisk
    } else {
        DeadlineState::OnTrack
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn step(kind: Kind, units: u64, seconds: u64) -> Remaining {
        let one = Duration::from_secs(seconds);
        Remaining {
            kind,
            units,
            mean: Some(one),
            p50: Some(one),
            p90: Some(one * 2),
        }
    }

    #[test]
    fn the_slowest_kind_decides_and_the_last_unit_goes_through_every_step() {
        let slots = BTreeMap::from([(Kind::Transfer, 8), (Kind::Qc, 2)]);
        let steps = [step(Kind::Transfer, 81, 10), step(Kind::Qc, 81, 10)];
        let got = forecast(&steps, &slots).expect("known");
        assert_eq!((got.p50.as_secs(), got.p90.as_secs()), (400 + 20, 400 + 40));
        assert_eq!(
            forecast(&steps, &BTreeMap::from([(Kind::Transfer, 8)])),
            None,
            "no slots for qc"
        );
        let unmeasured = Remaining {
            mean: None,
            ..steps[0]
        };
        assert_eq!(forecast(&[unmeasured], &slots), None);
        assert_eq!(
            forecast(
                &[Remaining {
                    units: 0,
                    ..unmeasured
                }],
                &slots
            ),
            Some(Forecast::default())
        );
    }

    #[test]
    fn deadlines_turn_from_on_track_to_missed() {
        let at = |h: i64| Timestamp(h * 3_600_000_000);
        let hours = |h: u64| {
            Some(Forecast {
                p50: Duration::ZERO,
                p90: Duration::from_secs(h * 3600),
            })
        };
        let state = |now, remaining| deadline_state(Some(at(10)), remaining, at(now));
        assert_eq!(state(0, hours(4)), DeadlineState::OnTrack);
        assert_eq!(state(5, hours(4)), DeadlineState::AtRisk);
        assert_eq!(state(7, hours(4)), DeadlineState::Late);
        assert_eq!(state(11, hours(0)), DeadlineState::Missed);
        assert_eq!(state(0, None), DeadlineState::Unknown);
        assert_eq!(deadline_state(None, hours(4), at(0)), DeadlineState::None);
    }

    proptest! {
        /// More work never ends earlier, more slots never later, and time alone never makes a deadline safer.
        #[test]
        fn grows_with_work(units in 1u64..1_000_000, more in 0u64..1_000, seconds in 1u64..10_000, slots in 1u32..500, extra in 0u32..50, due in 0i64..1 << 40, now in 0i64..1 << 40, later in 0i64..1 << 30) {
            let with = |units, slots| forecast(&[step(Kind::Qc, units, seconds)], &BTreeMap::from([(Kind::Qc, slots)])).expect("known");
            prop_assert!(with(units + more, slots).p90 >= with(units, slots).p90);
            prop_assert!(with(units, slots + extra).p90 <= with(units, slots).p90);
            prop_assert!(with(units, slots).p50 <= with(units, slots).p90);
            let state = |now| deadline_state(Some(Timestamp(due)), Some(with(units, slots)), Timestamp(now));
            prop_assert!(state(now) <= state(now + later));
        }
    }
}
