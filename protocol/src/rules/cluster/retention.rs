//! Removal of ended jobs: their age, and the rows per transaction.
use crate::time::Timestamp;
use std::time::Duration;

/// Limits of retention.
#[derive(Debug, Clone, Copy)]
pub struct RetentionLimits {
    /// Time for which an ended job is kept.
    pub keep: Duration,
    /// Rows removed in one transaction. The number is small, so that other writers do not wait.
    pub rows_max: u32,
    /// Pause between two transactions while more rows remain, so that other work comes first.
    pub pause: Duration,
    /// Interval of checks when no row was removed.
    pub look_every: Duration,
    /// How far ahead of the last known time a new term may begin without doubt.
    pub jump_max: Duration,
    /// How long a term that begins further ahead lasts before its clock is believed.
    pub trusted_after: Duration,
}

impl RetentionLimits {
    /// Limits that keep ended jobs for this time.
    pub fn keeping(keep: Duration) -> RetentionLimits {
        RetentionLimits {
            keep,
            rows_max: 2_000,
            pause: Duration::from_millis(100),
            look_every: Duration::from_secs(60).min(keep.max(Duration::from_millis(200))),
            jump_max: Duration::from_secs(86_400).min(keep / 4),
            trusted_after: Duration::from_secs(3_600).min(keep),
        }
    }
}

/// Jobs that ended before this time are removed.
pub fn horizon(limits: &RetentionLimits, now: Timestamp) -> Timestamp {
    let keep = i64::try_from(limits.keep.as_micros()).unwrap_or(i64::MAX);
    Timestamp(now.0.saturating_sub(keep))
}

/// The time by which jobs age. A clock that is ahead of the uptime of the process was set forward and ages no job.
pub fn lived(began: Timestamp, lived: Duration, now: Timestamp) -> Timestamp {
    now.min(began.after(lived))
}

/// The time by which jobs age in a term that began at `began` and has lasted for `lasted`. `known` is this time as an earlier
/// term stored it last. A term that begins far ahead of it may have a wrong clock: until that has run for a while, only the
/// time of the term itself ages jobs.
pub fn aging_time(
    limits: &RetentionLimits,
    known: Option<Timestamp>,
    (began, lasted): (Timestamp, Duration),
    now: Timestamp,
) -> Timestamp {
    let doubted =
        known.filter(|known| began > known.after(limits.jump_max) && lasted < limits.trusted_after);
    lived(doubted.unwrap_or(began), lasted, now)
}

/// Pause after a transaction that removed this number of rows.
pub fn pause(limits: &RetentionLimits, removed: u64) -> Duration {
    if removed > 0 {
        limits.pause
    } else {
        limits.look_every
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Nothing is forgotten before its time, and a clock near its end forgets nothing new.
        #[test]
        fn nothing_is_forgotten_early(keep in 0u64..1_000_000_000, now in 0i64..i64::MAX, age in 0i64..1_000_000_000_000) {
            let limits = RetentionLimits::keeping(Duration::from_micros(keep));
            let ended = Timestamp(now.saturating_sub(age));
            if ended < horizon(&limits, Timestamp(now)) {
                prop_assert!(age > keep as i64);
            }
        }
    }

    #[test]
    fn clock_set_ahead_ages_nothing() {
        let (began, hour) = (Timestamp(1_000_000), Duration::from_secs(3_600));
        assert_eq!(
            lived(began, hour, began.after(hour * 24 * 365)),
            began.after(hour)
        );
        assert_eq!(
            lived(began, hour, began.after(hour / 2)),
            began.after(hour / 2),
            "the clock is behind"
        );
    }

    #[test]
    fn term_that_begins_with_a_clock_far_ahead_ages_nothing_at_first() {
        let limits = RetentionLimits::keeping(Duration::from_secs(90 * 86_400));
        let (known, hour) = (Timestamp(1_000_000_000_000), Duration::from_secs(3_600));
        let year = known.after(hour * 24 * 365);
        let at = |began: Timestamp, lasted| {
            aging_time(&limits, Some(known), (began, lasted), began.after(lasted))
        };
        assert_eq!(at(year, hour / 2), known.after(hour / 2));
        assert_eq!(
            at(year, hour),
            year.after(hour),
            "a cluster that was off for a year"
        );
        assert_eq!(
            at(known.after(hour * 8), hour / 2),
            known.after(hour * 8 + hour / 2),
            "a night without a leader"
        );
        assert_eq!(
            aging_time(&limits, None, (year, hour), year),
            year,
            "a new database has nothing to forget"
        );
        assert_eq!(
            aging_time(&limits, Some(year), (known, hour), known),
            known,
            "the clock was set back"
        );
    }

    #[test]
    fn work_goes_first() {
        let limits = RetentionLimits::keeping(Duration::from_secs(90 * 86_400));
        assert_eq!(pause(&limits, 5), limits.pause);
        assert_eq!(pause(&limits, 0), Duration::from_secs(60));
        assert_eq!(horizon(&limits, Timestamp(i64::MIN)), Timestamp(i64::MIN));
    }
}
