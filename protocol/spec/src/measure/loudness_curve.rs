//! Loudness over time, as the meter's `metadata=print` writes it: its maximum and a curve of bounded size.
use serde::{Deserialize, Serialize};
use std::io::BufRead;

/// Values of a curve at most.
const VALUES_MAX: usize = 2_000;
/// The meter reads about -120 LUFS in digital silence; values below this limit are silence.
const FLOOR: f64 = -100.0;
/// The curve does not go lower: the absolute gate of BS.1770.
const LOWEST: f64 = -70.0;

/// The highest of many measurements.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Peak {
    /// Seconds from the start of the file.
    pub at: f64,
    /// The highest measurement, in the unit of the meter.
    pub value: f64,
}

/// A measurement over time.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Curve {
    /// Seconds between two values.
    pub step: f64,
    /// The highest value of each step, to a tenth.
    pub values: Vec<f64>,
}

/// The maximum and the curve of one meter.
#[derive(Debug, Default, PartialEq)]
pub struct LoudnessCurve {
    /// The maximum; `None` when there was nothing but silence.
    pub peak: Option<Peak>,
    step: f64,
    bins: Vec<f64>,
}

impl LoudnessCurve {
    /// Reads `frame:… pts_time:SECONDS` and `KEY=VALUE` by turns.
    pub fn read(lines: impl BufRead) -> LoudnessCurve {
        let mut curve = LoudnessCurve {
            step: 1.0,
            ..LoudnessCurve::default()
        };
        let mut at = 0.0_f64;
        for line in lines.split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line);
            if let Some((_, time)) = line.split_once("pts_time:") {
                at = time.trim().parse().unwrap_or(at);
            } else if let Some((key, value)) = line.split_once('=')
                && key.starts_with("lavfi.r128.")
                && let Some(value) = value
                    .trim()
                    .parse::<f64>()
                    .ok()
                    .filter(|value| value.is_finite())
            {
                curve.take(at, value);
            }
        }
        curve
    }

    fn take(&mut self, at: f64, value: f64) {
        if value > FLOOR && self.peak.is_none_or(|peak| value > peak.value) {
            self.peak = Some(Peak { at, value });
        }
        // A time stamp far away must not make a curve of that length.
        while at / self.step >= VALUES_MAX as f64 && self.step < 1e6 {
            self.step *= 2.0;
            self.bins = self
                .bins
                .chunks(2)
                .map(|pair| pair.iter().copied().fold(LOWEST, f64::max))
                .collect();
        }
        let bin = ((at.max(0.0) / self.step) as usize).min(VALUES_MAX - 1);
        if self.bins.len() <= bin {
            self.bins.resize(bin + 1, LOWEST);
        }
        self.bins[bin] = self.bins[bin].max(value);
    }

    /// The curve measured so far, with values rounded to a tenth.
    pub fn curve(&self) -> Curve {
        let values = self
            .bins
            .iter()
            .map(|value| (value * 10.0).round() / 10.0)
            .collect();
        Curve {
            step: self.step,
            values,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: impl Iterator<Item = (f64, f64)>) -> LoudnessCurve {
        let text: String = values
            .map(|(at, value)| format!("frame:1 pts:1 pts_time:{at}\nlavfi.r128.S={value}\n"))
            .collect();
        LoudnessCurve::read(text.as_bytes())
    }

    #[test]
    fn the_maximum_has_its_time_and_silence_has_none() {
        let curve = read([(0.0, -120.7), (0.1, -30.04), (1.2, -18.5), (1.3, -40.0)].into_iter());
        assert_eq!(
            curve.peak,
            Some(Peak {
                at: 1.2,
                value: -18.5
            })
        );
        assert_eq!(
            curve.curve(),
            Curve {
                step: 1.0,
                values: vec![-30.0, -18.5]
            }
        );
        assert_eq!(read([(0.0, -120.7)].into_iter()).peak, None);
        assert_eq!(
            LoudnessCurve::read(&b"frame:0 pts_time:x\nlavfi.r128.S=nan\nlavfi.r128.S\n\xff\n"[..])
                .peak,
            None
        );
    }

    #[test]
    fn a_curve_is_bounded_and_keeps_its_highest_point() {
        let curve = read(
            (0..50_000)
                .map(|n| (f64::from(n), if n == 30_000 { -5.0 } else { -23.0 }))
                .chain([(1e12, -20.0)]),
        );
        let curve = curve.curve();
        assert!(curve.values.len() <= VALUES_MAX && curve.values.contains(&-5.0));
    }
}
