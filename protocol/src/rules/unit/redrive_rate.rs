//! Pacing of redrive operations by a configured rate.
use crate::time::Timestamp;
use std::time::Duration;

/// Largest backlog after an idle time: one second of the rate, so that an outage is not followed by a burst.
const BURST: Duration = Duration::from_secs(1);

/// Units that may be redriven at `now`, at most `most`, and the time from which the next step is paced. Without a rate only
/// `most` limits them.
pub fn allowance(
    rate: Option<f64>,
    paced_at: Timestamp,
    now: Timestamp,
    most: u32,
) -> (u32, Timestamp) {
    let Some(rate) = rate.filter(|rate| rate.is_finite() && *rate > 0.0) else {
        return (most, now);
    };
    let from = paced_at.max(before(
        now,
        BURST.max(Duration::from_secs_f64((1.0 / rate).min(1e9)) + GRAIN * 2),
    ));
    let earned = (now.since(from).as_secs_f64() * rate)
        .floor()
        .min(f64::from(most));
    let units = earned as u32;
    let spent = Duration::from_secs_f64(f64::from(units) / rate);
    (units, from.after(spent).min(now.max(from)))
}

/// Time at which the next unit may be redriven.
pub fn next_at(rate: Option<f64>, paced_at: Timestamp) -> Timestamp {
    match rate.filter(|rate| rate.is_finite() && *rate > 0.0) {
        Some(rate) => {
            paced_at.after(Duration::from_secs_f64((1.0 / rate).min(1e9)).saturating_add(GRAIN))
        }
        None => paced_at,
    }
}

/// Added to each pause, so that rounding never wakes a caller too early.
const GRAIN: Duration = Duration::from_micros(1);

fn before(now: Timestamp, span: Duration) -> Timestamp {
    Timestamp(
        now.0
            .saturating_sub(i64::try_from(span.as_micros()).unwrap_or(i64::MAX)),
    )
}

/// Minimum rate in units per second: one unit a year.
pub const RATE_MIN: f64 = 1.0 / (365.0 * 86_400.0);
/// Maximum rate in units per second. Without a rate an operation is not paced.
pub const RATE_MAX: f64 = 1e6;

/// Whether a rate in units per second is within bounds.
pub fn is_rate(rate: f64) -> bool {
    (RATE_MIN..=RATE_MAX).contains(&rate)
}

/// Reads a rate: `50`, `50/s`, `30/m`, `100/h`, in units a second.
pub fn parse_rate(text: &str) -> Result<f64, String> {
    let wrong = || format!("rate {text:?} is not a number of units a time: 50/s, 30/m or 100/h");
    let (count, seconds) = match text.trim().split_once('/') {
        None => (text.trim(), 1.0),
        Some((count, "s")) => (count, 1.0),
        Some((count, "m")) => (count, 60.0),
        Some((count, "h")) => (count, 3600.0),
        Some(_) => return Err(wrong()),
    };
    let count: f64 = count.trim().parse().map_err(|_| wrong())?;
    let rate = count / seconds;
    if is_rate(rate) {
        Ok(rate)
    } else {
        Err(format!(
            "a rate of {text} is not between one unit a year and 1,000,000/s"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rates_read() {
        assert_eq!(parse_rate("50/s"), Ok(50.0));
        assert_eq!(parse_rate("30/m"), Ok(0.5));
        assert_eq!(parse_rate(" 7 "), Ok(7.0));
        for wrong in [
            "",
            "fast",
            "-1/s",
            "0",
            "5/d",
            "inf",
            "NaN",
            "1e-300",
            "1e300",
            "2000000/s",
        ] {
            assert!(parse_rate(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn without_a_rate_a_batch_at_a_time() {
        assert_eq!(
            allowance(None, Timestamp(0), Timestamp(9), 500),
            (500, Timestamp(9))
        );
    }

    proptest! {
        /// However it is polled, no more is done than the rate allows plus one second's worth, and polled often it gets
        /// all but the last unit of what it is owed.
        #[test]
        fn the_rate_is_kept(rate in 0.2f64..500.0, pauses in prop::collection::vec(1i64..3_000_000, 1..200)) {
            let (mut now, mut paced, mut done, mut stood_still) = (Timestamp(0), Timestamp(0), 0u64, false);
            for pause in &pauses {
                now = Timestamp(now.0 + pause);
                stood_still |= *pause > 900_000;
                let (units, from) = allowance(Some(rate), paced, now, u32::MAX);
                prop_assert!(from >= paced && from <= now);
                (paced, done) = (from, done + u64::from(units));
                let owed = now.0 as f64 / 1e6 * rate;
                prop_assert!(done as f64 <= owed + 1e-2, "{done} of {owed}");
                let slow = rate < 1.2;
                prop_assert!(stood_still || slow || done as f64 >= owed - 1.0 - owed * 1e-3 - pauses.len() as f64 * rate * 2e-6, "{done} of {owed}");
            }
        }

        /// Woken when it says, it finds something to do.
        #[test]
        fn it_is_woken_in_time(rate in 0.01f64..1_000.0, at in 0i64..1_000_000_000) {
            let due = next_at(Some(rate), Timestamp(at));
            prop_assert!(allowance(Some(rate), Timestamp(at), due, 10).0 >= 1);
        }
    }
}
