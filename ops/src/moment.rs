//! Times for people: in the zone of the machine, with the age.
use crate::output::span;
use jiff::tz::TimeZone;
use protocol::time::Timestamp;
use std::time::Duration;

/// How times are shown: the zone, and the moment that ages count from.
pub(crate) struct Moments {
    zone: TimeZone,
    now: Timestamp,
}

impl Moments {
    /// In the zone of this machine.
    pub(crate) fn local(now: Timestamp) -> Moments {
        Moments {
            zone: TimeZone::system(),
            now,
        }
    }

    /// A time of day with its zone, and the date where it is not today: `18:04 CET`, `2 Dec 18:04 CET`.
    pub(crate) fn clock(&self, at: Timestamp) -> String {
        let zoned = |at: Timestamp| {
            let moment = jiff::Timestamp::from_microsecond(at.0).ok()?;
            Some(moment.to_zoned(self.zone.clone()))
        };
        let (Some(shown), Some(now)) = (zoned(at), zoned(self.now)) else {
            return at.to_string();
        };
        let pattern = match (shown.date() == now.date(), shown.year() == now.year()) {
            (true, _) => "%H:%M:%S %Z",
            (false, true) => "%-d %b %H:%M %Z",
            (false, false) => "%-d %b %Y %H:%M %Z",
        };
        shown.strftime(pattern).to_string()
    }

    /// How far a time is away: `in 12m00s`, `3.0s ago`.
    pub(crate) fn distance(&self, at: Timestamp) -> String {
        match at >= self.now {
            true => format!("in {}", span(at.since(self.now))),
            false => format!("{} ago", span(self.now.since(at))),
        }
    }

    /// The time of day of a time in RFC 3339, as answers have it.
    pub(crate) fn at(&self, text: &str) -> String {
        Timestamp::parse(text).map_or_else(|| text.to_owned(), |at| self.clock(at))
    }

    /// Both of a time in RFC 3339, as answers have it.
    pub(crate) fn of(&self, text: &str) -> String {
        Timestamp::parse(text).map_or_else(
            || text.to_owned(),
            |at| format!("{} ({})", self.clock(at), self.distance(at)),
        )
    }
}

/// A signed number of seconds as slack: `+26m00s`, `-2m51s`.
pub(crate) fn slack(seconds: i64) -> String {
    let length = span(Duration::from_secs(seconds.unsigned_abs()));
    match seconds < 0 {
        true => format!("-{length}"),
        false => format!("+{length}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).expect("a moment")
    }

    #[test]
    fn times_are_shown_in_the_zone_with_their_distance() {
        let moments = Moments {
            zone: TimeZone::get("Europe/Berlin").expect("a zone"),
            now: at("2026-12-01T17:00:00Z"),
        };
        let shown = |text: &str| moments.of(text);
        assert_eq!(shown("2026-12-01T17:12:00Z"), "18:12:00 CET (in 12m00s)");
        assert_eq!(
            shown("2026-11-30T17:00:00Z"),
            "30 Nov 18:00 CET (24h00m ago)"
        );
        assert_eq!(
            shown("2027-07-01T10:00:00Z"),
            "1 Jul 2027 12:00 CEST (in 5081h00m)"
        );
        assert_eq!(shown("later"), "later");
        assert_eq!([slack(1_560), slack(-171)], ["+26m00s", "-2m51s"]);
    }
}
