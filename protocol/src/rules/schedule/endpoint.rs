//! Limits of endpoints (a bucket or share of a partner): concurrent units and starts per second.
//! An endpoint is the longest configured prefix of a location.
use crate::quantity::split;
use crate::time::Timestamp;
use std::time::Duration;

/// Capacity of the token bucket, in seconds of its rate.
const BURST: f64 = 1.0;
/// First and longest pause after a throttled reply without a `Retry-After`.
const BACKOFF_MIN: Duration = Duration::from_secs(1);
const BACKOFF_MAX: Duration = Duration::from_secs(300);
/// Consecutive throttled replies that still double the pause.
const DOUBLINGS_MAX: u32 = 9;

/// The limit of one endpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct EndpointLimit {
    /// Locations that begin with this are the endpoint's.
    pub prefix: String,
    /// Maximum number of concurrent units.
    pub concurrency: Option<u32>,
    /// Maximum starts per second.
    pub rate: Option<f64>,
}

impl EndpointLimit {
    /// Reads `s3://partner-a=8,20/s`: a number is units at once, a number with `/s` starts a second.
    pub fn parse(text: &str) -> Result<EndpointLimit, String> {
        let wrong = |why: &str| {
            format!("limit {text:?}: {why}; write it as s3://partner-a=8 or s3://partner-a=8,20/s")
        };
        let (prefix, limits) = text.rsplit_once('=').ok_or_else(|| wrong("no = in it"))?;
        let prefix = prefix.trim().to_owned();
        if prefix.is_empty() {
            return Err(wrong("no location before ="));
        }
        let mut limit = EndpointLimit {
            prefix,
            concurrency: None,
            rate: None,
        };
        for part in limits.split(',').map(str::trim) {
            match part.strip_suffix("/s") {
                Some(rate) => {
                    let rate: Option<f64> = split(rate)
                        .filter(|(_, unit)| unit.is_empty())
                        .map(|(n, _)| n);
                    let usable = rate.filter(|n| n.is_finite() && *n > 0.0);
                    limit.rate =
                        Some(usable.ok_or_else(|| wrong("the rate is no number above 0"))?);
                }
                None => {
                    let count = part.parse().ok().filter(|n| *n > 0);
                    limit.concurrency =
                        Some(count.ok_or_else(|| wrong("the number of units is none above 0"))?);
                }
            }
        }
        Ok(limit)
    }
}

/// The endpoint of a location: the longest prefix that ends where a name ends.
pub fn endpoint_of(limits: &[EndpointLimit], location: &str) -> Option<usize> {
    let matches = |limit: &EndpointLimit| {
        let rest = location.strip_prefix(limit.prefix.as_str());
        rest.is_some_and(|rest| {
            rest.is_empty() || rest.starts_with('/') || limit.prefix.ends_with(['/', ':'])
        })
    };
    let found = limits
        .iter()
        .enumerate()
        .filter(|(_, limit)| matches(limit));
    found
        .max_by_key(|(_, limit)| limit.prefix.len())
        .map(|(at, _)| at)
}

/// State of an endpoint between dispatches.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EndpointState {
    /// Tokens in the bucket.
    tokens: f64,
    /// Time of the token count.
    counted_at: Timestamp,
    /// No unit starts before this.
    pub closed_until: Option<Timestamp>,
    /// Number of consecutive throttled replies.
    throttled: u32,
}

/// Whether an endpoint admits units now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndpointRoom {
    /// This number of units may start now.
    Units(u32),
    /// The limit is reached; the time at which the next unit may start, where the rate decides it.
    Full(Option<Timestamp>),
    /// The endpoint requested a pause until this time.
    Closed(Timestamp),
}

impl EndpointState {
    /// The initial state. A starting coordinator does not know the starts of the last second, so the bucket is empty and the
    /// limit is never exceeded.
    pub fn new(now: Timestamp) -> EndpointState {
        EndpointState {
            tokens: 0.0,
            counted_at: now,
            closed_until: None,
            throttled: 0,
        }
    }

    /// Units that may start at `now`, when `busy` units use the endpoint.
    pub fn room(&mut self, limit: &EndpointLimit, busy: u32, now: Timestamp) -> EndpointRoom {
        if let Some(until) = self.closed_until.filter(|until| *until > now) {
            return EndpointRoom::Closed(until);
        }
        let free = limit
            .concurrency
            .map_or(u32::MAX, |most| most.saturating_sub(busy));
        if free == 0 {
            return EndpointRoom::Full(None);
        }
        let Some(rate) = limit.rate else {
            return EndpointRoom::Units(free);
        };
        let gained = now.since(self.counted_at).as_secs_f64() * rate;
        self.tokens = (self.tokens + gained).min((rate * BURST).max(1.0));
        self.counted_at = self.counted_at.max(now);
        if self.tokens < 1.0 {
            let wait = Duration::from_secs_f64(((1.0 - self.tokens) / rate).min(1e9));
            return EndpointRoom::Full(Some(now.after(wait).after(Duration::from_micros(1))));
        }
        EndpointRoom::Units(free.min(self.tokens as u32))
    }

    /// Takes tokens for started units.
    pub fn spend(&mut self, limit: &EndpointLimit, units: u32) {
        if limit.rate.is_some() {
            self.tokens = (self.tokens - f64::from(units)).max(0.0);
        }
    }

