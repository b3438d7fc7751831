//! Timestamps. There is no `now()` here: rules take it as an argument (TIME-1).
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// A time in UTC in microseconds since 1970, in SQL and on the wire too.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default,
)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The time `wait` after this one, saturating.
    pub fn after(self, wait: Duration) -> Timestamp {
        Timestamp(
            self.0
                .saturating_add(i64::try_from(wait.as_micros()).unwrap_or(i64::MAX)),
        )
    }

    /// The duration since `earlier`; zero when this is before it.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Parses RFC 3339 (`2026-12-01T18:00:00Z`). The last hours of the year 9999 mean "never" and are parsed as the last
    /// time that can be formatted again.
    pub fn parse(text: &str) -> Option<Timestamp> {
        let text = text.trim();
        let moment = text
            .parse::<jiff::Timestamp>()
            .ok()
            .map(|t| Timestamp(t.as_microsecond()));
        // The last fraction of a second cannot be formatted in microseconds.
        let last = Timestamp((jiff::Timestamp::MAX.as_second() - 1) * 1_000_000);
        moment.or_else(|| is_never(text).then_some(last))
    }
}

/// Whether a text is a time in the last two days of the year 9999, which a calendar has and a timestamp has not.
fn is_never(text: &str) -> bool {
    let zoned = |text: &str| {
        let (civil, offset) = text.split_at_checked(text.len().checked_sub(6)?)?;
        let digits = |n: usize| {
            offset
                .as_bytes()
                .get(n..n + 2)
                .is_some_and(|two| two.iter().all(u8::is_ascii_digit))
        };
        let is_offset = offset.starts_with(['+', '-'])
            && offset.as_bytes()[3] == b':'
            && digits(1)
            && digits(4);
        is_offset.then(|| civil.to_owned())
    };
    let civil = text
        .strip_suffix(['Z', 'z'])
        .map(str::to_owned)
        .or_else(|| zoned(text));
    let moment = civil.and_then(|civil| civil.parse::<jiff::civil::DateTime>().ok());
    moment.is_some_and(|moment| moment.date() >= jiff::civil::date(9999, 12, 30))
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(moment) => write!(f, "{moment}"),
            Err(_) => write!(f, "{}us", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_rfc3339() {
        let moment = Timestamp::parse("2026-12-01T18:00:00Z").expect("valid");
        assert_eq!(moment.to_string(), "2026-12-01T18:00:00Z");
        assert_eq!(Timestamp::parse("2026-12-01T19:00:00+01:00"), Some(moment));
        assert_eq!(Timestamp::parse("tomorrow"), None);
    }

    #[test]
    fn last_moments_of_the_calendar_are_read() {
        for text in [
            "9999-12-31T23:59:59Z",
            "9999-12-30T23:00:00Z",
            "9999-12-31T23:59:59+00:00",
            " 9999-12-31T00:00:00Z ",
        ] {
            let moment = Timestamp::parse(text).expect(text);
            assert_eq!(
                Timestamp::parse(&moment.to_string()),
                Some(moment),
                "{text}"
            );
            assert!(moment > Timestamp::parse("9999-12-30T00:00:00Z").expect("valid"));
        }
        for text in [
            "9999-12-32T00:00:00Z",
            "9999-12-31",
            "9999-12-31T23:59:59",
            "10000-01-01T00:00:00Z",
            "Z",
            "+00:00",
        ] {
            assert_eq!(Timestamp::parse(text), None, "{text}");
        }
    }

    #[test]
    fn differences_never_go_negative() {
        assert_eq!(Timestamp(5).since(Timestamp(9)), Duration::ZERO);
        assert_eq!(
            Timestamp(i64::MAX).after(Duration::from_secs(1)),
            Timestamp(i64::MAX)
        );
    }
}
