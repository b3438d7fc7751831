//! Durations of units by kind and size, learned from measurements with decay.
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Steps per octave of the scale; quantiles are accurate to a tenth.
const STEPS_AN_OCTAVE: f64 = 4.0;
/// Steps of the scale: a microsecond to about two weeks.
const PLACES: usize = 160;
/// Number of measurements from which older ones are halved.
const MEASURES_MAX: u64 = 4_096;
/// Minimum number of measurements for a result.
const MEASURES_MIN: u64 = 5;

/// The size class of a unit: the next power of two of its bytes, or of its assets where bytes are unknown. Classes by assets
/// are above those by bytes.
pub fn bucket(bytes: u64, assets: u32) -> u8 {
    let log =
        |n: u64| u8::try_from(u64::BITS - n.max(1).saturating_sub(1).leading_zeros()).unwrap_or(64);
    if bytes > 0 {
        log(bytes)
    } else {
        100 + log(u64::from(assets))
    }
}

/// Durations on a logarithmic scale.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sketch {
    /// Number of measurements after decay.
    pub count: u64,
    /// Sum of the measurements in microseconds.
    pub total_us: u64,
    /// Measurements per step of the scale, without trailing zeros.
    pub places: Vec<u32>,
}

impl Sketch {
    /// Adds one measurement in microseconds.
    pub fn note(&mut self, us: u64) {
        let place = ((us.max(1) as f64).log2() * STEPS_AN_OCTAVE).round() as usize;
        let place = place.min(PLACES - 1);
        if self.places.len() <= place {
            self.places.resize(place + 1, 0);
        }
        self.places[place] += 1;
        self.count += 1;
        self.total_us = self.total_us.saturating_add(us);
        self.fade();
    }

    /// Adds the measurements of another sketch.
    pub fn merge(&mut self, other: &Sketch) {
        if self.places.len() < other.places.len() {
            self.places.resize(other.places.len(), 0);
        }
        for (own, theirs) in self.places.iter_mut().zip(&other.places) {
            *own = own.saturating_add(*theirs);
        }
        self.count = self.count.saturating_add(other.count);
        self.total_us = self.total_us.saturating_add(other.total_us);
        self.fade();
    }

    /// Halves all measurements each time the limit is reached.
    fn fade(&mut self) {
        while self.count > MEASURES_MAX {
            let mean = self.total_us / self.count;
            self.places.iter_mut().for_each(|n| *n /= 2);
            self.count = self.places.iter().map(|n| u64::from(*n)).sum();
            self.total_us = mean.saturating_mul(self.count);
        }
    }

    /// The mean; `None` with too few measurements.
    pub fn mean(&self) -> Option<Duration> {
        (self.count >= MEASURES_MIN).then(|| Duration::from_micros(self.total_us / self.count))
    }

    /// The quantile for a share of 0 to 1; `None` with too few measurements.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        if self.count < MEASURES_MIN {
            return None;
        }
        let wanted = (share.clamp(0.0, 1.0) * self.count as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        let place = self.places.iter().position(|n| {
            seen += u64::from(*n);
            seen >= wanted
        })?;
        Some(Duration::from_micros(
            (place as f64 / STEPS_AN_OCTAVE).exp2().round() as u64,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_are_powers_of_two() {
        assert_eq!(
            [
                bucket(1, 1),
                bucket(1024, 9),
                bucket(1025, 9),
                bucket(u64::MAX, 1)
            ],
            [0, 10, 11, 64]
        );
        assert_eq!([bucket(0, 1), bucket(0, 100)], [100, 107]);
    }

    #[test]
    fn what_was_measured_long_ago_fades() {
        let mut sketch = Sketch::default();
        (0..10_000).for_each(|_| sketch.note(1_000_000));
        (0..10_000).for_each(|_| sketch.note(1_000));
        assert!(
            sketch
                .quantile(0.5)
                .is_some_and(|p50| p50 < Duration::from_millis(2)),
            "{:?}",
            sketch.quantile(0.5)
        );
        assert!(sketch.count <= MEASURES_MAX);
    }

    proptest! {
        /// A quantile is within a tenth of the measure at that rank, and merging is as good as noting.
        #[test]
        fn quantiles_are_close(mut measures in prop::collection::vec(1u64..10_000_000_000, 5..300), share in 0.0f64..1.0, cut in 0usize..300) {
            let (mut whole, mut left, mut right) = (Sketch::default(), Sketch::default(), Sketch::default());
            for (i, us) in measures.iter().enumerate() {
                whole.note(*us);
                if i < cut { left.note(*us) } else { right.note(*us) }
            }
            left.merge(&right);
            prop_assert_eq!((left.count, left.total_us), (whole.count, whole.total_us));
            prop_assert_eq!(left.quantile(share), whole.quantile(share));
            measures.sort_unstable();
            let rank = ((share * measures.len() as f64).ceil() as usize).clamp(1, measures.len());
            let (exact, got) = (measures[rank - 1] as f64, whole.quantile(share).expect("enough").as_micros() as f64);
            prop_assert!(got >= exact * 0.9 - 1.0 && got <= exact * 1.1 + 1.0, "{} of {}", got, exact);
        }
    }
}