    /// Records a throttled unit: no unit starts during the requested pause, or during twice the previous one.
    pub fn throttled(&mut self, retry_after: Option<Duration>, now: Timestamp) {
        // Concurrent units are throttled together: they count once.
        let fresh = self.closed_until.is_none_or(|until| until <= now);
        if fresh {
            self.throttled = (self.throttled + 1).min(DOUBLINGS_MAX);
        }
        let own = BACKOFF_MIN
            .saturating_mul(1 << self.throttled.saturating_sub(1))
            .min(BACKOFF_MAX);
        let until = now.after(retry_after.unwrap_or(own));
        self.closed_until = Some(self.closed_until.map_or(until, |known| known.max(until)));
    }

    /// Records a unit that the endpoint served.
    pub fn served(&mut self, now: Timestamp) {
        if self.closed_until.is_none_or(|until| until <= now) {
            (self.throttled, self.closed_until) = (0, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn limit(text: &str) -> EndpointLimit {
        EndpointLimit::parse(text).expect("reads")
    }

    #[test]
    fn limit_notation_is_parsed() {
        assert_eq!(
            limit("s3://a=8"),
            EndpointLimit {
                prefix: "s3://a".into(),
                concurrency: Some(8),
                rate: None
            }
        );
        assert_eq!(limit("s3://a=8, 0.5/s").rate, Some(0.5));
        assert_eq!(limit("https://x/?a=b=3/s").prefix, "https://x/?a=b");
        for wrong in [
            "s3://a",
            "=8",
            "s3://a=",
            "s3://a=0",
            "s3://a=x/s",
            "s3://a=-1/s",
            "s3://a=1e999/s",
        ] {
            assert!(
                EndpointLimit::parse(wrong)
                    .expect_err(wrong)
                    .contains("s3://partner-a=8"),
                "{wrong}"
            );
        }
    }

    #[test]
    fn longest_matching_prefix_selects_the_endpoint() {
        let limits = [limit("s3://a=1"), limit("s3://a/b=2"), limit("file:=3")];
        let of = |location| endpoint_of(&limits, location);
        assert_eq!(
            [
                of("s3://a/x"),
                of("s3://a/b/x"),
                of("s3://a/bc"),
                of("s3://ab/x")
            ],
            [Some(0), Some(1), Some(0), None]
        );
        assert_eq!(of("file:/m/x"), Some(2));
    }

    #[test]
    fn throttling_endpoint_is_paused_as_requested() {
        let (limit, at) = (limit("s3://a=8"), |s: i64| Timestamp(s * 1_000_000));
        let mut state = EndpointState::new(at(0));
        state.throttled(Some(Duration::from_secs(30)), at(0));
        assert_eq!(state.room(&limit, 0, at(29)), EndpointRoom::Closed(at(30)));
        assert_eq!(state.room(&limit, 0, at(30)), EndpointRoom::Units(8));
        // Without a wish the pause doubles, once for all that were out together.
        state.throttled(None, at(30));
        state.throttled(None, at(30));
        assert_eq!(state.closed_until, Some(at(32)));
        state.throttled(None, at(32));
        assert_eq!(state.closed_until, Some(at(36)));
        state.served(at(36));
        state.throttled(None, at(40));
        assert_eq!(state.closed_until, Some(at(41)));
    }

    proptest! {
        /// Whatever is asked and whenever units end: never more at once than the concurrency, and in no second that
        /// begins anywhere more starts than the rate and the saved burst allow (cases 64, 65).
        #[test]
        fn never_overshoots(most in 1u32..12, rate in 0.2f64..50.0, steps in prop::collection::vec((0u64..700_000, 0u32..20, 0u32..20), 1..120)) {
            let limit = EndpointLimit { prefix: "x:".into(), concurrency: Some(most), rate: Some(rate) };
            let (mut now, mut busy, mut starts) = (Timestamp(0), 0u32, Vec::new());
            let mut state = EndpointState::new(now);
            for (wait, ended, wanted) in steps {
                now = now.after(Duration::from_micros(wait));
                busy -= ended.min(busy);
                let EndpointRoom::Units(room) = state.room(&limit, busy, now) else { continue };
                let taken = room.min(wanted);
                state.spend(&limit, taken);
                busy += taken;
                prop_assert!(busy <= most);
                starts.extend((0..taken).map(|_| now));
            }
            for (i, first) in starts.iter().enumerate() {
                let within = starts[i..].iter().take_while(|at| at.since(*first) < Duration::from_secs(1)).count();
                prop_assert!(within as f64 <= rate.max(1.0) + rate + 1.0, "{} in a second at {}", within, rate);
            }
        }

        /// An endpoint that is full by its rate says when one may start, and then one may.
        #[test]
        fn says_when(rate in 0.01f64..100.0) {
            let limit = EndpointLimit { prefix: "x:".into(), concurrency: None, rate: Some(rate) };
            let mut state = EndpointState::new(Timestamp(0));
            match state.room(&limit, 0, Timestamp(0)) {
                EndpointRoom::Full(Some(at)) => prop_assert!(matches!(state.room(&limit, 0, at), EndpointRoom::Units(n) if n >= 1)),
                other => prop_assert!(false, "{:?}", other),
            }
        }
    }
}
