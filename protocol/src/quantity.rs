//! Numbers with units as people write them in job files and specs: `50GiB`, `12h`, `-23LUFS`, `1%`.
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

/// Splits `12.5ms` into 12.5 and `ms`. The unit may be empty.
pub fn split(text: &str) -> Option<(f64, &str)> {
    let text = text.trim();
    let end = text
        .char_indices()
        .find(|(i, c)| !(c.is_ascii_digit() || *c == '.' || (*i == 0 && (*c == '-' || *c == '+'))))
        .map_or(text.len(), |(i, _)| i);
    let number: f64 = text[..end].parse().ok()?;
    number.is_finite().then(|| (number, text[end..].trim()))
}

/// A length of time: `250ms`, `5s`, `5m`, `12h`, `2d`, or a bare number of seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

impl Span {
    /// Reads a length of time.
    pub fn parse(text: &str) -> Result<Span, String> {
        let wrong = || format!("{text:?} is not a duration: write 250ms, 5s, 5m, 12h or 2d");
        let (number, unit) = split(text).ok_or_else(wrong)?;
        let seconds = match unit {
            "us" | "µs" => number / 1e6,
            "ms" => number / 1e3,
            "" | "s" => number,
            "m" | "min" => number * 60.0,
            "h" => number * 3600.0,
            "d" => number * 86_400.0,
            _ => return Err(wrong()),
        };
        Duration::try_from_secs_f64(seconds)
            .map(Span)
            .map_err(|_| wrong())
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let us = self.0.as_micros();
        for (unit, size) in [
            ("d", 86_400_000_000),
            ("h", 3_600_000_000),
            ("m", 60_000_000),
            ("s", 1_000_000),
            ("ms", 1_000),
        ] {
            if us >= size && us.is_multiple_of(size) {
                return write!(f, "{}{unit}", us / size);
            }
        }
        if us == 0 {
            f.write_str("0s")
        } else {
            write!(f, "{us}us")
        }
    }
}

/// A number of bytes: `50GiB`, `16MB`, or a bare number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

impl Bytes {
    /// Reads a number of bytes.
    pub fn parse(text: &str) -> Result<Bytes, String> {
        let wrong = || format!("{text:?} is not a size: write 512, 16MiB, 50GiB or 2TB");
        let (number, unit) = split(text).ok_or_else(wrong)?;
        let factor = match unit {
            "" | "B" => 1.0,
            "kB" | "KB" => 1e3,
            "MB" => 1e6,
            "GB" => 1e9,
            "TB" => 1e12,
            "KiB" => 1024.0,
            "MiB" => 1_048_576.0,
            "GiB" => 1_073_741_824.0,
            "TiB" => 1_099_511_627_776.0,
            _ => return Err(wrong()),
        };
        let bytes = number * factor;
        if !(0.0..9e18).contains(&bytes) {
            return Err(wrong());
        }
        Ok(Bytes(bytes.round() as u64))
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, size) in [
            ("TiB", 1u64 << 40),
            ("GiB", 1 << 30),
            ("MiB", 1 << 20),
            ("KiB", 1 << 10),
        ] {
            if self.0 >= size && self.0.is_multiple_of(size) {
                return write!(f, "{}{unit}", self.0 / size);
            }
        }
        write!(f, "{}", self.0)
    }
}

/// A share: `1%`, `0.01`.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Share(pub f64);

impl Share {
    /// Reads a share between 0 and 1.
    pub fn parse(text: &str) -> Result<Share, String> {
        let wrong = || format!("{text:?} is not a share: write 1% or 0.01");
        let (number, unit) = split(text).ok_or_else(wrong)?;
        let share = match unit {
            "" => number,
            "%" => number / 100.0,
            _ => return Err(wrong()),
        };
        if (0.0..=1.0).contains(&share) {
            Ok(Share(share))
        } else {
            Err(wrong())
        }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0 * 100.0)
    }
}

/// A pair `low..high`, or one value for both: `2s..5m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanRange {
    /// Lower bound of the range.
    pub min: Duration,
    /// Upper end, not below `min`.
    pub max: Duration,
}

impl SpanRange {
    /// Reads `2s..5m` or `5ms`.
    pub fn parse(text: &str) -> Result<SpanRange, String> {
        let (low, high) = text.split_once("..").unwrap_or((text, text));
        let (min, max) = (Span::parse(low)?.0, Span::parse(high)?.0);
        if min > max {
            return Err(format!("{text:?}: the range ends before it starts"));
        }
        Ok(SpanRange { min, max })
    }
}

impl fmt::Display for SpanRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", Span(self.min), Span(self.max))
    }
}

/// Serde and JSON Schema for a quantity: text with a unit, or a bare number.
#[macro_export]
macro_rules! quantity_format {
    ($type:ty, $name:literal, $pattern:literal, $example:literal) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Reader;
                impl Visitor<'_> for Reader {
                    type Value = $type;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str(concat!("a value such as ", $example))
                    }
                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$type, E> {
                        <$type>::parse(text).map_err(E::custom)
                    }
                    fn visit_u64<E: de::Error>(self, n: u64) -> Result<$type, E> {
                        <$type>::parse(&n.to_string()).map_err(E::custom)
                    }
                    fn visit_i64<E: de::Error>(self, n: i64) -> Result<$type, E> {
                        <$type>::parse(&n.to_string()).map_err(E::custom)
                    }
                    fn visit_f64<E: de::Error>(self, n: f64) -> Result<$type, E> {
                        <$type>::parse(&n.to_string()).map_err(E::custom)
                    }
                }
                deserializer.deserialize_any(Reader)
            }
        }
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": ["string", "number"], "pattern": $pattern, "examples": [$example] })
            }
        }
    };
}

quantity_format!(Span, "Duration", r"^[0-9.]+\s*(us|ms|s|m|min|h|d)?$", "12h");
quantity_format!(Bytes, "Bytes", r"^[0-9.]+\s*([kKMGT]i?B|B)?$", "50GiB");
quantity_format!(Share, "Share", r"^[0-9.]+\s*%?$", "1%");
quantity_format!(
    SpanRange,
    "DurationRange",
    r"^[0-9.]+\s*\w*(\.\.[0-9.]+\s*\w*)?$",
    "2s..5m"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        assert_eq!(Span::parse("12h").map(|s| s.0.as_secs()), Ok(43_200));
        assert_eq!(Span::parse("0.5s").map(|s| s.0.as_millis()), Ok(500));
        assert_eq!(Bytes::parse("50GiB"), Ok(Bytes(50 << 30)));
        assert_eq!(Share::parse("1%"), Ok(Share(0.01)));
        assert_eq!(split("-23LUFS"), Some((-23.0, "LUFS")));
        let range = SpanRange::parse("2s..5m").expect("valid");
        assert_eq!((range.min.as_secs(), range.max.as_secs()), (2, 300));
    }

    #[test]
    fn says_what_is_wrong() {
        assert!(Span::parse("12 parsecs").expect_err("unit").contains("12h"));
        assert!(Bytes::parse("-1GiB").is_err());
        assert!(Share::parse("150%").is_err());
        assert!(SpanRange::parse("5m..2s").is_err());
    }

    #[test]
    fn writes_what_it_reads() {
        for text in ["2d", "12h", "5m", "40ms", "7s", "0s", "15us"] {
            assert_eq!(
                Span::parse(text).map(|s| s.to_string()),
                Ok(text.to_owned())
            );
        }
        for text in ["50GiB", "16MiB", "1000", "2TiB"] {
            assert_eq!(
                Bytes::parse(text).map(|b| b.to_string()),
                Ok(text.to_owned())
            );
        }
    }
}
